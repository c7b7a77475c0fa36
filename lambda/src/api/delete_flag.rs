//! `DELETE /flags/{name}`: removes a flag and its ended run, unless a route, a canary, an experiment or a flag with
//! values uses it.

use crate::{
    api::{
        extract::FlagPath,
        flags::{SECTION, missing_flag},
        value_flags::dependents,
    },
    change::{
        commit::change,
        demand::ChangeRequest,
        operation::Operation,
        proposal::{ChangeResponse, Proposal},
    },
    platform::Platform,
    problem::Problem,
    store::Role,
};
use axum::{extract::State, http::StatusCode};
use serde_json::json;

pub(super) async fn handle(
    State(platform): State<Platform>,
    FlagPath(name): FlagPath,
    demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    demand.caller.must_be(Role::Admin)?;
    demand.must_have_no_body()?;
    change(&platform, &demand, Operation::FlagDelete, |truth| {
        let mut config = truth.config.clone();
        if config.feature_flags.remove(&name).is_none() {
            return Err(missing_flag(&config, &name));
        }
        demand.must_be_as_seen(truth, "flag", SECTION, name.as_str())?;
        let mut users: Vec<String> = config
            .routes
            .iter()
            .filter(|route| route.flag == name)
            .map(|route| format!("the route {}", route.id))
            .collect();
        if config.canary_deployments.contains_key(&name) {
            users.push("its canary".to_owned());
        }
        if let Some(run) = truth.active_run(&name) {
            users.push(format!("the run {} of its canary", run.id));
        }
        let experiments =
            config.ab_tests.iter().filter(|(_, experiment)| experiment.flag.as_ref() == Some(&name));
        users.extend(experiments.map(|(experiment, _)| format!("the experiment {experiment}")));
        users.extend(dependents(&config, &name).map(|flag| format!("the prerequisites of the flag {flag}")));
        if !users.is_empty() {
            let detail = format!("the flag {name} is used by {}", users.join(", "));
            let hint = "remove these first, or disable the flag to send all users to legacy";
            return Err(Problem::new(StatusCode::CONFLICT, "flag_in_use", detail, hint));
        }
        Ok(Proposal::of_deletion(config, json!({ "deleted": name })))
    })
    .await
}
