//! `GET /experiments/{name}/assign/{user}`: the variant of a user, computed by the code of the edge. It is a look-up, and no
//! exposure: nothing is counted.

use crate::{
    access::auth::Caller,
    api::{
        experiments::find,
        explain_flag::ExplainQuery,
        extract::{Parameters, Segments, invalid_name},
        respond::json_response,
    },
    clock,
    platform::Platform,
    problem::Problem,
};
use axum::{extract::State, http::StatusCode, response::Response};
use cutover_core::{
    ExperimentName,
    rules::experiment::compiled::{CompiledExperiment, Outside},
};
use serde_json::json;

pub(super) async fn handle(
    _: Caller,
    State(platform): State<Platform>,
    Segments((name, user)): Segments<(String, String)>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let name: ExperimentName = name.parse().map_err(|error| invalid_name("name", &name, error))?;
    let mut question = ExplainQuery::read(parameters)?;
    if question.user.is_some() {
        let hint = "leave it out: the user is the last segment of the path";
        return Err(Problem::invalid("user", "the user is given twice", hint));
    }
    question.user = Some(user.clone());
    let now = question.at.unwrap_or_else(clock::now);
    let state = platform.store.state().await?;
    let experiment = find(&state, &name)?;
    let compiled = CompiledExperiment::new(&name, experiment, &state.config.holdouts).map_err(|error| {
        tracing::error!(%error, "a stored experiment does not compile");
        Problem::unavailable("configuration_broken", "the stored configuration cannot be evaluated")
    })?;
    let headers = question.headers();
    let assigned = compiled.assign(Some(&user), &question.facts(&headers), now);
    let variant = assigned.ok();
    let outside = assigned.err();
    Ok(json_response(
        StatusCode::OK,
        &json!({
            "experiment": name,
            "user": user,
            "variant": variant.map(|variant| &variant.key),
            "outside": outside,
            "arm": variant.and_then(|variant| variant.arm),
            "value": variant.and_then(|variant| variant.value.as_deref()),
            "phase": experiment.phase,
            "at": now,
            "explanation": outside.map_or("the slices of the experiment give the user this variant", explanation),
            "revision": state.head.revision,
        }),
    ))
}

/// Explains a reason for which a user takes no part.
fn explanation(outside: Outside) -> &'static str {
    match outside {
        Outside::NotRunning => "the experiment is not running, so nobody takes part",
        Outside::NoUser => "the request has no user id",
        Outside::Holdout => "the user is in the holdout of the experiment",
        Outside::Layer => "the user belongs to another part of the layer",
        Outside::Condition => "a condition of the experiment does not hold for this request",
        Outside::Traffic => "the user is beyond the traffic_percentage of the experiment",
    }
}
