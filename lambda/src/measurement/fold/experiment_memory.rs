//! Memory of a fold about experiments, beside their accounts.

use cutover_core::{ExperimentName, experiment::Record};
use std::collections::{BTreeMap, BTreeSet};

/// Memory of a fold about experiments, beside their accounts.
#[derive(Default)]
pub(super) struct ExperimentMemory {
    /// Records of guardrails that have fired, until their experiments are stopped.
    pub(super) harms: BTreeMap<ExperimentName, Record>,
    /// Experiments of which everything is written.
    pub(super) finished: BTreeSet<ExperimentName>,
}
