//! `POST /restore`: begins an epoch, after the table was restored from a backup.
//!
//! Revisions count on from the backup's then, below those that running isolates hold. The epoch stands above them, so that
//! isolates follow the restored table. Everything is in the head: evaluation finds there that its cursor is of an earlier epoch.

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
use cutover_core::canary::RunState;
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
        let climbing =
            truth.runs.values().filter(|run| run.state.is_active() && run.state != RunState::Paused);
        // What was counted between the backup and the restore is unknown. A run that finds no room here holds for that reason.
        let paused: Vec<_> = climbing.take(MAX_WRITES).map(|run| run.paused(RESTORED)).collect();
        let flags: Vec<_> = paused.iter().map(|run| run.flag.clone()).collect();
        let others = paused.iter().map(|run| (format!("{RUNS}/{}", run.flag), run_write(truth, run)));
        Ok(Proposal {
            config: truth.config.clone(),
            emergency: EmergencyChange::Keep,
            others: others.collect(),
            answer: Box::new(move |outcome| {
                (StatusCode::OK, json!({ "epoch": outcome.epoch, "paused": flags }))
            }),
        })
    })
    .await
}
