//! `GET /status`: progress and health of the migration at a glance.

use crate::{
    access::auth::Caller,
    api::{get_emergency, measured, respond::json_response},
    clock,
    platform::Platform,
    problem::Problem,
    store::{LedgerParts, State as Truth, WindowCounts},
};
use axum::{extract::State, http::StatusCode, response::Response};
use cutover_core::{Arm, FlagName, config::Progress};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) async fn handle(_: Caller, State(platform): State<Platform>) -> Result<Response, Problem> {
    let state = platform.store.state().await?;
    let ledgers = measured::ledgers(&platform.store, &state.config, LedgerParts::None).await?;
    let unknown = platform.store.cursor().await?.totals.isolates_lost_lately;
    let fleet = platform.store.fleet_revisions().await?.filter(|fleet| fleet.is_recent(clock::now()));
    let recent = RecentTotals::of(ledgers.values().flat_map(|ledger| &ledger.recent));
    let mut body = status(&state, &recent, unknown);
    if let Some(fields) = body.as_object_mut() {
        // Revisions of the isolates that reported lately; null if their batches have not been read lately.
        fields.insert("isolates".to_owned(), json!(fleet));
        // Times at which the scheduled functions last completed, without those that never did.
        fields.insert("schedule".to_owned(), json!(platform.store.ticks().await?));
        fields.insert("now".to_owned(), json!(clock::now()));
        let epoch = state.head.epoch;
        if !epoch.is_first() {
            fields.insert("epoch".to_owned(), json!(epoch));
        }
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
    let emergency = state.head.emergency.as_ref();
    let runs_canary = |flag: &FlagName| state.active_run(flag).is_some();
    let Progress { phase, percent, active } = Progress::of(&state.config, emergency, runs_canary);
    let percent = rounded(percent);
    // The measured share, or the configured one if nothing was measured.
    let on_new = recent.per_request(recent.on_new).map_or(percent, |share| share * 100.0);
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
    let error_rate = recent.per_request(recent.errors);
    let response_time = recent.per_request(recent.duration_ms);
    json!({
        // Strict clients decode these two objects, so they have no further fields and no nulls.
        "migration_progress": {
            "phase": phase,
            "completion_percentage": percent,
            "active_flags": active,
            "traffic_distribution": {
                "graphql": rounded(on_new),
                "rest": rounded(100.0 - on_new),
            },
        },
        "health": {
            "status": health,
            "error_rate": error_rate.unwrap_or_default(),
            "avg_response_time": response_time.unwrap_or_default().round() as u64,
        },
        // The same rates, where unknown is null.
        "measurement": {
            "requests": recent.requests,
            "error_rate": error_rate,
            "avg_response_time_ms": response_time,
            // Isolates that fell silent in the last hour; their last counts are unknown.
            "unknown_isolates": unknown,
        },
        "canaries": canaries,
        "revision": state.head.revision,
        "published_revision": state.published,
        "emergency": get_emergency::in_force(state),
        "held_flags": get_emergency::held_flags(state),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::config::Config;
    use serde::de::DeserializeOwned;

    /// The established body of `GET /status`, to the letter.
    const ESTABLISHED: &str = r#"{
      "migration_progress": {
        "phase": "read_operations",
        "completion_percentage": 25.0,
        "active_flags": ["graphql_reviews_read"],
        "traffic_distribution": {
          "graphql": 25.0,
          "rest": 75.0
        }
      },
      "health": {
        "status": "healthy",
        "error_rate": 0.02,
        "avg_response_time": 150
      }
    }"#;

    /// Strict decoder of `migration_progress`, made from [`ESTABLISHED`].
    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct MigrationProgress {
        phase: String,
        completion_percentage: f64,
        active_flags: Vec<String>,
        traffic_distribution: TrafficDistribution,
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct TrafficDistribution {
        graphql: f64,
        rest: f64,
    }

    /// Strict decoder of `health`, made from [`ESTABLISHED`].
    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Health {
        status: String,
        error_rate: f64,
        avg_response_time: u64,
    }

    fn decoded<T: DeserializeOwned>(body: &Value, name: &str) -> T {
        serde_json::from_value(body[name].clone()).unwrap_or_else(|error| panic!("{name}: {error}: {body:#}"))
    }

    fn example() -> Truth {
        let mut truth = Truth::default();
        truth.config = Config::from_yaml(include_str!("../../../docs/example.yaml")).unwrap();
        truth
    }

    #[test]
    fn a_strict_client_of_the_established_interface_reads_the_status() {
        let established: Value = serde_json::from_str(ESTABLISHED).unwrap();
        let measured = RecentTotals { requests: 10_000, on_new: 2_500, errors: 200, duration_ms: 1_496_000 };
        let shown = status(&example(), &measured, 0);
        let progress: MigrationProgress = decoded(&shown, "migration_progress");
        assert_eq!(progress, decoded(&established, "migration_progress"));
        let health: Health = decoded(&shown, "health");
        assert_eq!(health, decoded(&established, "health"));
    }

    #[test]
    fn users_of_an_experiment_are_not_reported_as_none() {
        let text = "feature_flags: { f: { enabled: true } }
experiments:
  e: { name: E, flag: f, variants: [{ key: a, name: A, arm: legacy, traffic_percentage: 50 },
       { key: b, name: B, arm: new, traffic_percentage: 50 }] }";
        let mut truth = Truth::default();
        truth.config = Config::from_yaml(text).unwrap();
        let shown = status(&truth, &RecentTotals::default(), 0);
        let progress: MigrationProgress = decoded(&shown, "migration_progress");
        assert_eq!((progress.phase.as_str(), progress.completion_percentage), ("read_operations", 50.0));
        assert_eq!(progress.traffic_distribution, TrafficDistribution { graphql: 50.0, rest: 50.0 });
    }

    #[test]
    fn without_measurements_the_established_fields_are_numbers_and_the_others_null() {
        for truth in [Truth::default(), example()] {
            let shown = status(&truth, &RecentTotals::default(), 0);
            let _: MigrationProgress = decoded(&shown, "migration_progress");
            let health: Health = decoded(&shown, "health");
            assert_eq!((health.error_rate, health.avg_response_time), (0.0, 0));
            let measurement = &shown["measurement"];
            assert_eq!(measurement["requests"], 0);
            assert!(measurement["error_rate"].is_null() && measurement["avg_response_time_ms"].is_null());
        }
    }
}
