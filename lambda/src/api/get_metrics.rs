//! `GET /metrics?flag=`: the counts, as JSON, or in the Prometheus text format if the client accepts
//! `text/plain`.

use crate::{
    access::auth::Caller,
    api::{extract::Parameters, flags::missing_flag, measured, prometheus},
    measurement::packing,
    platform::Platform,
    problem::Problem,
    store::{self, LedgerParts},
};
use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use cutover_core::{FlagName, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Shortest page that is compressed, in bytes. Lambda limits a response to 6 MB, and hundreds of flags have more.
const MIN_PACKED: usize = 100_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    flag: Option<FlagName>,
}

pub(super) async fn handle(
    _: Caller,
    State(platform): State<Platform>,
    Parameters(Query { flag }): Parameters<Query>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let store = &platform.store;
    let mut state = store.state().await?;
    if let Some(flag) = &flag {
        keep_flag(&mut state, flag)?;
    }
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // Prometheus prefers OpenMetrics but accepts text/plain as well.
    if accepts.contains("text/plain") {
        let page = prometheus::page(&platform, &state, flag.is_some()).await?;
        return Ok(respond("text/plain; version=0.0.4; charset=utf-8", page, &headers));
    }
    let cursor = store.cursor().await?;
    let mut ledgers = measured::ledgers(store, &state.config, LedgerParts::Series).await?;
    ledgers.retain(|decided_by, _| flag.is_none() || decided_by.is_some());
    measured::keep_routes(&mut ledgers, &state.config);
    let flags: Vec<Value> =
        ledgers.into_iter().map(|(flag, ledger)| json!({ "flag": flag, "series": ledger.series })).collect();
    let behind = cursor.parked.iter().map(|(flag, parked)| (flag, Timestamp::from_millis(parked.through)));
    let behind: BTreeMap<&String, Timestamp> = behind.collect();
    let totals = cursor.totals;
    let body = json!({
        "flags": flags,
        "through": (cursor.through > 0).then(|| Timestamp::from_millis(cursor.through)),
        "behind": behind,
        "gaps": cursor.gaps,
        "batches": { "stored": totals.batches, "late": totals.late, "unreadable": totals.unreadable },
        "outcomes_lost": totals.outcomes_lost,
        "users_lost": totals.users_lost,
        "responses_uninspected": totals.uninspected,
        "isolates_active": totals.isolates,
        "isolates_lost": totals.isolates_lost,
    });
    Ok(respond("application/json", body.to_string(), &headers))
}

/// Removes all flags but one.
fn keep_flag(state: &mut store::State, flag: &FlagName) -> Result<(), Problem> {
    state.config.feature_flags.retain(|name, _| name == flag);
    state.runs.retain(|name, _| name == flag);
    if state.config.feature_flags.is_empty() {
        return Err(missing_flag(&state.config, flag));
    }
    Ok(())
}

/// Builds the response with a page, compressed if it is long and the request accepts that.
fn respond(content_type: &'static str, page: String, request: &HeaderMap) -> Response {
    let headers = [(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "no-store")];
    if page.len() < MIN_PACKED || !packing::is_accepted(request) {
        return (headers, page).into_response();
    }
    let encoding = [(header::CONTENT_ENCODING, "gzip")];
    (headers, encoding, packing::pack(page.as_bytes())).into_response()
}
