//! `GET /audit/{revision}/changes?part=`: the changes of a revision as JSON text, in parts, for changes
//! that are too large for the list.

use crate::{
    access::auth::Caller,
    api::{
        extract::{Parameters, Segments},
        get_audit,
        respond::json_response,
    },
    platform::Platform,
    problem::Problem,
};
use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    #[serde(default)]
    part: u64,
}

pub(super) async fn handle(
    _: Caller,
    State(platform): State<Platform>,
    Segments(text): Segments<String>,
    Parameters(query): Parameters<Query>,
) -> Result<Response, Problem> {
    let number: u64 = text.parse().map_err(|_| {
        Problem::invalid("revision", format!("{text:?} is not a revision"), "use the number of a revision")
    })?;
    let revision = get_audit::revision(number)?;
    let found = platform.store.audit_changes(revision, query.part).await?;
    let found = found.ok_or_else(|| Problem::not_found("part", &query.part.to_string()))?;
    let body = json!({ "revision": revision, "part": query.part, "parts": found.parts, "text": found.text });
    Ok(json_response(StatusCode::OK, &body))
}
