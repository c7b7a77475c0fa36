//! `POST /restore`: begins an epoch, after the table was restored from a backup.
//!
//! Revisions count on from the backup's then, below those that running isolates hold. The epoch stands above them, so that
//! isolates follow the restored table. Everything is in the head: evaluation finds there that its cursor is of an earlier epoch.
//! Canaries and experiments come back paused.

use crate::{
    canary::run::run_write,
    change::{
        commit::change,
        demand::ChangeRequest,
        operation::Operation,
        proposal::{ChangeResponse, Proposal},
    },
    platform::Platform,
    problem::Problem,
    store::{EmergencyChange, MAX_WRITES, RUNS, Role},
};
use axum::{extract::State, http::StatusCode};
use cutover_core::{canary::RunState, config::Config, rules::experiment::document::ExperimentState};
use serde_json::json;

/// Reason of the runs that a restore pauses.
const RESTORED: &str = "restored";

pub(super) async fn handle(
    State(platform): State<Platform>,
    demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    demand.caller.must_be(Role::Admin)?;
    demand.must_have_no_body()?;
    change(&platform, &demand, Operation::Restore, |truth| {
        // They may have been paused or stopped since the backup. Each begins to run again by a start, with its checks.
        let (config, ended) = with_experiments_paused(&truth.config);
        let climbing =
            truth.runs.values().filter(|run| run.state.is_active() && run.state != RunState::Paused);
        // What was counted between the backup and the restore is unknown. A run that finds no room here holds for that reason.
        let room = MAX_WRITES.saturating_sub(ended);
        let paused: Vec<_> = climbing.take(room).map(|run| run.paused(RESTORED)).collect();
        let flags: Vec<_> = paused.iter().map(|run| run.flag.clone()).collect();
        let others = paused.iter().map(|run| (format!("{RUNS}/{}", run.flag), run_write(truth, run)));
        Ok(Proposal {
            config,
            emergency: EmergencyChange::Keep,
            others: others.collect(),
            answer: Box::new(move |outcome| {
                let experiments: Vec<&str> =
                    outcome.changes.iter().map(|change| change.name.as_str()).collect();
                let body =
                    json!({ "epoch": outcome.epoch, "paused": flags, "paused_experiments": experiments });
                (StatusCode::OK, body)
            }),
        })
    })
    .await
}

/// Returns the configuration with all running experiments paused, and their number.
fn with_experiments_paused(config: &Config) -> (Config, usize) {
    let mut config = config.clone();
    let mut paused = 0;
    for experiment in config.ab_tests.values_mut().filter(|experiment| experiment.is_running()) {
        experiment.state = ExperimentState::Paused;
        paused += 1;
    }
    (config, paused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::config::diff;
    use std::collections::BTreeMap;

    #[test]
    fn running_experiments_come_back_paused_and_the_others_as_they_were() {
        let experiment = |name: &str, state: &str| {
            format!("  {name}: {{ name: E, state: {state}, variants: {{ a: A, b: B }} }}\n")
        };
        let states = [("r", "running"), ("d", "draft"), ("p", "paused"), ("s", "stopped")];
        let experiments: String = states.map(|(name, state)| experiment(name, state)).concat();
        let config = Config::from_yaml(&format!("experiments:\n{experiments}")).unwrap();
        let (restored, paused) = with_experiments_paused(&config);
        assert_eq!(paused, 1);
        let changes = diff(&config, &restored);
        let changed: Vec<_> = changes.iter().map(|change| (change.object(), &change.fields)).collect();
        let fields = BTreeMap::from([("state".to_owned(), (json!("running"), json!("paused")))]);
        assert_eq!(changed, [("ab_tests/r".to_owned(), &fields)]);
    }
}
