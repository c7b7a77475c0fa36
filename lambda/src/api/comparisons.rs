//! `GET /comparisons`: differences between the responses of the two backends, route by route.

use crate::{
    access::auth::Caller, api::respond::json_response, platform::Platform, problem::Problem,
    store::RouteComparison,
};
use axum::{extract::State, http::StatusCode, response::Response};
use cutover_core::{Timestamp, compare::DifferenceCount};
use serde_json::{Value, json};

pub(super) async fn handle(_: Caller, State(platform): State<Platform>) -> Result<Response, Problem> {
    let ledgers = platform.store.ledgers().await?;
    let all: Vec<Value> = ledgers
        .iter()
        .filter_map(|(flag, ledger)| Some((flag.as_ref()?, ledger)))
        .flat_map(|(flag, ledger)| {
            ledger.comparisons.iter().map(move |compared| told(flag.as_str(), compared))
        })
        .collect();
    Ok(json_response(StatusCode::OK, &json!({ "comparisons": all })))
}

/// Returns `part` as a share of `whole`; `None` if nothing was counted.
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn told(flag: &str, compared: &RouteComparison) -> Value {
    let tally = &compared.tally;
    let mut differences: Vec<&DifferenceCount> = tally.differences.iter().collect();
    let is_noise = |counted: &DifferenceCount| counted.is_noise(tally.compared, tally.noise_compared);
    // Real differences before noise, and the most frequent ones first.
    differences
        .sort_by_key(|counted| (is_noise(counted), std::cmp::Reverse(counted.count), counted.path.clone()));
    let skipped: serde_json::Map<String, Value> =
        tally.skipped.iter().map(|(reason, count)| (reason.as_str().to_owned(), json!(count))).collect();
    json!({
        "flag": flag,
        "route": compared.route,
        "run": compared.run,
        "since": Timestamp::from_millis(compared.since),
        "until": Timestamp::from_millis(compared.until),
        "compared": tally.compared,
        "mismatched": tally.mismatched,
        "mismatch_rate": share(tally.mismatched, tally.compared),
        "noise_compared": tally.noise_compared,
        "skipped": skipped,
        "differences": differences
            .into_iter()
            .map(|counted| json!({
                "path": counted.path,
                "kind": counted.kind,
                "count": counted.count,
                "rate": share(counted.count, tally.compared),
                "noise": counted.noise,
                "noise_rate": share(counted.noise, tally.noise_compared),
                "is_noise": is_noise(counted),
                "example": { "old": counted.example.0, "new": counted.example.1 },
            }))
            .collect::<Vec<_>>(),
        "others": tally.others,
    })
}
