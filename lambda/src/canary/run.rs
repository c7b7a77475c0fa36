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
    TickContext {
        emergency: state.is_held(&run.flag),
        enabled: state.config.feature_flags.get(&run.flag).is_some_and(|flag| flag.enabled),
        plan: state.config.canary_deployments.get(&run.flag).cloned(),
        // Also 0: where nothing was ever read, everything is missing.
        through: Some(Timestamp::from_millis(cursor.through_of(run))),
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
    state.write(RUNS, run.flag.as_str(), Some(json!(run)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::FlagGap;
    use cutover_core::config::Config;
    use std::collections::BTreeMap;

    /// A gap from the very beginning was taken for no gap.
    #[test]
    fn a_run_of_which_nothing_was_ever_read_is_known_to_be_behind() {
        let time = Timestamp::from_millis;
        let config = Config::from_yaml(include_str!("../../../docs/example.yaml")).unwrap();
        let (flag, plan) = config.canary_deployments.into_iter().next().unwrap();
        let identity = RunIdentity { id: "r1".parse().unwrap(), key: None };
        let run = Run::start(identity, flag, plan, time(5), "operator");
        let gap = FlagGap { since: time(0), until: time(6) };
        let gaps = BTreeMap::from([(run.flag.to_string(), gap)]);
        for cursor in [Cursor::default(), Cursor { through: 9, gaps, ..Cursor::default() }] {
            assert_eq!(circumstances(&cursor, &State::default(), &run).through, Some(time(0)), "{cursor:?}");
        }
    }
}
