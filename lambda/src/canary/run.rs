//! The evidence of a canary run, and the circumstances of its decisions.

use crate::{
    access::digest,
    platform::Platform,
    problem::Problem,
    store::{Cursor, RUNS, State, Write, error::StoreError},
};
use cutover_core::{
    RunId, Stamp, Timestamp,
    canary::{Evidence, Run, RunIdentity, TickContext, fold},
};
use serde_json::json;

/// Returns the current evidence of a run.
///
/// # Errors
///
/// Fails if the table cannot be read or an item cannot be decoded.
pub async fn evidence_of(platform: &Platform, run: &Run) -> Result<Evidence, StoreError> {
    let evidence = platform.store.evidence(&run.flag).await?;
    // Folding in no windows turns evidence of an earlier step into that of the previous step.
    Ok(fold(run, evidence.as_ref(), &[]))
}

/// Returns the inputs of a decision other than the evidence. The cursor must have been read before the evidence, which is
/// then at least as new as the cursor says.
pub fn circumstances(cursor: &Cursor, state: &State, run: &Run) -> TickContext {
    let through = cursor.through_of(run);
    TickContext {
        emergency: state.is_held(&run.flag),
        enabled: state.config.feature_flags.get(&run.flag).is_some_and(|flag| flag.enabled),
        plan: state.config.canary_deployments.get(&run.flag).cloned(),
        through: (through > 0).then(|| Timestamp::from_millis(through)),
        flag_changed: state.meta("feature_flags", run.flag.as_str()).map(|meta| meta.updated_at),
    }
}

/// Returns the identity of a run that is started by the next revision, with a new secret key.
///
/// # Errors
///
/// Returns the problem `no_randomness` if the operating system provides no random bytes.
pub fn run_identity(state: &State) -> Result<RunIdentity, Problem> {
    let id = RunId::of_stamp(Stamp { epoch: state.head.epoch, revision: state.head.revision.next() });
    Ok(RunIdentity { id, key: Some(digest::random::<16>()?) })
}

/// Returns the write that replaces the run of a flag.
pub fn run_write(state: &State, run: &Run) -> Write {
    Write::Object {
        section: RUNS.to_owned(),
        name: run.flag.to_string(),
        value: Some(json!(run)),
        expected: state.meta(RUNS, run.flag.as_str()).map(|meta| meta.version),
    }
}
