//! `GET /canary/{name}/runs/{run}/records?after=&limit=`: every decision of a run, oldest first,
//! with all of its inputs, so that `cutover canary replay` can repeat them.

use crate::{
    access::auth::Caller,
    api::{
        extract::{Parameters, Segments},
        pages::{PageLimit, PageQuery, must_be_a_position},
        respond::json_response,
    },
    platform::Platform,
    problem::Problem,
};
use axum::{extract::State, http::StatusCode, response::Response};
use cutover_core::{FlagName, RunId};
use serde_json::json;

const LIMIT: PageLimit = PageLimit { default: 200, max: 500, next: "after" };

pub(super) async fn handle(
    _: Caller,
    State(platform): State<Platform>,
    Segments((name, run)): Segments<(String, String)>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Response, Problem> {
    let hint = "see GET /canary/{name} for the id of the run";
    let invalid =
        |field: &str, error: &dyn std::fmt::Display| Problem::invalid(field, error.to_string(), hint);
    let name: FlagName = name.parse().map_err(|error| invalid("name", &error))?;
    let run: RunId = run.parse().map_err(|error| invalid("run", &error))?;
    let limit = LIMIT.check(query.limit)?;
    must_be_a_position(&query.after)?;
    let (records, next) = platform.store.records(&run, &query.after, limit).await?;
    if records.iter().any(|record| record.run.flag != name) || (records.is_empty() && query.after.is_empty())
    {
        return Err(Problem::not_found("run", run.as_str()));
    }
    Ok(json_response(StatusCode::OK, &json!({ "records": records, "next_after": next })))
}
