//! `GET /status`: how far the migration is, on one page.

use super::json_response;
use crate::{Platform, auth::Caller, problem::Problem, store::State as Truth};
use axum::{extract::State, http::StatusCode, response::Response};
use serde_json::{Value, json};

pub(super) async fn handle(_: Caller, State(platform): State<Platform>) -> Result<Response, Problem> {
    let state = platform.store.state().await?;
    Ok(json_response(StatusCode::OK, &status(&state)))
}

fn status(state: &Truth) -> Value {
    let flags = &state.config.feature_flags;
    let emergency = state.head.emergency.as_ref();
    let shares: Vec<f64> = flags
        .iter()
        .map(|(name, flag)| {
            let on = flag.enabled && !emergency.is_some_and(|emergency| emergency.covers(name));
            if on { flag.rollout_percentage.percent() } else { 0.0 }
        })
        .collect();
    // Every flag weighs the same: what is configured, not what traffic made of it.
    let progress = if shares.is_empty() { 0.0 } else { shares.iter().sum::<f64>() / shares.len() as f64 };
    let progress = (progress * 10_000.0).round() / 10_000.0;
    let phase = match progress {
        _ if emergency.is_some() => "emergency",
        0.0 => "not_started",
        100.0 => "complete",
        _ => "in_progress",
    };
    let lag = state.head.revision.0.saturating_sub(state.head.published.0);
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
                "graphql": progress,
                "rest": ((100.0 - progress) * 10_000.0).round() / 10_000.0,
            },
        },
        // No measurements reach the table yet, and an unknown number is null, never zero.
        "health": { "status": health, "error_rate": null, "avg_response_time": null },
        "revision": state.head.revision,
        "published_revision": state.head.published,
        "emergency": state.head.emergency,
    })
}
