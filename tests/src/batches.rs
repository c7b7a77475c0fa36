//! Batches that tests store without isolates, and the canary runs that they are evidence of.

use crate::question::post_signed;
use cutover_core::{
    Arm, Epoch, FlagName, Reason, Revision, Timestamp,
    canary::{Run, RunIdentity},
    config::Config,
    measurement::{
        batch::{Batch, Cell},
        counts::Counts,
    },
};
use cutover_lambda::{
    clock,
    measurement::packing,
    store::{AuditRecord, BatchStatus, Brakes, Commit, EmergencyChange, RUNS, Role, Store, Write},
};
use serde_json::{Value, json};

/// Returns counts of a flag that the bucket decided; with a run, they are evidence of its first step.
pub fn cell(flag: &str, run: Option<&Run>, arm: Arm, counts: Counts) -> Cell {
    Cell {
        flag: Some(name(flag)),
        route: None,
        arm,
        reason: Reason::Rollout,
        revision: Revision(1),
        canary: run.map(|run| (run.id.clone(), 0)),
        counts,
    }
}

/// Returns counts of requests of which some failed.
pub fn counts(requests: u64, server_errors: u64) -> Counts {
    Counts { requests, server_errors, ..Counts::default() }
}

/// Stores a batch as ingest does.
pub async fn store_batch(store: &Store, batch: &Batch) -> BatchStatus {
    let packed = packing::pack(batch.encode().as_bytes());
    let now = clock::now().millis();
    store.store_batch(&batch.isolate, batch.sequence, &packed, now).await.expect("the batch is stored")
}

/// Sends a batch to ingest as an isolate does, signed with a secret. Returns the status and the body of the response.
pub async fn post_batch(client: &reqwest::Client, url: &str, batch: &Batch, secret: &str) -> (u16, Value) {
    post_signed(client, &format!("{url}/v1/batches"), &batch.encode(), secret).await
}

/// Returns the number of requests in the ledger of a flag.
pub async fn requests_in_ledger(store: &Store, flag: &str) -> u64 {
    let ledger = store.ledger(Some(&name(flag))).await.expect("the ledger is read");
    ledger.series.iter().map(|series| series.counts.requests).sum()
}

/// Begins a run of each flag, by the plan of the example configuration, as the first change of all. The runs have no keys, so
/// that no alarm waits for the users behind it: counts alone complete the evidence.
pub async fn begin_runs(store: &Store, flags: &[&str]) -> Vec<Run> {
    begin_runs_at(store, flags, clock::now()).await
}

/// Begins runs as [`begin_runs`] does, which say that they began at another time.
pub async fn begin_runs_at(store: &Store, flags: &[&str], began: Timestamp) -> Vec<Run> {
    let config = Config::from_yaml(include_str!("../../docs/example.yaml")).expect("the example is valid");
    let plan = config.canary_deployments.into_values().next().expect("the example has a canary");
    let mut runs = Vec::new();
    let mut writes = Vec::new();
    for (index, flag) in flags.iter().enumerate() {
        let id = format!("r{index}").parse().expect("a run's id");
        let run = Run::start(RunIdentity { id, key: None }, name(flag), plan.clone(), began, "operator");
        let share = run.share().percent();
        writes.push(object("feature_flags", flag, json!({ "enabled": true, "rollout_percentage": share })));
        writes.push(object("canary_deployments", flag, json!(plan)));
        writes.push(object(RUNS, flag, json!(run)));
        runs.push(run);
    }
    let commit = Commit {
        epoch: Epoch::default(),
        from: Revision::default(),
        writes,
        emergency: EmergencyChange::Keep,
        brakes: Brakes::default(),
        audit: AuditRecord::new(clock::now(), "operator", Role::Operator, "canary.start", None),
        reply: None,
        lease: None,
    };
    store.commit(commit).await.expect("nothing else was changed");
    runs
}

/// Returns a flag's name.
pub fn name(flag: &str) -> FlagName {
    flag.parse().expect("a flag's name")
}

fn object(section: &str, name: &str, value: Value) -> Write {
    Write::Object { section: section.to_owned(), name: name.to_owned(), value: Some(value), expected: None }
}
