//! Parked flags: those whose ledger cannot be read or written. Each is read apart until it has caught up.

use crate::{
    clock,
    measurement::{
        accounts::Account,
        fold::Folding,
        packing,
        reader::{Pages, Reader},
    },
    store::{Parked, error::StoreError},
};
use std::time::{Duration, Instant};

impl Folding<'_> {
    /// Parks a flag: from now on it is read apart.
    pub(super) fn park(&mut self, name: &str, error: &StoreError) {
        tracing::error!(event = "flag_unreadable", flag = name, %error, "the counts of a flag are not evaluated");
        self.fold.park(name);
        // Otherwise one that is never opened would stay when its flag is deleted.
        self.note_known(name);
        self.accounts.remove(name);
        self.failures.insert(name.to_owned(), error.clone());
    }

    /// Reads the log for the parked flags, each from its own positions on, up to where everything else was read. The
    /// patience is for all of them, so each is the first one in its turn.
    pub(super) async fn catch_up(&mut self, patience: Duration) -> Result<(), StoreError> {
        let started = Instant::now();
        let parked = self.fold.cursor().map(|(_, parked)| parked.into_keys().collect()).unwrap_or_default();
        // Both grow, and the term does even if no checkpoint succeeds.
        let turn = self.lease.term.wrapping_add(self.cursor.version);
        for name in from_turn(parked, turn) {
            if started.elapsed() > patience || self.is_superseded {
                break;
            }
            if let Err(error) = self.catch_up_one(&name, started, patience).await {
                if self.has_lost_lease().await {
                    // Which is no fault of the flag.
                    break;
                }
                tracing::error!(event = "flag_unreadable", flag = name, %error, "the counts of a flag are not evaluated");
                self.failures.insert(name, error);
            }
        }
        Ok(())
    }

    async fn catch_up_one(
        &mut self,
        name: &str,
        started: Instant,
        patience: Duration,
    ) -> Result<(), StoreError> {
        self.note_known(name);
        let mut account = match self.read_account(name).await {
            Err(StoreError::Item(_)) if self.is_outdated(name) => {
                self.remove_outdated(name).await?;
                self.read_account(name).await?
            }
            read => read?,
        };
        if account.is_new() {
            self.note_lost_progress(name);
        }
        self.fold.has_ledger(name, account.positions());
        let mut own = self.fold.own(name);
        let mut reader = Reader::new(self.platform.store.clone(), self.cursor.stream.clone());
        let listed = reader.list(&own).await?.unwrap_or_default();
        // Everything else was read in shards that are not listed any more, and that this ledger does not know.
        for shard in self.fold.missing_apart(name, &listed) {
            reader.open(shard);
        }
        while !reader.is_done() && started.elapsed() < patience {
            self.keep_lease().await?;
            if self.is_superseded {
                return Ok(());
            }
            let Pages { pages, failure } = reader.pages(&own, i64::MAX).await;
            if let Some(error) = failure {
                return Err(error);
            }
            for page in pages {
                if page.has_gap && self.fold.lacks(name, &page.shard) {
                    self.note_gap_apart(name, account.through());
                }
                for arrival in &page.arrivals {
                    if self.fold.takes_apart(name, &page.shard, &arrival.position)
                        && arrival.at >= self.cursor.passed_over
                        && let Some(batch) = packing::read(&arrival.packed)
                    {
                        account.add(&self.state, arrival.at, &batch);
                    }
                }
                if let Some(progress) = page.progress {
                    // No further than everything else: what comes after is read with it.
                    if let Some(limit) = self.fold.read().of(&page.shard).cloned() {
                        own.note(&page.shard, limit.min(progress));
                    }
                }
            }
            if own.reach(self.fold.read()) {
                break;
            }
        }
        // A guardrail stops its experiment, also if nothing of it can be written.
        if let Account::Experiment(account) = &mut account
            && let Some(harm) = account.harm(&self.state, clock::now())
        {
            self.of_experiments.harms.insert(harm.identity.experiment.clone(), harm);
        }
        // A ledger that begins anew knows no time, and what is parked never goes back.
        let parked = self.cursor.parked.get(name).map_or(0, |parked| parked.through);
        let through = if own.reach(self.fold.read()) { self.through } else { account.through().max(parked) };
        if let Some(gap) = self.cursor.gaps.get(name) {
            account.note_gap(*gap);
        }
        let at = (own.clone(), self.horizon(through));
        account.checkpoint(self.platform, &self.state, self.lease, at).await?;
        self.ledgers += 1;
        self.fold.has_ledger(name, &own);
        if own.reach(self.fold.read()) {
            self.failures.remove(name);
            self.accounts.insert(name.to_owned(), account);
        } else {
            let parked = self
                .cursor
                .parked
                .entry(name.to_owned())
                .or_insert_with(|| Parked { through: self.cursor.through, ..Parked::default() });
            parked.through = parked.through.max(through);
            parked.is_advanced = true;
        }
        Ok(())
    }
}

/// Returns the names in a circle, from the one on whose turn it is.
fn from_turn(mut names: Vec<String>, turn: u64) -> Vec<String> {
    let first = u64::try_from(names.len()).ok().and_then(|count| turn.checked_rem(count));
    names.rotate_left(first.and_then(|first| usize::try_from(first).ok()).unwrap_or_default());
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that takes all the time would leave none to those behind it, for ever.
    #[test]
    fn each_parked_ledger_is_the_first_one_in_its_turn() {
        let names = || ["a", "b", "c"].map(str::to_owned).to_vec();
        let firsts: Vec<String> = (7..10).map(|turn| from_turn(names(), turn).swap_remove(0)).collect();
        assert_eq!(firsts, ["b", "c", "a"]);
        assert_eq!(from_turn(names(), 8), ["c", "a", "b"]);
        assert!(from_turn(Vec::new(), 8).is_empty());
    }
}
