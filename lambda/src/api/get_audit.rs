//! `GET /audit?flag=&object=&actor=&action=&since=&until=&before=&limit=`: the audit log, newest
//! first.

use crate::{
    access::auth::Caller,
    api::{extract::Parameters, respond::json_response},
    platform::Platform,
    problem::Problem,
    store::AuditQuery,
};
use axum::{extract::State, http::StatusCode, response::Response};
use cutover_core::{FlagName, Revision, Timestamp};
use serde::Deserialize;
use serde_json::json;

const DEFAULT_LIMIT: usize = 50;

const MAX_LIMIT: usize = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    flag: Option<FlagName>,
    object: Option<String>,
    actor: Option<String>,
    action: Option<String>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    before: Option<u64>,
    limit: Option<usize>,
}

pub(super) async fn handle(
    _: Caller,
    State(platform): State<Platform>,
    Parameters(query): Parameters<Query>,
) -> Result<Response, Problem> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        let hint = format!("use a limit of 1 to {MAX_LIMIT}, and before to request the next page");
        return Err(Problem::invalid(
            "limit",
            format!("a limit of {limit} records is not between 1 and {MAX_LIMIT}"),
            hint,
        ));
    }
    let query = AuditQuery {
        object: query.flag.map(|flag| format!("feature_flags/{flag}")).or(query.object),
        actor: query.actor,
        action: query.action,
        since: query.since,
        until: query.until,
        before: query.before.map(Revision),
        limit,
    };
    let records = platform.store.audit(&query).await?;
    // A full page may be followed by another one.
    let next = records.last().filter(|_| records.len() == limit).map(|record| record.revision);
    Ok(json_response(StatusCode::OK, &json!({ "records": records, "next_before": next })))
}
