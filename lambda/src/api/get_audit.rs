//! `GET /audit?flag=&object=&actor=&action=&since=&until=&revision=&before=&limit=`: the audit log,
//! newest first.

use crate::{
    access::auth::Caller,
    api::{
        extract::{Parameters, time},
        pages::PageLimit,
        respond::json_response,
    },
    platform::Platform,
    problem::Problem,
    store::{AuditPlace, AuditQuery},
};
use axum::{extract::State, http::StatusCode, response::Response};
use cutover_core::{FlagName, Revision};
use serde::Deserialize;
use serde_json::json;

const LIMIT: PageLimit = PageLimit { default: 50, max: 1_000, next: "before" };

/// Largest revision that the log has room for.
const MAX_REVISION: u64 = 999_999_999_999;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    flag: Option<FlagName>,
    object: Option<String>,
    actor: Option<String>,
    action: Option<String>,
    since: Option<String>,
    until: Option<String>,
    revision: Option<u64>,
    before: Option<String>,
    limit: Option<usize>,
}

/// Parses the id of a record in a parameter.
///
/// # Errors
///
/// Returns the problem `invalid` if it is none.
pub(super) fn place(field: &str, text: &str) -> Result<AuditPlace, Problem> {
    let hint = "send the id of a record of GET /audit, or the end of the previous page, unchanged";
    text.parse().map_err(|error| Problem::invalid(field, format!("{text:?}: {error}"), hint))
}

/// Checks that the log has room for a revision.
///
/// # Errors
///
/// Returns the problem `invalid` if not.
pub(super) fn revision(number: u64) -> Result<Revision, Problem> {
    if number > MAX_REVISION {
        let hint = "see GET /status for the current revision";
        return Err(Problem::invalid("revision", format!("{number} is larger than {MAX_REVISION}"), hint));
    }
    Ok(Revision(number))
}

pub(super) async fn handle(
    _: Caller,
    State(platform): State<Platform>,
    Parameters(query): Parameters<Query>,
) -> Result<Response, Problem> {
    let limit = LIMIT.check(query.limit)?;
    let query = AuditQuery {
        flag: query.flag,
        object: query.object,
        actor: query.actor,
        action: query.action,
        since: query.since.map(|since| time("since", &since)).transpose()?,
        until: query.until.map(|until| time("until", &until)).transpose()?,
        revision: query.revision.map(revision).transpose()?,
        before: query.before.map(|before| place("before", &before)).transpose()?,
        limit,
    };
    let page = platform.store.audit(&query).await?;
    Ok(json_response(StatusCode::OK, &json!({ "records": page.records, "next_before": page.next })))
}
