//! `GET /experiments/{name}/records?after=&limit=`: the judgements of an experiment whose conclusion was another one than before,
//! and the last one of each phase, oldest first, with all of their inputs, so that `cutover experiment replay` can repeat them.

use crate::{
    access::auth::Caller,
    api::{
        experiments::find,
        extract::{ExperimentPath, Parameters},
        pages::{PageLimit, PageQuery, must_be_a_position},
        respond::json_response,
    },
    platform::Platform,
    problem::Problem,
};
use axum::{extract::State, http::StatusCode, response::Response};
use serde_json::json;

const LIMIT: PageLimit = PageLimit { default: 100, max: 500, next: "after" };

pub(super) async fn handle(
    _: Caller,
    State(platform): State<Platform>,
    ExperimentPath(name): ExperimentPath,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Response, Problem> {
    let limit = LIMIT.check(query.limit)?;
    must_be_a_position(&query.after)?;
    find(&platform.store.state().await?, &name)?;
    let (records, next) = platform.store.experiment_records(&name, &query.after, limit).await?;
    Ok(json_response(StatusCode::OK, &json!({ "records": records, "next_after": next })))
}
