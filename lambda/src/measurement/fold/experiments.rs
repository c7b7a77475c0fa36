//! Experiments in a fold: their accounts are open while they may have something to say, and are judged in memory.

use crate::{
    clock,
    measurement::{accounts::Account, fold::Folding},
    store::LedgerSubject,
};
use cutover_core::{ExperimentName, experiment::Record, rules::experiment::document::ExperimentState};

impl Folding<'_> {
    /// Returns the experiments that were ever started.
    pub(in crate::measurement) fn experiments(&self) -> Vec<ExperimentName> {
        let started =
            self.state.config.ab_tests.iter().filter(|(_, held)| held.state != ExperimentState::Draft);
        started.map(|(name, _)| name.clone()).collect()
    }

    /// Judges the phase of an experiment that is counted, if it is due, and writes its record if the conclusion is another one.
    /// Returns the record; `None` if nothing is to be judged, or if it could not be written.
    pub(in crate::measurement) async fn judge(&mut self, name: &ExperimentName) -> Option<Record> {
        let ledger = LedgerSubject::Experiment(name).to_string();
        if self.fold.is_parked(&ledger) || !self.open(&ledger).await {
            return None;
        }
        let Self { accounts, state, .. } = self;
        let Some(Account::Experiment(account)) = accounts.get_mut(&ledger) else { return None };
        let record = account.judge(state, clock::now());
        if account.has_records() && !self.checkpoint(&ledger).await {
            return None;
        }
        record
    }
}
