//! `POST /canary/{name}/promote`, `/approve`, `/pause`, `/resume` and `/rollback`: manual control
//! of a run.

use crate::{
    api::{
        canary::{brief, run_in},
        canary_guard::{must_be_enabled, no_emergency},
        experiment_guard::must_not_own,
        extract::FlagPath,
        promotion_target::Target,
    },
    canary::run::run_write,
    change::{
        commit::change,
        demand::ChangeRequest,
        operation::Operation,
        proposal::{ChangeResponse, Proposal},
    },
    clock,
    platform::Platform,
    problem::Problem,
    store::{EmergencyChange, RUNS, Role, State as Truth},
};
use axum::{extract::State, http::StatusCode};
use cutover_core::{
    FlagName, Timestamp,
    canary::{Run, RunState, is_frozen},
};

const CLIMBING: [RunState; 2] = [RunState::Running, RunState::Baking];

const ACTIVE: [RunState; 3] = [RunState::Running, RunState::Paused, RunState::Baking];

/// Moves the run one step up regardless of the evidence: to the stated target, or without one from wherever it is.
pub(super) async fn promote(
    State(platform): State<Platform>,
    FlagPath(name): FlagPath,
    demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    demand.caller.must_be(Role::Operator)?;
    let target = Target::of(&demand)?;
    steer(&platform, &name, &demand, Operation::CanaryPromote, |truth, now| {
        no_emergency(truth, &name)?;
        if let Some(run) = target.reached_by(truth.runs.get(&name))? {
            return Ok(run.clone());
        }
        let run = run_in(truth, &name, &CLIMBING)?;
        target.must_be_next_of(run)?;
        must_not_own(truth, &name)?;
        must_be_enabled(truth, &name)?;
        if run.lacks_approval() {
            let detail = format!("step {} of {name} is entered only after an approval", run.step + 1);
            let hint = "approve it first (cutover canary approve); the run then enters it once the evidence suffices, and \
                        a promotion enters it at once";
            return Err(Problem::new(StatusCode::CONFLICT, "approval_needed", detail, hint));
        }
        if demand.reason.is_none() && is_frozen(&run.plan.options.freeze_windows, now) {
            let detail = format!("a freeze window of {name} is open");
            let hint = "wait until it closes, or give a reason in X-Cutover-Reason (--reason) to override it";
            return Err(Problem::new(StatusCode::CONFLICT, "freeze_window", detail, hint));
        }
        let reason = format!("promoted by {}", demand.caller.name);
        Ok(run.advanced(now, &with_reason(reason, &demand)))
    })
    .await
}

/// Lets the run enter its next step once the evidence suffices.
pub(super) async fn approve(
    State(platform): State<Platform>,
    FlagPath(name): FlagPath,
    demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    steer(&platform, &name, &demand, Operation::CanaryApprove, |truth, _| {
        no_emergency(truth, &name)?;
        let run = run_in(truth, &name, &CLIMBING)?;
        let reason = format!("step {} approved by {}", run.step + 1, demand.caller.name);
        Ok(Run { approved: Some(run.step + 1), reason: with_reason(reason, &demand), ..run.clone() })
    })
    .await
}

pub(super) async fn pause(
    State(platform): State<Platform>,
    FlagPath(name): FlagPath,
    demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    steer(&platform, &name, &demand, Operation::CanaryPause, |truth, _| {
        let run = run_in(truth, &name, &CLIMBING)?;
        Ok(run.paused(&with_reason(format!("paused by {}", demand.caller.name), &demand)))
    })
    .await
}

pub(super) async fn resume(
    State(platform): State<Platform>,
    FlagPath(name): FlagPath,
    demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    steer(&platform, &name, &demand, Operation::CanaryResume, |truth, now| {
        no_emergency(truth, &name)?;
        let run = run_in(truth, &name, &[RunState::Paused])?;
        must_not_own(truth, &name)?;
        Ok(run.resumed(now, &with_reason(format!("resumed by {}", demand.caller.name), &demand)))
    })
    .await
}

pub(super) async fn rollback(
    State(platform): State<Platform>,
    FlagPath(name): FlagPath,
    demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    steer(&platform, &name, &demand, Operation::CanaryRollback, |truth, _| {
        let run = run_in(truth, &name, &ACTIVE)?;
        Ok(run.rolled_back(None, &with_reason(format!("rolled back by {}", demand.caller.name), &demand)))
    })
    .await
}

fn with_reason(message: String, demand: &ChangeRequest) -> String {
    match &demand.reason {
        None => message,
        Some(reason) => format!("{message}: {reason}"),
    }
}

/// Replaces the run of a flag, and sets the flag's share accordingly. Changes nothing if the run stays as it is.
async fn steer(
    platform: &Platform,
    name: &FlagName,
    demand: &ChangeRequest,
    operation: Operation,
    after: impl Fn(&Truth, Timestamp) -> Result<Run, Problem>,
) -> Result<ChangeResponse, Problem> {
    demand.caller.must_be(Role::Operator)?;
    if operation != Operation::CanaryPromote {
        demand.must_have_no_body()?;
    }
    change(platform, demand, operation, |truth| {
        let run = after(truth, clock::now())?;
        demand.must_be_as_seen(truth, "run of", RUNS, name.as_str())?;
        let mut config = truth.config.clone();
        let mut others = Vec::new();
        if truth.runs.get(name) != Some(&run) {
            if let Some(flag) = config.feature_flags.get_mut(name) {
                flag.rollout_percentage = run.share();
            }
            others.push((format!("{RUNS}/{name}"), run_write(truth, &run)));
        }
        Ok(Proposal {
            config,
            emergency: EmergencyChange::Keep,
            others,
            answer: Box::new(move |_| (StatusCode::OK, brief(&run))),
        })
    })
    .await
}
