//! Experiments in a fold: their accounts are open while they may have something to say, and are judged in memory.

use crate::{
    clock,
    measurement::{accounts::Account, fold::Folding},
    store::{Cursor, FlagGap, LedgerSubject, error::StoreError},
};
use cutover_core::{
    ExperimentName, Timestamp, experiment::Record, rules::experiment::document::ExperimentState,
};

impl Folding<'_> {
    /// Returns the experiments that were ever started. One that is a draft again may be so before its last phase has its last record.
    pub(in crate::measurement) fn experiments(&self) -> Vec<ExperimentName> {
        let has_ledger = |name: &ExperimentName| self.known.has(&LedgerSubject::Experiment(name).to_string());
        let all = self.state.config.ab_tests.iter();
        let started = all.filter(|&(name, held)| held.state != ExperimentState::Draft || has_ledger(name));
        started.map(|(name, _)| name.clone()).collect()
    }

    /// Writes the last records of experiments that were deleted before they had one. Their ledgers are removed next.
    pub(super) async fn end_deleted(&mut self) -> Result<(), StoreError> {
        let deleted = self.known.names().filter(|name| !self.is_configured(name));
        let deleted: Vec<ExperimentName> = deleted.filter_map(LedgerSubject::experiment).collect();
        for name in deleted {
            self.keep_lease().await?;
            self.judge(&name).await;
        }
        Ok(())
    }

    /// Notes that reports of all phases that are counted have expired before they were folded.
    pub(super) fn note_report_gap(&mut self, gap: FlagGap) {
        for (name, counted) in &self.state.phases {
            note_report_gap(&mut self.cursor, name, gap, counted.began);
        }
    }

    /// Notes the reports of phases that have expired because nobody read the log for so long.
    pub(super) fn note_expired_reports(&mut self, now: i64) {
        for (name, counted) in &self.state.phases {
            let ledger = LedgerSubject::Experiment(name).to_string();
            if let Some(gap) = self.cursor.expired_since(&ledger, counted.began, now) {
                note_report_gap(&mut self.cursor, name, gap, counted.began);
            }
        }
    }

    /// Judges the phase of an experiment that is counted, if it is due, and writes its record if the conclusion is another one.
    /// Returns the record; `None` if nothing is to be judged, or if it could not be written.
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
        if account.has_records() && !self.checkpoint(&ledger).await {
            return None;
        }
        record
    }
}

/// Notes that the reports of an experiment, whose phase began at `began`, have expired in a period before they were folded.
fn note_report_gap(cursor: &mut Cursor, name: &ExperimentName, gap: FlagGap, began: Timestamp) {
    let FlagGap { since, until } = gap;
    tracing::error!(event = "report_gap", experiment = %name, %since, %until, "reports of an experiment have expired");
    cursor.note_report_gap(&LedgerSubject::Experiment(name).to_string(), gap, began);
}
