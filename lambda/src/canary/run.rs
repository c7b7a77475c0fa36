//! The evidence of a canary run, and the circumstances of its decisions.

use crate::{
    platform::Platform,
    store::{RUNS, State, Write, error::StoreError},
};
use cutover_core::{
    RunId,
    canary::{Evidence, Run, TickContext, fold},
};
use serde_json::json;

/// Returns the current evidence of a run.
///
/// # Errors
///
/// Fails if the table cannot be read or an item cannot be decoded.
pub async fn evidence_of(platform: &Platform, run: &Run) -> Result<Evidence, StoreError> {
    let ledger = platform.store.ledger(Some(&run.flag)).await?;
    // Folding in no windows turns evidence of an earlier step into that of the previous step.
    Ok(fold(run, ledger.evidence.as_ref(), &[]))
}

/// Returns the inputs of a decision other than the evidence.
pub fn circumstances(state: &State, run: &Run) -> TickContext {
    TickContext {
        emergency: state.is_held(&run.flag),
        enabled: state.config.feature_flags.get(&run.flag).is_some_and(|flag| flag.enabled),
        plan: state.config.canary_deployments.get(&run.flag).cloned(),
    }
}

/// Returns the id of a run that is started by the next revision.
pub fn run_id(state: &State) -> RunId {
    RunId::of_revision(state.head.revision.next())
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
