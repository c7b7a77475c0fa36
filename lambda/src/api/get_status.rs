//! `GET /status`: progress and health of the migration at a glance.

use crate::{
    access::auth::Caller,
    api::{measured, respond::json_response},
    clock,
    platform::Platform,
    problem::Problem,
    store::{LedgerParts, State as Truth, WindowCounts},
};
use axum::{extract::State, http::StatusCode, response::Response};
use cutover_core::{Arm, Emergency, FlagName, PartsPerMillion};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) async fn handle(_: Caller, State(platform): State<Platform>) -> Result<Response, Problem> {
    let state = platform.store.state().await?;
    let ledgers = measured::ledgers(&platform.store, &state.config, LedgerParts::None).await?;
    let unknown = platform.store.cursor().await?.totals.isolates_lost_lately;
    let recent = RecentTotals::of(ledgers.values().flat_map(|ledger| &ledger.recent));
    let mut body = status(&state, &recent, unknown);
    if let Some(fields) = body.as_object_mut() {
        // Times at which the scheduled functions last completed, without those that never did.
        fields.insert("schedule".to_owned(), json!(platform.store.ticks().await?));
        fields.insert("now".to_owned(), json!(clock::now()));
    }
    Ok(json_response(StatusCode::OK, &body))
}

/// Totals of the last minutes.
#[derive(Default)]
struct RecentTotals {
    requests: u64,
    on_new: u64,
    errors: u64,
    duration_ms: u64,
}

impl RecentTotals {
    fn of<'r>(recent: impl Iterator<Item = &'r WindowCounts> + Clone) -> Self {
        let newest = recent.clone().map(|recent| recent.window).max().unwrap_or_default();
        let mut measured = Self::default();
        // Flags without recent requests say nothing about the current state.
        let five_minutes = 300_000;
        let old = clock::now().millis().saturating_sub(newest) > five_minutes;
        let is_recent = |window: i64| !old && newest.saturating_sub(window) < five_minutes;
        for recent in recent.filter(|recent| is_recent(recent.window)) {
            let on_new = if recent.arm == Arm::New { recent.requests } else { 0 };
            for (sum, count) in [
                (&mut measured.requests, recent.requests),
                (&mut measured.on_new, on_new),
                (&mut measured.errors, recent.errors),
                (&mut measured.duration_ms, recent.duration_ms),
            ] {
                *sum = sum.saturating_add(count);
            }
        }
        measured
    }

    /// Returns a total per request; `None` if there were no requests, because unknown is null,
    /// never zero.
    fn per_request(&self, total: u64) -> Option<f64> {
        (self.requests > 0).then(|| rounded(total as f64 / self.requests as f64))
    }
}

fn rounded(number: f64) -> f64 {
    (number * 10_000.0).round() / 10_000.0
}

fn status(state: &Truth, recent: &RecentTotals, unknown: u64) -> Value {
    let flags = &state.config.feature_flags;
    let emergency = state.head.emergency.as_ref();
    let shares: Vec<f64> =
        flags.iter().map(|(name, flag)| state.share_in_force(name, flag).percent()).collect();
    // Every flag has the same weight: progress is that of the configuration, not of the traffic.
    let progress = if shares.is_empty() { 0.0 } else { shares.iter().sum::<f64>() / shares.len() as f64 };
    let progress = rounded(progress);
    // The measured share, or the configured one if nothing was measured.
    let on_new = recent.per_request(recent.on_new).map_or(progress, |share| share * 100.0);
    let phase = match progress {
        _ if emergency.is_some() => "emergency",
        0.0 => "not_started",
        100.0 => "complete",
        _ => "in_progress",
    };
    let canaries: BTreeMap<&FlagName, Value> = state
        .runs
        .iter()
        .map(|(flag, run)| {
            (flag, json!({ "state": run.state, "percentage": run.share(), "reason": run.reason }))
        })
        .collect();
    let lag = state.head.revision.0.saturating_sub(state.published.0);
    let health = match (emergency, lag) {
        (Some(_), _) => "emergency",
        (None, 0) => "healthy",
        (None, _) => "unpublished",
    };
    json!({
        "migration_progress": {
            "phase": phase,
            "completion_percentage": progress,
            "active_flags": flags.values().filter(|flag| flag.enabled).count(),
            "traffic_distribution": {
                "graphql": rounded(on_new),
                "rest": rounded(100.0 - on_new),
            },
        },
        "health": {
            "status": health,
            "error_rate": recent.per_request(recent.errors),
            "avg_response_time": recent.per_request(recent.duration_ms),
        },
        "measurement": {
            "requests": recent.requests,
            // Isolates that fell silent in the last hour; their last counts are unknown.
            "unknown_isolates": unknown,
        },
        "canaries": canaries,
        "revision": state.head.revision,
        "published_revision": state.published,
        "emergency": emergency.map(with_declarations),
        "held_flags": held_flags(state),
    })
}

/// Returns an emergency with all of its declarations, also one that an earlier version has stored.
fn with_declarations(emergency: &Emergency) -> Emergency {
    Emergency { declarations: emergency.declared(), ..emergency.clone() }
}

/// Lists the flags that an emergency holds, with the share to which each returns when it is cleared.
fn held_flags(state: &Truth) -> Vec<Value> {
    let flags = state.config.feature_flags.iter();
    let held = flags.filter(|(name, _)| state.is_held(name));
    held.map(|(name, flag)| {
        let share = if flag.enabled { flag.rollout_percentage } else { PartsPerMillion::ZERO };
        json!({ "name": name, "returns_to": share })
    })
    .collect()
}
