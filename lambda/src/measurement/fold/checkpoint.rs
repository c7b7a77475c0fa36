//! Checkpoints of a fold: ledgers are written together with their positions, and then the cursor.

use crate::{
    clock,
    measurement::fold::Folding,
    store::{CommitError, Cursor, Parked, backoff::backoff, error::StoreError},
};
use std::time::Duration;

/// Number of attempts to write a ledger or the cursor while others are at work on an item of the transaction.
const MAX_TRIES: u32 = 3;

/// Longest wait before the second attempt, in milliseconds.
const FIRST_WAIT_MS: u64 = 40;

/// Most ledgers that are parked. More failures than these are not of single flags, so the cursor does not move.
const MAX_PARKED: usize = 16;

/// Largest part of the roll in one item, in bytes.
const ROLL_PART: usize = 300_000;

impl Folding<'_> {
    /// Writes the ledger of a flag if it has changed. Returns false if it could not be written; the flag is parked then, unless
    /// somebody else holds the lease, which is no fault of the flag.
    pub(in crate::measurement) async fn checkpoint(&mut self, name: &str) -> bool {
        for attempt in 0..MAX_TRIES {
            let at = (self.fold.positions_of(name), self.horizon(self.through));
            let Some(account) = self.accounts.get_mut(name) else { return !self.fold.is_parked(name) };
            match account.checkpoint(self.platform, &self.state, self.lease, at).await {
                Ok(()) => {
                    self.fold.wrote(name);
                    self.ledgers += 1;
                    return true;
                }
                // The run has moved on, or somebody else has written the ledger. Nothing was written here.
                Err(CommitError::Conflict) => {
                    if self.has_lost_lease().await {
                        return false;
                    }
                    tokio::time::sleep(backoff(FIRST_WAIT_MS, attempt)).await;
                    if let Err(error) = self.renew_state().await {
                        self.park(name, &error);
                        return false;
                    }
                }
                Err(CommitError::Store(error)) => {
                    self.park(name, &error);
                    return false;
                }
            }
        }
        self.park(name, &StoreError::Restless);
        false
    }

    /// Writes all ledgers that have changed or wait, and then the cursor. Returns false if somebody else holds the lease.
    pub(in crate::measurement) async fn checkpoint_all(
        &mut self,
        patience: Duration,
    ) -> Result<bool, StoreError> {
        let mut names = self.fold.changed();
        let horizon = self.horizon(self.through);
        let waiting = self.accounts.iter().filter(|(_, account)| account.is_waiting(&self.state, horizon));
        names.extend(waiting.map(|(name, _)| name.clone()));
        names.sort_unstable();
        names.dedup();
        for name in names {
            self.keep_lease().await?;
            self.checkpoint(&name).await;
            if self.is_superseded {
                return Ok(false);
            }
        }
        self.catch_up(patience).await?;
        self.end_deleted().await?;
        if self.is_superseded {
            return Ok(false);
        }
        if let Err(error) = self.remove_ledgers().await {
            // The next checkpoint does it, or whoever has taken the lease.
            tracing::warn!(%error, "the ledgers of deleted flags could not be removed");
        }
        let Some((positions, parked)) = self.fold.cursor() else { return Err(StoreError::Restless) };
        if parked.len() > MAX_PARKED {
            // The others are judged, and their own ledgers have their positions.
            let parked = parked.len();
            tracing::error!(event = "cursor_held", parked, "too many ledgers cannot be read or written");
            return Ok(true);
        }
        let now = clock::now().millis();
        // As of the batches that were read: what is not read yet may be the next word of an isolate.
        self.find_lost(now.min(self.through));
        let mut next = Cursor { positions, through: self.through, ..self.cursor.clone() };
        // One that cannot be read has missed nothing where nothing has arrived; it is told nevertheless.
        let unreadable = self.failures.keys().map(|name| (name.clone(), self.fold.own(name)));
        next.parked = unreadable
            .chain(parked)
            .map(|(name, positions)| {
                let held = self.cursor.parked.get(&name);
                let through = held.map_or(self.cursor.through, |held| held.through);
                let is_advanced = held.is_some_and(|held| held.is_passed_by(&positions));
                let failure = self.failures.get(&name).map(ToString::to_string);
                let reason = failure.or_else(|| held.map(|held| held.reason.clone())).unwrap_or_default();
                (name, Parked { positions, through, reason, is_advanced })
            })
            .collect();
        if !self.write_cursor(&next).await? {
            return Ok(false);
        }
        self.fold.wrote_cursor();
        next.version += 1;
        self.cursor = next;
        self.failures.clear();
        self.platform.store.write_roll(self.roll.pack(ROLL_PART)).await?;
        Ok(true)
    }

    /// Writes the cursor. Returns false if somebody else holds the lease. A refusal alone does not say that: those that stand by
    /// look at the lease every second, and DynamoDB refuses a transaction while another write is at work on one of its items.
    async fn write_cursor(&mut self, next: &Cursor) -> Result<bool, StoreError> {
        for attempt in 0..MAX_TRIES {
            match self.platform.store.write_cursor(next, self.lease).await {
                Ok(()) => return Ok(true),
                Err(CommitError::Store(error)) => return Err(error),
                Err(CommitError::Conflict) => {}
            }
            if self.has_lost_lease().await {
                return Ok(false);
            }
            tokio::time::sleep(backoff(FIRST_WAIT_MS, attempt)).await;
        }
        Err(StoreError::Restless)
    }

    fn find_lost(&mut self, now: i64) {
        let lost = self.roll.find_lost(now);
        let (isolates, oldest_snapshot_ms) = self.roll.active(now);
        let totals = &mut self.cursor.totals;
        totals.isolates_lost = totals.isolates_lost.saturating_add(lost);
        totals.isolates_lost_lately = self.roll.lost_lately();
        (totals.isolates, totals.oldest_snapshot_ms) = (isolates, oldest_snapshot_ms);
        self.lost += lost;
        if lost > 0 {
            tracing::warn!(
                event = "isolates_lost",
                lost,
                isolates,
                "isolates fell silent; their last counts are unknown"
            );
        }
    }
}
