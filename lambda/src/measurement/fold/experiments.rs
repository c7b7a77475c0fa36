//! Experiments in a fold: their accounts are open while they may have something to say, and are judged in memory.

use crate::{
    clock,
    measurement::{accounts::Account, fold::Folding},
    store::{LedgerSubject, error::StoreError},
};
use cutover_core::{ExperimentName, experiment::Record, rules::experiment::document::ExperimentState};
use std::time::Duration;

/// Longest time for which the stop of an experiment waits for the record of its harm.
const RECORDING: Duration = Duration::from_secs(3);

impl Folding<'_> {
    /// Returns the experiments that were ever started, but for those of which everything is written. One that is a draft again may
    /// be so before its last phase has its last record.
    pub(in crate::measurement) fn experiments(&self) -> Vec<ExperimentName> {
        let ledger = |name: &ExperimentName| LedgerSubject::Experiment(name).to_string();
        let has_news = |name: &ExperimentName| {
            self.state.phases.contains_key(name)
                || !self.of_experiments.finished.contains(name)
                || self.accounts.contains_key(&ledger(name))
        };
        let configured = self.state.config.ab_tests.iter();
        let started = configured
            .filter(|&(name, held)| held.state != ExperimentState::Draft || self.known.has(&ledger(name)));
        started.map(|(name, _)| name).filter(|name| has_news(name)).cloned().collect()
    }

    /// Returns the record of the guardrail that has fired in an experiment which is not stopped yet. It holds in
    /// memory: a stop needs no ledger.
    pub(in crate::measurement) fn harm(&self, name: &ExperimentName) -> Option<Record> {
        self.of_experiments.harms.get(name).cloned()
    }

    /// Notes that the experiment of a harm was stopped, or that its phase was over.
    pub(in crate::measurement) fn has_stopped(&mut self, name: &ExperimentName) {
        self.of_experiments.harms.remove(name);
    }

    /// Writes the last records of experiments that were deleted before they had one. Their ledgers are removed next,
    /// but for those that cannot be written now.
    pub(super) async fn end_deleted(&mut self) -> Result<(), StoreError> {
        let deleted = self.known.names().filter(|name| !self.is_configured(name));
        let deleted: Vec<ExperimentName> = deleted.filter_map(LedgerSubject::experiment).collect();
        for name in deleted {
            self.keep_lease().await?;
            self.judge(&name).await;
        }
        Ok(())
    }

    /// Judges the phase of an experiment that is counted, if it is due, and writes its record if the conclusion is
    /// another one. Returns the record; `None` if nothing is to be judged, or if it could not be written, which does
    /// not matter to a harm.
    pub(in crate::measurement) async fn judge(&mut self, name: &ExperimentName) -> Option<Record> {
        let ledger = LedgerSubject::Experiment(name).to_string();
        if self.fold.is_parked(&ledger) || !self.open(&ledger).await {
            return None;
        }
        let gap = self.cursor.gaps.get(&ledger).copied();
        let Self { accounts, state, through, .. } = self;
        let Some(Account::Experiment(account)) = accounts.get_mut(&ledger) else { return None };
        account.has_read(*through);
        if let Some(gap) = gap {
            account.note_gap(gap);
        }
        let record = account.judge(state, clock::now());
        let has_records = account.has_records();
        if let Some(harm) = record.as_ref().filter(|record| record.harm().is_some()) {
            self.of_experiments.harms.insert(name.clone(), harm.clone());
            if has_records {
                self.record_harm(name, &ledger).await;
            }
        } else if has_records && !self.checkpoint(&ledger).await {
            return None;
        }
        self.close_finished(name, &ledger);
        record
    }

    /// Writes the record of a harm, if that takes no longer than the stop may wait.
    async fn record_harm(&mut self, name: &ExperimentName, ledger: &str) {
        let written = tokio::time::timeout(RECORDING, self.checkpoint(ledger)).await;
        if written.is_err() {
            // It may have been written.
            let late = format!("no response within {} s", RECORDING.as_secs());
            self.park(ledger, &StoreError::Unknown(late));
        }
        if !written.unwrap_or_default() {
            tracing::error!(event = "harm_unrecorded", experiment = %name, "a guardrail has fired, and its record is not written; the experiment is stopped");
        }
    }

    /// Closes the account of an experiment that is over, with all of its users. A late report opens it again.
    fn close_finished(&mut self, name: &ExperimentName, ledger: &str) {
        let is_over =
            matches!(self.accounts.get(ledger), Some(Account::Experiment(account)) if account.is_over());
        if is_over
            && !self.state.phases.contains_key(name)
            && !self.fold.changed().iter().any(|held| held == ledger)
        {
            self.accounts.remove(ledger);
            self.of_experiments.finished.insert(name.clone());
        }
    }
}
