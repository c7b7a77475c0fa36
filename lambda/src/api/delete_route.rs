//! `DELETE /routes/{id}`: removes a route, unless a canary judges the new backend by it or a metric of an experiment counts
//! its responses.

use crate::{
    api::{
        canary_guard,
        extract::RoutePath,
        get_route::{SECTION, find},
    },
    change::{
        commit::change,
        demand::ChangeRequest,
        operation::Operation,
        proposal::{ChangeResponse, Proposal},
    },
    platform::Platform,
    problem::Problem,
    store::{Role, State as Truth},
};
use axum::{extract::State, http::StatusCode};
use cutover_core::{
    FlagName, Route, RouteId,
    canary::plan::CanaryPlan,
    config::movements,
    rules::experiment::{document::Experiment, metric::Trigger},
};
use serde_json::json;

pub(super) async fn handle(
    State(platform): State<Platform>,
    RoutePath(id): RoutePath,
    demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    demand.caller.must_be(Role::Admin)?;
    demand.must_have_no_body()?;
    change(&platform, &demand, Operation::RouteDelete, |truth| {
        let route = find(truth, &id)?;
        demand.must_be_as_seen(truth, "route", SECTION, id.as_str())?;
        let users = users(truth, route);
        if !users.is_empty() {
            let detail = format!("the route {id} is used by {}", users.join(", "));
            let hint = "delete the canary first (cutover canary delete), or leave the flag another route and take this \
                        one out of route_criteria; take it out of the metrics of an experiment, or delete the experiment";
            return Err(Problem::new(StatusCode::CONFLICT, "route_in_use", detail, hint));
        }
        // Its requests may match another route, whose flag the emergency does not hold.
        canary_guard::no_emergency(truth, &route.flag)?;
        let mut config = truth.config.clone();
        config.routes.retain(|kept| kept.id != id);
        let moves = movements(&truth.config, &config, |name| truth.run_salt(name));
        Ok(Proposal::of_deletion(config, json!({ "deleted": id, "moves": moves })))
    })
    .await
}

/// Returns the canaries and the experiments that need a route: criteria or metrics name it, or the flag of a canary has no
/// other route that is judged by the criteria of the plan.
fn users(truth: &Truth, route: &Route) -> Vec<String> {
    let plans = truth.config.canary_deployments.iter();
    let plans = plans.map(|(flag, plan)| (format!("the canary of {flag}"), flag, plan));
    let runs = truth.runs.values().filter(|run| run.state.is_active());
    let runs =
        runs.map(|run| (format!("the run {} of the canary of {}", run.id, run.flag), &run.flag, &run.plan));
    let needing = plans.chain(runs).filter(|(_, flag, plan)| needs(truth, route, flag, plan));
    // One that is stopped needs it too: a configuration whose experiment counts a route that is missing is not valid.
    let experiments = truth.config.ab_tests.iter().filter(|(_, experiment)| counts(experiment, &route.id));
    let experiments = experiments.map(|(name, _)| format!("the experiment {name}"));
    needing.map(|(user, ..)| user).chain(experiments).collect()
}

/// Returns true if a metric of an experiment counts the responses of a route.
fn counts(experiment: &Experiment, route: &RouteId) -> bool {
    let is_of_route = |on: &Trigger| matches!(on, Trigger::Response(response) if response.route == *route);
    experiment.metrics.iter().any(|metric| is_of_route(&metric.on))
}

/// Returns true if a flag's plan needs a route.
fn needs(truth: &Truth, route: &Route, flag: &FlagName, plan: &CanaryPlan) -> bool {
    let own = &plan.options.route_criteria;
    let mut others = truth.config.routes.iter().filter(|other| other.flag == *flag && other.id != route.id);
    own.contains_key(&route.id) || (route.flag == *flag && others.all(|other| own.contains_key(&other.id)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::{
        Timestamp,
        canary::{Run, RunIdentity},
        config::Config,
    };

    /// Two routes of a flag with a plan, and one of a flag without.
    const CONFIG: &str = "
feature_flags: { a: { enabled: true, rollout_percentage: 5 }, b: { enabled: true, rollout_percentage: 5 } }
canary_deployments:
  a:
    initial_percentage: 5
    promotion_steps: [5, 100]
    step_duration_minutes: 60
    success_criteria: { max_error_rate: 0.05, max_response_time_p95: 500 }
    rollback_criteria: { max_error_rate: 0.1, max_response_time_p95: 1000 }
origins: { rest: { url: \"https://legacy.example.com\" }, graphql: { url: \"https://new.example.com\" } }
routes:
  - { id: a.one, match: { methods: [GET], path: /a/one }, flag: a, legacy: rest, new: graphql }
  - { id: a.two, match: { methods: [GET], path: /a/two }, flag: a, legacy: rest, new: graphql }
  - { id: b.one, match: { methods: [GET], path: /b/one }, flag: b, legacy: rest, new: graphql }
";

    /// Criteria of one route in a plan.
    const CRITERIA: &str = "step_duration_minutes: 60
    route_criteria:
      a.one:
        success_criteria: { max_error_rate: 0.05, max_response_time_p95: 500 }
        rollback_criteria: { max_error_rate: 0.1, max_response_time_p95: 1000 }";

    fn truth(text: &str) -> Truth {
        let mut truth = Truth::default();
        truth.config = Config::from_yaml(text).unwrap();
        truth
    }

    fn users_of(truth: &Truth, id: &str) -> Vec<String> {
        users(truth, find(truth, &id.parse().unwrap()).unwrap())
    }

    #[test]
    fn a_canary_needs_a_route_that_it_judges_alone_and_its_last_one() {
        let mut truth = truth(CONFIG);
        for id in ["a.one", "a.two", "b.one"] {
            assert_eq!(users_of(&truth, id), Vec::<String>::new(), "{id}");
        }
        truth.config.routes.retain(|route| route.id.as_str() != "a.one");
        assert_eq!(users_of(&truth, "a.two"), ["the canary of a"]);
        assert_eq!(users_of(&truth, "b.one"), Vec::<String>::new());

        let own = self::truth(&CONFIG.replace("step_duration_minutes: 60", CRITERIA));
        assert_eq!(users_of(&own, "a.one"), ["the canary of a"], "it has criteria of its own");
        assert_eq!(
            users_of(&own, "a.two"),
            ["the canary of a"],
            "no other route is left for those of the plan"
        );
    }

    #[test]
    fn a_run_without_a_plan_needs_its_routes_until_it_ends() {
        let mut truth = truth(CONFIG);
        truth.config.routes.retain(|route| route.id.as_str() != "a.one");
        let (flag, plan) = truth.config.canary_deployments.pop_first().unwrap();
        let identity = RunIdentity { id: "r2".parse().unwrap(), key: None };
        let run = Run::start(identity, flag.clone(), plan, Timestamp::from_millis(0), "operator");
        truth.runs.insert(flag.clone(), run.clone());
        assert_eq!(users_of(&truth, "a.two"), ["the run r2 of the canary of a"]);
        truth.runs.insert(flag, run.rolled_back(None, ""));
        assert_eq!(users_of(&truth, "a.two"), Vec::<String>::new());
    }

    #[test]
    fn an_experiment_needs_the_routes_of_its_metrics_in_every_state() {
        for state in ["draft", "running", "paused", "stopped"] {
            let metric = "{ name: written, on: { response: { route: b.one } } }";
            let truth = truth(&format!(
                "{CONFIG}experiments: {{ e: {{ name: E, state: {state}, metrics: [{metric}], variants: {{ a: A, b: B }} }} }}"
            ));
            assert_eq!(users_of(&truth, "b.one"), ["the experiment e"], "{state}");
            assert_eq!(users_of(&truth, "a.one"), Vec::<String>::new(), "{state}");
            // Without its route the stored configuration would not be valid.
            let mut config = truth.config.clone();
            config.routes.retain(|route| route.id.as_str() != "b.one");
            assert!(config.check().is_err(), "{state}");
        }
    }

    #[test]
    fn a_route_that_does_not_exist_is_missed_with_the_nearest_one() {
        let truth = truth(CONFIG);
        let missing = find(&truth, &"a.on".parse().unwrap()).unwrap_err();
        assert_eq!((missing.code, missing.hint.as_str()), ("not_found", "did you mean a.one?"));
        let missing = find(&truth, &"zzzz".parse().unwrap()).unwrap_err();
        assert_eq!(missing.hint, "list the routes, and check the spelling");
    }
}
