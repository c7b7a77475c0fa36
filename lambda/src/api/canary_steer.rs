//! `POST /canary/{name}/promote`, `/approve`, `/pause`, `/resume` and `/rollback`: what a person may do to a run.

use super::{
    canary::{brief, run_in},
    canary_guard::no_emergency,
    extract::FlagPath,
};
use crate::{
    Platform,
    change::{Changed, Demand, Proposal, change},
    clock,
    problem::Problem,
    promote::run_write,
    store::{RUNS, Role, State as Truth},
};
use axum::{extract::State, http::StatusCode};
use cutover_core::{
    FlagName, Timestamp,
    canary::{Run, RunState, is_frozen},
};

const CLIMBING: [RunState; 2] = [RunState::Running, RunState::Baking];
const ACTIVE: [RunState; 3] = [RunState::Running, RunState::Paused, RunState::Baking];

/// One step up, whatever the evidence says; a person takes the decision over.
pub(super) async fn promote(
    State(platform): State<Platform>,
    FlagPath(name): FlagPath,
    demand: Demand,
) -> Result<Changed, Problem> {
    steer(&platform, &name, &demand, "canary.promote", |truth, now| {
        no_emergency(truth, &name)?;
        let run = run_in(truth, &name, &CLIMBING)?;
        if demand.reason.is_none() && is_frozen(&run.plan.options.freeze_windows, now) {
            let detail = format!("a freeze window of {name} is open");
            let hint = "wait for its end, or say why it must be now, in X-Cutover-Reason (--reason)";
            return Err(Problem::new(StatusCode::CONFLICT, "freeze_window", detail, hint));
        }
        let reason = format!("promoted by {}", demand.caller.name);
        Ok(run.advanced(now, &with_reason(reason, &demand)))
    })
    .await
}

/// Lets the run enter its next step, once the evidence is there.
pub(super) async fn approve(
    State(platform): State<Platform>,
    FlagPath(name): FlagPath,
    demand: Demand,
) -> Result<Changed, Problem> {
    steer(&platform, &name, &demand, "canary.approve", |truth, _| {
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
    demand: Demand,
) -> Result<Changed, Problem> {
    steer(&platform, &name, &demand, "canary.pause", |truth, _| {
        let run = run_in(truth, &name, &CLIMBING)?;
        Ok(run.paused(&with_reason(format!("paused by {}", demand.caller.name), &demand)))
    })
    .await
}

pub(super) async fn resume(
    State(platform): State<Platform>,
    FlagPath(name): FlagPath,
    demand: Demand,
) -> Result<Changed, Problem> {
    steer(&platform, &name, &demand, "canary.resume", |truth, now| {
        no_emergency(truth, &name)?;
        let run = run_in(truth, &name, &[RunState::Paused])?;
        Ok(run.resumed(now, &with_reason(format!("resumed by {}", demand.caller.name), &demand)))
    })
    .await
}

pub(super) async fn rollback(
    State(platform): State<Platform>,
    FlagPath(name): FlagPath,
    demand: Demand,
) -> Result<Changed, Problem> {
    steer(&platform, &name, &demand, "canary.rollback", |truth, _| {
        let run = run_in(truth, &name, &ACTIVE)?;
        Ok(run.rolled_back(None, &with_reason(format!("rolled back by {}", demand.caller.name), &demand)))
    })
    .await
}

fn with_reason(text: String, demand: &Demand) -> String {
    match &demand.reason {
        None => text,
        Some(reason) => format!("{text}: {reason}"),
    }
}

/// Puts another run in the place of a flag's, with the share that belongs to it.
async fn steer(
    platform: &Platform,
    name: &FlagName,
    demand: &Demand,
    action: &str,
    after: impl Fn(&Truth, Timestamp) -> Result<Run, Problem>,
) -> Result<Changed, Problem> {
    demand.caller.must_be(Role::Operator)?;
    change(platform, demand, action, |truth| {
        let run = after(truth, clock::now())?;
        let version = truth.meta(RUNS, name.as_str()).map(|meta| meta.version);
        demand.precondition.check(&format!("the run of {name}"), version)?;
        let mut config = truth.config.clone();
        if let Some(flag) = config.feature_flags.get_mut(name) {
            flag.rollout_percentage = run.share();
        }
        Ok(Proposal {
            config,
            emergency: None,
            others: vec![(format!("{RUNS}/{name}"), run_write(truth, &run))],
            answer: Box::new(move |_| (StatusCode::OK, brief(&run))),
        })
    })
    .await
}
