//! `GET /experiments` and `GET /experiments/{name}`, and the JSON form of an experiment in every response.

use crate::{
    access::auth::Caller,
    api::{
        extract::{ExperimentPath, Page, Parameters},
        object_list::object_list,
        respond::{json_response, not_modified_or, with_meta},
    },
    platform::Platform,
    problem::Problem,
    store::{Meta, State as Truth},
};
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use cutover_core::{
    ExperimentName,
    rules::experiment::{division::division, document::Experiment},
};
use serde_json::{Value, json};

/// Section of the configuration that holds the experiments.
pub(super) const SECTION: &str = "ab_tests";

/// Returns an experiment as JSON, with the salt and the division in force.
pub(super) fn experiment_json(name: &ExperimentName, experiment: &Experiment, meta: Option<&Meta>) -> Value {
    let mut body = json!({
        "experiment": name,
        "name": experiment.name,
        "description": experiment.description,
        "state": experiment.state,
        "phase": experiment.phase,
        "flag": experiment.flag,
        "traffic_percentage": experiment.traffic_percentage,
        "layer": experiment.layer,
        "holdout": experiment.holdout,
        "conditions": experiment.conditions,
        "variants": experiment.variants,
        "slices": division(experiment),
        "salt": experiment.salt_or(name),
        "success_metrics": experiment.success_metrics,
        "send_to_client": experiment.send_to_client,
        "outcome": experiment.outcome,
    });
    if let Some(fields) = body.as_object_mut() {
        // Left out as in files: most experiments have neither.
        if !experiment.metrics.is_empty() {
            fields.insert("metrics".to_owned(), json!(experiment.metrics));
        }
        if !experiment.analysis.is_default() {
            fields.insert("analysis".to_owned(), json!(experiment.analysis));
        }
    }
    with_meta(body, meta)
}

fn shown(state: &Truth, name: &ExperimentName, experiment: &Experiment) -> Value {
    experiment_json(name, experiment, state.meta(SECTION, name.as_str()))
}

pub(super) async fn list(
    _: Caller,
    State(platform): State<Platform>,
    Parameters(page): Parameters<Page>,
) -> Result<Response, Problem> {
    let state = platform.store.state().await?;
    let experiments = state.config.ab_tests.iter().map(|entry| (entry.0.as_str(), entry));
    object_list(&page, &state, "experiments", experiments, |(name, experiment)| {
        shown(&state, name, experiment)
    })
}

pub(super) async fn one(
    _: Caller,
    State(platform): State<Platform>,
    ExperimentPath(name): ExperimentPath,
    request: HeaderMap,
) -> Result<Response, Problem> {
    let state = platform.store.state().await?;
    let experiment = find(&state, &name)?;
    Ok(not_modified_or(&request, json_response(StatusCode::OK, &shown(&state, &name, experiment))))
}

/// Finds an experiment by its name.
///
/// # Errors
///
/// Returns the problem `not_found` if there is none.
pub(super) fn find<'t>(state: &'t Truth, name: &ExperimentName) -> Result<&'t Experiment, Problem> {
    state.config.ab_tests.get(name).ok_or_else(|| Problem::not_found("experiment", name.as_str()))
}
