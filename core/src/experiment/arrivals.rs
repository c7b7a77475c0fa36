//! Arrivals of a tick: the parts of the batches that belong to one phase of an experiment, each once.

use crate::{
    measurement::{batch::Batch, experiments::ExperimentPart},
    vocabulary::names::ExperimentName,
};
use std::collections::BTreeMap;

/// Everything of one phase that arrived in a tick, by isolate and number of the batch: a batch that is read twice counts
/// once, and no order of arrival shows. Between ticks the log of batches guarantees the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrivals {
    experiment: ExperimentName,
    phase: u32,
    parts: BTreeMap<(String, u64), Vec<ExperimentPart>>,
}

impl Arrivals {
    /// Begins to gather for a phase.
    pub fn new(experiment: ExperimentName, phase: u32) -> Self {
        Self { experiment, phase, parts: BTreeMap::new() }
    }

    /// Adds the parts of a batch that belong to the phase.
    pub fn add(&mut self, batch: &Batch) {
        let is_own = |part: &&ExperimentPart| part.experiment == self.experiment && part.phase == self.phase;
        let own: Vec<ExperimentPart> = batch.experiments.iter().filter(is_own).cloned().collect();
        if !own.is_empty() {
            self.parts.insert((batch.isolate.clone(), batch.sequence), own);
        }
    }

    /// Returns the exposures and outcomes until a time in seconds since 1970.
    #[must_use]
    pub fn until(&self, end: i64) -> Self {
        let mut until = self.clone();
        for part in until.parts.values_mut().flatten() {
            let since = part.since;
            let is_before = |after_s: u32| since.saturating_add(i64::from(after_s)) <= end;
            part.exposures.retain(|exposure| is_before(exposure.after_s));
            part.outcomes.retain(|outcome| is_before(outcome.after_s));
            part.guardrails.retain(|event| is_before(event.after_s));
        }
        until
    }

    /// Returns true if nothing of the phase has arrived.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Returns the parts, in one order.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &ExperimentPart> {
        self.parts.values().flatten()
    }
}
