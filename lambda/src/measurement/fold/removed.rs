//! Ledgers of deleted flags and experiments. They are removed by a checkpoint, and what isolates still report of these flags is passed over.

use crate::{
    clock,
    measurement::{accounts::Account, fold::Folding},
    store::{CommitError, LedgerSubject, error::StoreError},
};
use cutover_core::FlagName;

/// Time for which the ledger of a deleted experiment that cannot be read or written is kept, in milliseconds: that of
/// the log, whose batches it lacks.
const KEPT_UNWRITTEN_MS: i64 = 24 * 60 * 60 * 1_000;

impl Folding<'_> {
    /// Returns true if a flag is configured, or its canary runs, or if an experiment is configured.
    pub(super) fn is_configured(&self, name: &str) -> bool {
        let state = &self.state;
        if let Some(experiment) = LedgerSubject::experiment(name) {
            return state.config.ab_tests.contains_key(&experiment);
        }
        name.parse::<FlagName>().is_ok_and(|flag| {
            state.config.feature_flags.contains_key(&flag) || state.active_run(&flag).is_some()
        })
    }

    /// Notes that a flag has a ledger, which may be unreadable. A flag that was never seen in the configuration is not noted, and keeps it.
    pub(super) fn note_known(&mut self, name: &str) {
        if self.is_configured(name) {
            self.known.note(name);
        }
    }

    /// Returns true if the ledger of a flag was removed, and the flag is not configured again.
    pub(super) fn is_removed(&self, name: &str) -> bool {
        self.known.is_removed(name) && !self.is_configured(name)
    }

    /// Returns true if a deleted experiment waits for its last record to be written, for a day at most. A ledger that
    /// cannot be decoded has nothing to make a record of.
    fn awaits_last_record(&self, name: &str, now: i64) -> bool {
        if LedgerSubject::experiment(name).is_none() || !self.known.has(name) {
            return false;
        }
        let account = self.accounts.get(name);
        let is_unwritten = matches!(account, Some(Account::Experiment(account)) if account.is_waiting());
        let failure = self.failures.get(name);
        let is_behind =
            (self.fold.is_parked(name) || failure.is_some()) && !matches!(failure, Some(StoreError::Item(_)));
        let through = self.cursor.parked.get(name).map_or(now, |parked| parked.through);
        (is_unwritten || is_behind) && now.saturating_sub(through) < KEPT_UNWRITTEN_MS
    }

    /// Returns true if a parked ledger has nothing of the phase that is counted: it was parked before the phase began.
    /// The experiment may have been deleted and created again between two checkpoints.
    pub(super) fn is_outdated(&self, name: &str) -> bool {
        let phase = LedgerSubject::experiment(name).and_then(|name| self.state.counted_phase(&name));
        let parked = self.cursor.parked.get(name);
        phase.zip(parked).is_some_and(|((identity, _), parked)| parked.through < identity.began.millis())
    }

    /// Removes a ledger that cannot be decoded and is outdated, so that the guardrails of the new phase are judged. It
    /// stays parked at its positions, and what arrived since is counted in a ledger that begins anew.
    pub(super) async fn remove_outdated(&mut self, name: &str) -> Result<(), StoreError> {
        self.platform.store.remove_ledger(name, self.lease).await?;
        tracing::warn!(
            event = "ledger_removed",
            flag = name,
            "a ledger that cannot be read was removed: the phase that it was of is over"
        );
        Ok(())
    }

    /// Removes the ledgers of deleted flags, and writes the names of the ledgers if they have changed. All ledgers must be
    /// written, but for those of experiments whose last record cannot be. It comes before the cursor: what was folded
    /// into a ledger that has no name yet is folded once more.
    pub(super) async fn remove_ledgers(&mut self) -> Result<(), CommitError> {
        let now = clock::now().millis();
        let is_kept = |name: &str| self.is_configured(name) || self.awaits_last_record(name, now);
        let (known, removed) = self.known.after_removal(is_kept, now);
        for name in &removed {
            self.keep_lease().await?;
            self.platform.store.remove_ledger(name, self.lease).await?;
            tracing::info!(event = "ledger_removed", flag = name, "the ledger of a deleted flag was removed");
            self.accounts.remove(name);
            self.failures.remove(name);
            self.cursor.gaps.remove(name);
            // There is nothing left that it could lack.
            let read = self.fold.read().clone();
            self.fold.has_ledger(name, &read);
        }
        if known != self.written {
            self.platform.store.write_known_ledgers(&known, self.lease).await?;
            self.written = known.clone();
        }
        self.known = known;
        Ok(())
    }
}
