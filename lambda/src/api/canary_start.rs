//! `POST /canary/{name}/start` and `/retry`: start a new run at the plan's first step.

use crate::{
    api::{
        canary::brief,
        canary_guard::{no_emergency, requests_per_second, slow_steps},
        extract::FlagPath,
        flags::SECTION,
    },
    canary::run::{run_id, run_write},
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
use cutover_core::{FlagName, canary::Run};
use serde_json::json;

pub(super) async fn start(
    State(platform): State<Platform>,
    FlagPath(name): FlagPath,
    demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    begin(&platform, &name, &demand, Operation::CanaryStart, |_| Ok(())).await
}

/// Starts a new run after an earlier one, whose evidence does not count.
pub(super) async fn retry(
    State(platform): State<Platform>,
    FlagPath(name): FlagPath,
    demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    begin(&platform, &name, &demand, Operation::CanaryRetry, |truth| {
        if truth.runs.contains_key(&name) {
            return Ok(());
        }
        let detail = format!("the canary of {name} was never started, so there is nothing to retry");
        Err(Problem::new(StatusCode::CONFLICT, "canary_not_started", detail, "start the canary first"))
    })
    .await
}

async fn begin(
    platform: &Platform,
    name: &FlagName,
    demand: &ChangeRequest,
    operation: Operation,
    allowed: impl Fn(&Truth) -> Result<(), Problem>,
) -> Result<ChangeResponse, Problem> {
    demand.caller.must_be(Role::Operator)?;
    let measured = requests_per_second(&platform.store.ledger(Some(name)).await?);
    change(platform, demand, operation, |truth| {
        allowed(truth)?;
        let mut config = truth.config.clone();
        let flag =
            config.feature_flags.get_mut(name).ok_or_else(|| Problem::not_found("flag", name.as_str()))?;
        let plan = config
            .canary_deployments
            .get(name)
            .ok_or_else(|| Problem::not_found("canary plan", name.as_str()))?;
        no_emergency(truth, name)?;
        if let Some(run) = truth.active_run(name) {
            let detail = format!("the run {} of {name} is already {}", run.id, run.state.as_str());
            let hint = "roll the run back before starting a new one";
            return Err(Problem::new(StatusCode::CONFLICT, "canary_running", detail, hint));
        }
        if !flag.enabled {
            let detail = format!("the flag {name} is disabled, so its canary would get no traffic");
            return Err(Problem::new(StatusCode::CONFLICT, "flag_disabled", detail, "enable the flag first"));
        }
        let version = truth.meta(SECTION, name.as_str()).map(|meta| meta.version);
        demand.precondition.check(&format!("the flag {name}"), version)?;
        let run = Run::start(run_id(truth), name.clone(), plan.clone(), clock::now(), &demand.caller.name);
        let mut warnings: Vec<String> = slow_steps(name, plan, measured, true).into_iter().collect();
        if !config.routes.iter().any(|route| route.flag == *name) {
            warnings.push(format!("no route uses the flag {name}, so its canary will get no traffic"));
        }
        flag.rollout_percentage = run.share();
        Ok(Proposal {
            config,
            emergency: EmergencyChange::Keep,
            others: vec![(format!("{RUNS}/{name}"), run_write(truth, &run))],
            answer: Box::new(move |_| {
                let mut body = brief(&run);
                if let Some(fields) = body.as_object_mut() {
                    fields.insert("warnings".to_owned(), json!(warnings));
                }
                (StatusCode::CREATED, body)
            }),
        })
    })
    .await
}
