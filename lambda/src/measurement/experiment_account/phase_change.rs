//! The end of a phase and the beginning of the next one in the memory about an experiment, and the reports that come
//! late.

use crate::{measurement::experiment_account::ExperimentAccount, store::State};
use cutover_core::{
    Timestamp,
    experiment::{Phase, PhaseIdentity},
};

/// Section of the configuration that holds the experiments.
const SECTION: &str = "ab_tests";

impl ExperimentAccount {
    /// Ends the phase if the state counts it no longer, and begins the one that it counts. Reports of the phase that is over are
    /// waited for.
    pub(super) fn follow(&mut self, state: &State, now: Timestamp) {
        let counted = state.counted_phase(&self.name);
        let is_held = |phase: &Phase| {
            counted
                .as_ref()
                .is_some_and(|(identity, design)| phase.identity == *identity && phase.design == *design)
        };
        let is_followed = match &self.phase {
            Some(phase) if phase.ended.is_none() => is_held(phase),
            _ => counted.is_none(),
        };
        if is_followed {
            return;
        }
        self.fold(now);
        let end = self.end(state, counted.as_ref().map(|(identity, _)| identity), now);
        self.records.extend(self.phase.as_mut().and_then(|phase| phase.end(end, now, crate::VERSION)));
        // A phase that is over stays as it is until another one begins.
        if let Some((identity, design)) = counted {
            self.fold_late(now);
            let mut previous = self.phase.take();
            // Of two that are over, the earlier one is waited for no longer.
            let earlier = previous.as_mut().and_then(|previous| previous.previous.take());
            let never = Timestamp::from_millis(i64::MAX);
            self.records.extend(earlier.and_then(|mut earlier| earlier.close(never, now, crate::VERSION)));
            let mut phase = Phase::begin(identity, design, self.capacity);
            phase.previous = previous.map(Box::new);
            self.phase = Some(phase);
        }
    }

    /// Returns the time at which the phase was over that the state does not count: that of the change by which another one began,
    /// or else of the last change of the experiment.
    fn end(&self, state: &State, counted: Option<&PhaseIdentity>, now: Timestamp) -> Timestamp {
        let is_later =
            |began: &Timestamp| self.phase.as_ref().is_some_and(|phase| phase.identity.began < *began);
        let next = counted.map(|identity| identity.began).filter(is_later);
        let changed = state.meta(SECTION, self.name.as_str()).map(|meta| meta.updated_at);
        next.or(changed).unwrap_or(now)
    }

    /// Folds the arrivals of the phase before.
    fn fold_late(&mut self, now: Timestamp) {
        let (arrived, through) = self.times(now);
        let previous = self.phase.as_mut().and_then(|phase| phase.previous.as_mut());
        if let Some((previous, late)) = previous.zip(self.late.take()) {
            previous.fold_through(&late, arrived, through);
            self.has_news = true;
        }
    }

    /// Writes down what has come late of phases that are over, once it is waited for no longer.
    pub(super) fn close(&mut self, state: &State, now: Timestamp) {
        if self.phase.as_ref().is_some_and(|phase| phase.ended.is_some()) {
            self.fold(now);
        }
        self.fold_late(now);
        // The ledger of a deleted experiment is removed, so nothing more is waited for.
        let is_deleted = !state.config.ab_tests.contains_key(&self.name);
        let through = Timestamp::from_millis(if is_deleted { i64::MAX } else { self.through });
        let Some(phase) = &mut self.phase else { return };
        self.records.extend(phase.close(through, now, crate::VERSION));
        if let Some(previous) = phase.previous.take_if(|previous| !previous.is_waiting(through)) {
            let mut previous = *previous;
            self.records.extend(previous.close(through, now, crate::VERSION));
            self.has_news |= !is_deleted;
        }
        // Whoever evaluates reads the phases of all experiments that are over. A deleted one that is behind still has users to
        // recognise, and its ledger is removed as a whole.
        self.has_news |= !is_deleted && phase.forget_users(through);
    }
}
