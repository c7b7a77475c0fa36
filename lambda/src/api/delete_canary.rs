//! `DELETE /canary/{name}`: removes the plan of a flag's canary and its ended run. The audit log keeps the runs, and the
//! records of their decisions stay readable.

use crate::{
    api::extract::FlagPath,
    change::{
        commit::change,
        demand::ChangeRequest,
        operation::Operation,
        proposal::{ChangeResponse, Proposal},
    },
    platform::Platform,
    problem::Problem,
    store::{Meta, RUNS, Role, State as Truth},
};
use axum::{extract::State, http::StatusCode};
use cutover_core::{FlagName, config::Config};
use serde_json::json;

/// Section of the configuration that holds the plans.
const PLANS: &str = "canary_deployments";

pub(super) async fn handle(
    State(platform): State<Platform>,
    FlagPath(name): FlagPath,
    demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    demand.caller.must_be(Role::Admin)?;
    demand.must_have_no_body()?;
    change(&platform, &demand, Operation::CanaryDelete, |truth| {
        let run = truth.runs.get(&name);
        if run.is_none() && !truth.config.canary_deployments.contains_key(&name) {
            return Err(Problem::not_found("canary", name.as_str()));
        }
        let meta = truth.meta(RUNS, name.as_str()).or_else(|| truth.meta(PLANS, name.as_str()));
        demand.precondition.check(&format!("the canary of {name}"), meta.map(Meta::stamp))?;
        if let Some(run) = truth.active_run(&name) {
            let detail = format!("the run {} of {name} is {}", run.id, run.state.as_str());
            let hint = "roll the run back (cutover canary rollback), or wait until it is complete";
            return Err(Problem::new(StatusCode::CONFLICT, "canary_running", detail, hint));
        }
        let removal = run.map(|_| truth.write(RUNS, name.as_str(), None));
        let mut deleted = json!({ "deleted": name, "run": run.map(|run| run.id.clone()) });
        if let (Some(salt), Some(fields)) = (kept_salt(truth, &name), deleted.as_object_mut()) {
            fields.insert("salt".to_owned(), json!(salt));
        }
        let others = removal.map(|write| (format!("{RUNS}/{name}"), write)).into_iter().collect();
        Ok(Proposal { others, ..Proposal::of_deletion(without_canary(truth, &name), deleted) })
    })
    .await
}

/// Returns the configuration without the plan. The flag keeps the salt that its run dealt users by, or they would change
/// arms with the end of the run.
fn without_canary(truth: &Truth, name: &FlagName) -> Config {
    let mut config = truth.config.clone();
    config.canary_deployments.remove(name);
    if let (Some(flag), Some(salt)) = (config.feature_flags.get_mut(name), truth.salt(name)) {
        flag.salt = Some(salt.to_owned());
    }
    config
}

/// Returns the salt of the run that becomes the flag's own; `None` if the flag has one, or the run dealt by none.
fn kept_salt<'t>(truth: &'t Truth, name: &FlagName) -> Option<&'t str> {
    let flag = truth.config.feature_flags.get(name)?;
    truth.run_salt(name).filter(|_| flag.salt.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::{
        Timestamp,
        canary::{Run, RunIdentity, RunState},
    };

    #[test]
    fn users_stay_on_their_arms_when_the_canary_that_dealt_them_is_deleted() {
        let mut truth = Truth::default();
        truth.config = Config::from_yaml(include_str!("../../../docs/example.yaml")).unwrap();
        let (flag, plan) = truth.config.canary_deployments.clone().into_iter().next().unwrap();
        let identity = RunIdentity { id: "r2".parse().unwrap(), key: None };
        let run = Run::start(identity, flag.clone(), plan, Timestamp::from_millis(0), "operator");
        let dealt = Some("f.r2".to_owned());
        for (state, expected) in [(RunState::Completed, dealt.clone()), (RunState::RolledBack, None)] {
            truth.runs.insert(flag.clone(), Run { state, salt: dealt.clone(), ..run.clone() });
            let before = truth.snapshot().flags[&flag].salt.clone();
            assert_eq!(kept_salt(&truth, &flag).map(str::to_owned), expected, "{state:?}");
            let config = without_canary(&truth, &flag);
            assert!(config.canary_deployments.is_empty());
            assert_eq!(config.feature_flags[&flag].salt, expected, "{state:?}");
            assert_eq!(config.feature_flags[&flag].salt, before, "{state:?}");
        }
        truth.runs.insert(flag.clone(), Run { state: RunState::Completed, salt: dealt, ..run });
        truth.config.feature_flags.get_mut(&flag).unwrap().salt = Some("own".to_owned());
        assert_eq!(kept_salt(&truth, &flag), None, "a salt of the flag's own stays");
    }
}
