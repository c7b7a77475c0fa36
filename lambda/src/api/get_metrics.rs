//! `GET /metrics`: the counts, as JSON, or in the Prometheus text format if the client accepts
//! `text/plain`.

use crate::{
    access::auth::Caller,
    api::{measured, prometheus, respond::json_response},
    platform::Platform,
    problem::Problem,
    store::LedgerParts,
};
use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use cutover_core::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) async fn handle(
    _: Caller,
    State(platform): State<Platform>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // Prometheus prefers OpenMetrics but accepts text/plain as well.
    if accepts.contains("text/plain") {
        let mut response = Response::new(Body::from(prometheus::page(&platform).await?));
        let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        return Ok(response);
    }
    let store = &platform.store;
    let cursor = store.cursor().await?;
    let config = store.state().await?.config;
    let mut ledgers = measured::ledgers(store, &config, LedgerParts::Series).await?;
    measured::keep_routes(&mut ledgers, &config);
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
    Ok(json_response(StatusCode::OK, &body))
}
