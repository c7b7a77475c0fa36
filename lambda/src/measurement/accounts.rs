//! Accounts by the names of their ledgers: those of flags, and those of experiments. A fold treats them alike.

use crate::{
    measurement::{
        account::{FlagAccount, Horizon},
        experiment_account::ExperimentAccount,
    },
    platform::Platform,
    store::{CommitError, FlagGap, Lease, Ledger, LedgerSubject, State, error::StoreError},
};
use cutover_core::measurement::{batch::Batch, log::Positions};
use std::collections::BTreeSet;

/// Account of a flag or an experiment.
pub(super) enum Account {
    /// Of a flag, or of requests that no flag decided.
    Flag(Box<FlagAccount>),
    /// Of an experiment.
    Experiment(Box<ExperimentAccount>),
}

impl Account {
    /// Reads the ledger of this name, and its evidence.
    pub(super) async fn open(platform: &Platform, name: &str, stream: &str) -> Result<Self, StoreError> {
        Ok(match LedgerSubject::experiment(name) {
            Some(experiment) => {
                Self::Experiment(Box::new(ExperimentAccount::open(platform, experiment, stream).await?))
            }
            None => Self::Flag(Box::new(FlagAccount::open(platform, name.parse().ok(), stream).await?)),
        })
    }

    fn ledger(&self) -> &Ledger {
        match self {
            Self::Flag(account) => account.ledger(),
            Self::Experiment(account) => account.ledger(),
        }
    }

    /// Returns the positions that the ledger was written with.
    pub(super) fn positions(&self) -> &Positions {
        &self.ledger().positions
    }

    /// Returns the arrival time up to which the ledger was complete when it was written, in milliseconds since 1970.
    pub(super) fn through(&self) -> i64 {
        self.ledger().through
    }

    /// Returns the time at which the ledger was written, in milliseconds since 1970. That of an earlier version is not known, and
    /// is at least the time up to which it was complete.
    pub(super) fn written_at(&self) -> i64 {
        self.ledger().written_at.max(self.ledger().through)
    }

    /// Returns true if there is no ledger yet.
    pub(super) fn is_new(&self) -> bool {
        self.ledger().version == 0
    }

    /// Adds what a batch that arrived at `at` holds of the subject. The state must be newer than the batch.
    pub(super) fn add(&mut self, state: &State, at: i64, batch: &Batch) {
        match self {
            Self::Flag(account) => account.add(state, at, batch),
            Self::Experiment(account) => account.add(state, at, batch),
        }
    }

    /// Notes that the counts of a period have expired. A flag's are noted in the cursor alone.
    pub(super) fn note_gap(&mut self, gap: FlagGap) {
        if let Self::Experiment(account) = self {
            account.note_gap(gap);
        }
    }

    /// Returns true if something is to be written, though nothing of the subject has arrived.
    pub(super) fn is_waiting(&self, state: &State, horizon: Horizon) -> bool {
        match self {
            Self::Flag(account) => account.is_waiting(state, horizon),
            Self::Experiment(account) => account.is_waiting(),
        }
    }

    /// Writes the ledger, complete up to these positions and this horizon, with its evidence and records.
    ///
    /// After a failure, the account is to be dropped: it may have been written.
    pub(super) async fn checkpoint(
        &mut self,
        platform: &Platform,
        state: &State,
        lease: Lease,
        at: (Positions, Horizon),
    ) -> Result<(), CommitError> {
        match self {
            Self::Flag(account) => account.checkpoint(platform, state, lease, at).await,
            Self::Experiment(account) => account.checkpoint(platform, state, lease, at).await,
        }
    }
}

/// Returns the names of the ledgers of which a batch holds anything.
pub(super) fn names(batch: &Batch) -> BTreeSet<String> {
    let cells = batch.cells.iter().map(|cell| LedgerSubject::from(cell.flag.as_ref()));
    let users = batch.users.iter().map(|users| LedgerSubject::Flag(&users.flag));
    let comparisons = batch.comparisons.iter().map(|compared| LedgerSubject::Flag(&compared.flag));
    let losses = batch.losses.iter().map(|loss| LedgerSubject::Flag(&loss.flag));
    let experiments = batch.experiments.iter().map(|part| LedgerSubject::Experiment(&part.experiment));
    let all = cells.chain(users).chain(comparisons).chain(losses).chain(experiments);
    all.map(|subject| subject.to_string()).collect()
}
