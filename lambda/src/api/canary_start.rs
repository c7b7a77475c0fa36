//! `POST /canary/{name}/start` and `/retry`: start a new run at the plan's first step.

use crate::{
    api::{
        canary::brief,
        canary_guard::{
            must_be_enabled, must_have_room, no_emergency, own_traffic, slow_steps, stricter_than_limits,
        },
        experiment_guard::must_not_own,
        extract::{FlagPath, Parameters},
        flags::{SECTION, missing_flag},
        recent_traffic::RecentTraffic,
    },
    canary::run::{run_identity, run_write},
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
    Flag, FlagName, PartsPerMillion,
    canary::{Run, RunState},
};
use serde::Deserialize;
use serde_json::json;

/// Query parameters of both endpoints.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    /// True keeps the users of a rolled-back run on the arms that they had.
    #[serde(default)]
    keep_salt: bool,
}

pub(super) async fn start(
    State(platform): State<Platform>,
    FlagPath(name): FlagPath,
    Parameters(query): Parameters<Query>,
    demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    begin(&platform, &name, &query, &demand, Operation::CanaryStart).await
}

/// Starts a new run after an earlier one, whose evidence does not count.
pub(super) async fn retry(
    State(platform): State<Platform>,
    FlagPath(name): FlagPath,
    Parameters(query): Parameters<Query>,
    demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    begin(&platform, &name, &query, &demand, Operation::CanaryRetry).await
}

/// Rejects a retry of a canary that never ran.
fn may_retry(truth: &Truth, name: &FlagName) -> Result<(), Problem> {
    if truth.runs.contains_key(name) {
        return Ok(());
    }
    let detail = format!("the canary of {name} was never started, so there is nothing to retry");
    Err(Problem::new(StatusCode::CONFLICT, "canary_not_started", detail, "start the canary first"))
}

/// Returns the salt of a new run. After a rollback nobody is on the new backend, so users are dealt
/// anew: the same users on the same arm would repeat a false rollback.
fn salt(truth: &Truth, flag: &Flag, run: &Run, query: &Query) -> Option<String> {
    if flag.salt.is_some() {
        // An operator chose it, perhaps so that several flags deal users alike.
        return None;
    }
    let last = truth.runs.get(&run.flag)?;
    match (last.state, flag.rollout_percentage) {
        (RunState::RolledBack, PartsPerMillion::ZERO) if !query.keep_salt => {
            Some(format!("{}.{}", run.flag, run.id))
        }
        // An operator has put users on the new backend since, by the flag's own salt.
        (RunState::RolledBack, share) if share > PartsPerMillion::ZERO => None,
        _ => last.salt.clone(),
    }
}

async fn begin(
    platform: &Platform,
    name: &FlagName,
    query: &Query,
    demand: &ChangeRequest,
    operation: Operation,
) -> Result<ChangeResponse, Problem> {
    demand.caller.must_be(Role::Operator)?;
    demand.must_have_no_body()?;
    // Before the ledger: what the cursor promises is true of ledgers that are read after it.
    // Traffic that cannot be known is unknown, and refuses nothing.
    let cursor = platform.store.cursor().await.unwrap_or_default();
    let ledger = platform.store.ledger(Some(name)).await?;
    let measured = RecentTraffic::of(name, &cursor, &ledger, clock::now());
    change(platform, demand, operation, |truth| {
        if operation == Operation::CanaryRetry {
            may_retry(truth, name)?;
        }
        let mut config = truth.config.clone();
        let flag = config.feature_flags.get_mut(name).ok_or_else(|| missing_flag(&truth.config, name))?;
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
        must_not_own(truth, name)?;
        must_be_enabled(truth, name)?;
        // Under the head's condition, so that starts at the same time do not pass it together.
        must_have_room(truth)?;
        demand.must_be_as_seen(truth, "flag", SECTION, name.as_str())?;
        let identity = run_identity(truth)?;
        let mut run = Run::start(identity, name.clone(), plan.clone(), clock::now(), &demand.caller.name);
        run.salt = salt(truth, flag, &run, query);
        let mut warnings: Vec<String> = slow_steps(name, plan, measured, true).into_iter().collect();
        warnings.extend(stricter_than_limits(name, plan, measured));
        warnings.extend(own_traffic(name, plan, measured));
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

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::{Timestamp, canary::RunIdentity};

    fn run(id: &str) -> Run {
        let config =
            cutover_core::config::Config::from_yaml(include_str!("../../../docs/example.yaml")).unwrap();
        let (flag, plan) = config.canary_deployments.into_iter().next().unwrap();
        let identity = RunIdentity { id: id.parse().unwrap(), key: None };
        Run::start(identity, flag, plan, Timestamp::from_millis(0), "operator")
    }

    /// S3: a retry after a rollback meets other users, unless the operator keeps them.
    #[test]
    fn s3_a_retry_after_a_rollback_deals_users_anew() {
        let last = Run { salt: Some("before".to_owned()), ..run("r1") };
        let salt_after = |last: Run, share: u32, keep_salt: bool| {
            let mut truth = Truth::default();
            truth.runs.insert(last.flag.clone(), last);
            let rollout_percentage = PartsPerMillion::of_percent(share);
            let flag = Flag { rollout_percentage, ..Flag::default() };
            salt(&truth, &flag, &run("r2"), &Query { keep_salt })
        };
        let rolled_back = last.rolled_back(None, "");
        let new = salt_after(rolled_back.clone(), 0, false).unwrap();
        assert!(new.ends_with(".r2"), "{new}");
        assert_eq!(salt_after(rolled_back.clone(), 0, true).as_deref(), Some("before"));
        assert_eq!(
            salt_after(rolled_back, 10, false),
            None,
            "users are on the new backend by the flag's salt"
        );
        let completed = Run { state: RunState::Completed, ..last };
        assert_eq!(salt_after(completed, 100, false).as_deref(), Some("before"));
    }

    /// The edge buckets by the salt of the run as long as the run's share is in force.
    #[test]
    fn the_snapshot_has_the_salt_of_the_run() {
        let retried = Run { salt: Some("other".to_owned()), ..run("r2") };
        let mut truth = Truth::default();
        truth.config.feature_flags.insert(retried.flag.clone(), Flag::default());
        let salt_of = |truth: &Truth| truth.snapshot().flags[&retried.flag].salt.clone();
        truth.runs.insert(retried.flag.clone(), retried.clone());
        assert_eq!(salt_of(&truth).as_deref(), Some("other"));
        truth.runs.insert(retried.flag.clone(), retried.rolled_back(None, ""));
        assert_eq!(salt_of(&truth), None);
    }
}
