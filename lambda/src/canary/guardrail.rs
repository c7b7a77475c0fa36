//! Experiments that a guardrail stops: one change ends the experiment, and takes its users back to where its flag sends them.

use crate::{
    canary::decide::ACTOR,
    change::operation::Operation,
    clock,
    platform::Platform,
    store::{
        AuditRecord, Commit, CommitError, EmergencyChange, Lease, Notification, PHASES, Role, State, Write,
        backoff::backoff, error::StoreError,
    },
};
use cutover_core::{
    Timestamp,
    config::{Change, diff},
    experiment::Record,
    rules::experiment::{
        document::{Experiment, ExperimentOutcome, ExperimentState},
        succession::next,
    },
};
use serde_json::json;

/// Section of the configuration that holds the experiments.
const SECTION: &str = "ab_tests";

/// Number of attempts to stop an experiment while the configuration keeps changing.
const MAX_TRIES: u32 = 8;

/// Longest wait before the second attempt, in milliseconds.
const FIRST_WAIT_MS: u64 = 40;

/// Stops the experiment of a record whose guardrail has fired, if the phase of the record is still counted. Returns true if it
/// was stopped.
///
/// # Errors
///
/// Fails if the table cannot be read or written, or if the configuration keeps changing.
pub async fn stop_experiment(platform: &Platform, record: &Record, lease: Lease) -> Result<bool, StoreError> {
    for attempt in 0..MAX_TRIES {
        if attempt > 0 {
            tokio::time::sleep(backoff(FIRST_WAIT_MS, attempt)).await;
        }
        let state = platform.store.state().await?;
        let Some(commit) = stop(platform, &state, record, lease) else { return Ok(false) };
        match platform.store.commit(commit).await {
            Ok(revision) => {
                let experiment = &record.identity.experiment;
                tracing::error!(event = "experiment_stopped", %experiment, revision = revision.0, "a guardrail fired");
                return Ok(true);
            }
            Err(CommitError::Conflict | CommitError::Store(StoreError::Restless)) => {}
            Err(CommitError::Store(error)) => return Err(error),
        }
    }
    Err(StoreError::Restless)
}

/// Builds the change that stops an experiment; `None` if its guardrail has not fired, or its phase is over.
fn stop(platform: &Platform, state: &State, record: &Record, lease: Lease) -> Option<Commit> {
    let name = &record.identity.experiment;
    let harm = record.harm()?;
    let counted = state.phases.get(name)?;
    let running = state.config.ab_tests.get(name).filter(|experiment| experiment.is_running())?;
    let is_of_record = counted.phase == record.identity.phase
        && counted.began == record.identity.began
        && counted.is_of(running);
    if !is_of_record {
        return None;
    }
    let at = clock::now();
    let reason = format!("stopped by itself: {harm}");
    let outcome = ExperimentOutcome { decision: reason.clone(), winner: None };
    let stopped = Experiment { state: ExperimentState::Stopped, outcome: Some(outcome), ..running.clone() };
    let mut config = state.config.clone();
    config.ab_tests.insert(name.clone(), next(name, Some(running), &stopped));
    let changes = diff(&state.config, &config);
    let mut writes = vec![
        state.write(SECTION, name.as_str(), config.object(SECTION, name.as_str())),
        state.write(PHASES, name.as_str(), None),
    ];
    if platform.settings.webhook.is_some() {
        // Without its notification the experiment is stopped as well.
        writes.extend(notification(record, running, &reason, at).item().ok().map(Write::New));
    }
    let objects = changes.iter().map(Change::object).collect();
    let action = Operation::ExperimentStop.as_str();
    let audit = AuditRecord::new(at, ACTOR, Role::Operator, action, Some(reason))
        .with_changes(objects, json!(changes));
    Some(Commit {
        from: state.head.revision,
        epoch: state.head.epoch,
        brakes: state.brakes_after(&writes, &EmergencyChange::Keep),
        writes,
        emergency: EmergencyChange::Keep,
        audit,
        reply: None,
        lease: Some(lease),
    })
}

/// Builds the notification of an experiment that is stopped.
fn notification(record: &Record, running: &Experiment, reason: &str, at: Timestamp) -> Notification {
    let name = &record.identity.experiment;
    let phase = record.identity.phase;
    Notification {
        id: format!("experiment-{name}-{phase}-stop-{}", at.millis()),
        at,
        next_at: at,
        attempts: 0,
        body: json!({
            "event": "experiment_stopped",
            "experiment": name,
            "phase": phase,
            "flag": running.flag,
            "state": ExperimentState::Stopped,
            "conclusion": record.judgement.conclusion,
            "message": reason,
            "at": at,
        }),
    }
}
