//! One fold of the log: reads batches behind the cursor, adds them to the accounts of their flags in memory, and writes
//! those as ledgers together with their positions. It may die anywhere, and two may run at once: what a ledger holds is said
//! by its positions, see [`cutover_core::measurement::log`].

mod checkpoint;
mod experiment_memory;
mod experiments;
mod gaps;
mod lease;
mod parked;
mod removed;

use crate::{
    clock,
    measurement::{
        account::Horizon,
        accounts::{Account, names},
        fold::experiment_memory::ExperimentMemory,
        packing,
        reader::{Reader, ShardPage},
        roll::{ACTIVE_MS, Roll},
    },
    platform::Platform,
    store::{Cursor, FlagGap, KnownLedgers, Lease, State, error::StoreError},
};
use cutover_core::{
    Timestamp,
    canary::{Evidence, Run},
    measurement::{
        batch::Batch,
        log::{Fold, Positions},
        pace::Pace,
    },
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Time that a record of the log may take to become readable, in milliseconds. What takes longer is counted in the open
/// arrival window.
const DELAY_MS: i64 = 2_000;

/// Time for which a fold goes on although no shard at all can be read. While some can, it goes on with them.
const READ_PATIENCE: Duration = Duration::from_secs(10);

/// Longest age of a complete reading by which the size of the fleet is known, in milliseconds.
const RECENT_MS: i64 = 32_000;

/// Age of a batch's newest event window beyond which the batch counts as late, in milliseconds.
const LATE_MS: i64 = 60_000;

/// A fold by the holder of a lease.
pub(super) struct Folding<'p> {
    pub(super) platform: &'p Platform,
    pub(super) lease: Lease,
    /// State that runs are judged in, newer than every batch that was folded.
    pub(super) state: State,
    /// The cursor as it was read or written, with the sums over everything read since.
    pub(super) cursor: Cursor,
    /// Pace of reports, as it was read or written.
    pub(super) pace: Pace,
    /// Arrival time up to which everything was read, in milliseconds since 1970.
    pub(super) through: i64,
    /// Number of ledgers that were written.
    pub(super) ledgers: usize,
    /// Number of isolates that were found lost.
    pub(super) lost: u64,
    /// True once somebody else was found to have taken the lease.
    is_superseded: bool,
    /// Time at which the lease was taken or renewed.
    renewed: Instant,
    /// Time of the last reading that did not fail in every shard; at first, that of the beginning.
    read_at: Instant,
    fold: Fold,
    reader: Reader,
    accounts: BTreeMap<String, Account>,
    /// Failures of ledgers since the cursor was written, by flag.
    failures: BTreeMap<String, StoreError>,
    of_experiments: ExperimentMemory,
    roll: Roll,
    /// Names of the ledgers, with those that were opened since they were written.
    known: KnownLedgers,
    /// Names of the ledgers as they were read or written.
    written: KnownLedgers,
}

impl<'p> Folding<'p> {
    /// Begins where the cursor is.
    pub(super) async fn begin(platform: &'p Platform, lease: Lease) -> Result<Self, StoreError> {
        let store = &platform.store;
        // Before any ledger: what the cursor promises is true of ledgers that are read after it.
        let (cursor, stored, state, stream, pace, known) = tokio::try_join!(
            store.cursor(),
            store.roll(),
            store.state(),
            store.stream(),
            store.pace(),
            store.known_ledgers()
        )?;
        let mut roll = Roll::default();
        let is_restored = cursor.epoch < state.head.epoch;
        let active = state.runs.values().filter(|run| run.state.is_active());
        let mut cursor = cursor.in_epoch(state.head.epoch, active, clock::now().millis());
        if is_restored {
            // Isolates of the backup that are gone since are nobody's loss.
            let (epoch, since) = (state.head.epoch, cursor.through);
            tracing::error!(event = "log_gap", why = "the table was restored", %epoch, since, "counts are unknown");
        } else {
            stored.parts.iter().for_each(|part| roll.unpack(part));
            if !stored.is_whole {
                cursor.roll_since = cursor.through;
            }
        }
        let is_replaced = !cursor.stream.is_empty() && cursor.stream != stream;
        if is_replaced {
            // The one before may have had batches that nobody has read.
            cursor.roll_since = clock::now().millis();
            cursor.positions = Positions::default();
            cursor.parked.values_mut().for_each(|parked| parked.positions = Positions::default());
        }
        cursor.stream.clone_from(&stream);
        let parked = cursor.parked.iter().map(|(name, parked)| (name.clone(), parked.positions.clone()));
        let fold = Fold::begin(cursor.positions.clone(), parked);
        let reader = Reader::new(store.clone(), stream);
        let mut folding = Self {
            platform,
            lease,
            state,
            through: cursor.through,
            cursor,
            pace,
            ledgers: 0,
            lost: 0,
            is_superseded: false,
            renewed: Instant::now(),
            read_at: Instant::now(),
            fold,
            reader,
            accounts: BTreeMap::new(),
            failures: BTreeMap::new(),
            of_experiments: ExperimentMemory::default(),
            roll,
            written: known.clone(),
            known,
        };
        folding.note_expired();
        if is_restored {
            let [since, until] = [folding.cursor.through, folding.cursor.passed_over];
            let [since, until] = [since, until].map(Timestamp::from_millis);
            folding.note_report_gap(FlagGap { since, until });
        }
        if is_replaced {
            folding.note_gap("the stream was replaced");
        }
        Ok(folding)
    }

    /// Returns the active runs.
    pub(super) fn running(&self) -> Vec<Run> {
        self.state.runs.values().filter(|run| run.state.is_active()).cloned().collect()
    }

    /// Returns the flags whose ledger cannot be read or written.
    pub(super) fn behind(&self) -> Vec<String> {
        let mut names: Vec<String> = self.cursor.parked.keys().cloned().collect();
        names.extend(self.failures.keys().cloned());
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Reads the log to its present end, for at most `patience`. Returns the number of batches. A shard that cannot be read is
    /// left for the next reading, and `through` stays where it is until then: no canary climbs.
    ///
    /// # Errors
    ///
    /// Fails if nothing could be read for a while, and if the table cannot be read or written.
    pub(super) async fn read(&mut self, patience: Duration) -> Result<usize, StoreError> {
        let started = Instant::now();
        let began = clock::now().millis();
        let (mut batches, mut has_read, mut failure) = (0, false, None);
        self.reader.look_again(self.fold.read(), began);
        loop {
            // After a failure the next reading lists what follows a shard that has ended.
            if failure.is_none() {
                failure = self.list(began).await.err();
            }
            if self.reader.is_done() || started.elapsed() >= patience {
                break;
            }
            self.keep_lease().await?;
            let read = self.reader.pages(self.fold.read(), began).await;
            has_read |= !read.pages.is_empty();
            failure = read.failure.or(failure);
            batches += self.take_pages(read.pages).await?;
        }
        if has_read || failure.is_none() {
            self.read_at = Instant::now();
        }
        match failure {
            None if self.reader.is_at_end(self.fold.read(), began) => {
                self.through = self.through.max(began - DELAY_MS);
            }
            None => {}
            Some(error) if self.read_at.elapsed() >= READ_PATIENCE => return Err(error),
            Some(error) => {
                tracing::warn!(event = "log_unread", %error, "the log could not be read to its end");
            }
        }
        Ok(batches)
    }

    /// Adds the batches of pages, and notes the progress in their shards. Returns the number of batches.
    async fn take_pages(&mut self, pages: Vec<ShardPage>) -> Result<usize, StoreError> {
        let mut batches = 0;
        if pages.iter().any(|page| !page.arrivals.is_empty()) {
            // After the batches: a run that the state does not know gets no evidence.
            self.renew_state().await?;
        }
        for page in pages {
            if page.has_gap {
                self.note_gap("records of the log have expired");
            }
            for arrival in &page.arrivals {
                batches += 1;
                self.take(&page.shard, arrival).await;
            }
            if let Some(progress) = page.progress {
                self.fold.has_read(&page.shard, progress);
            }
        }
        Ok(batches)
    }

    /// Lists the shards if it is time.
    async fn list(&mut self, now: i64) -> Result<(), StoreError> {
        if let Some(listed) = self.reader.list(self.fold.read()).await? {
            self.fold.forget(&listed, now);
        }
        Ok(())
    }

    /// Reads the state again if the head has moved.
    pub(super) async fn renew_state(&mut self) -> Result<(), StoreError> {
        if self.platform.store.head().await?.stamp() != self.state.head.stamp() {
            self.state = self.platform.store.state().await?;
        }
        Ok(())
    }

    /// Adds a batch to the sums and to the accounts of its flags.
    async fn take(&mut self, shard: &str, arrival: &crate::store::Arrival) {
        if self.fold.read().hold(shard, &arrival.position) || arrival.at < self.cursor.passed_over {
            return;
        }
        let totals = &mut self.cursor.totals;
        totals.batches = totals.batches.saturating_add(1);
        let Some(batch) = packing::read(&arrival.packed) else {
            totals.unreadable = totals.unreadable.saturating_add(1);
            tracing::error!(event = "batch_unreadable", shard, "a stored batch cannot be decoded");
            return;
        };
        self.note_sums(&batch, arrival.at);
        for name in names(&batch) {
            if self.fold.is_parked(&name) || self.is_removed(&name) || !self.open(&name).await {
                continue;
            }
            if self.fold.takes(&name, shard, &arrival.position)
                && let Some(account) = self.accounts.get_mut(&name)
            {
                account.add(&self.state, arrival.at, &batch);
                self.fold.counted(&name);
            }
        }
    }

    fn note_sums(&mut self, batch: &Batch, at: i64) {
        let totals = &mut self.cursor.totals;
        totals.outcomes_lost = totals.outcomes_lost.saturating_add(batch.lost);
        let users = batch.losses.iter().fold(0_u64, |sum, loss| sum.saturating_add(loss.users));
        totals.users_lost = totals.users_lost.saturating_add(users);
        totals.uninspected = totals.uninspected.saturating_add(batch.uninspected);
        let newest = batch.users.iter().map(|users| users.window).max();
        if newest.is_some_and(|window| at.saturating_sub(window) > LATE_MS) {
            totals.late = totals.late.saturating_add(1);
        }
        let patience = i64::try_from(self.platform.settings.isolate_silence.as_millis()).unwrap_or(i64::MAX);
        if self.roll.note(batch, at, patience) {
            totals.isolates_lost = totals.isolates_lost.saturating_sub(1);
        }
    }

    /// Opens an account, unless it is open. Returns false if its ledger cannot be read; it is parked then.
    async fn open(&mut self, name: &str) -> bool {
        if self.accounts.contains_key(name) {
            return true;
        }
        match self.read_account(name).await {
            Ok(account) => {
                let now = clock::now().millis();
                let own = account.positions().clone().unless_expired(account.written_at(), now);
                self.fold.has_ledger(name, &own);
                self.accounts.insert(name.to_owned(), account);
                self.note_known(name);
                true
            }
            Err(error) => {
                self.park(name, &error);
                false
            }
        }
    }

    async fn read_account(&self, name: &str) -> Result<Account, StoreError> {
        Account::open(self.platform, name, &self.cursor.stream).await
    }

    /// Returns the evidence of an active run as it is in memory; `None` if its flag is parked.
    pub(super) async fn evidence(&mut self, run: &Run) -> Option<Evidence> {
        let name = run.flag.as_str();
        if self.fold.is_parked(name) || !self.open(name).await {
            return None;
        }
        match self.accounts.get(name)? {
            Account::Flag(account) => Some(account.evidence(run, self.horizon(self.through))),
            Account::Experiment(_) => None,
        }
    }

    /// Returns the point up to which evidence is judged that is complete up to this arrival time.
    fn horizon(&self, until: i64) -> Horizon {
        Horizon { until, report_ms: self.pace.report_ms(clock::now().millis()) }
    }

    /// Returns true if the roll has every isolate that reported in the two minutes before `now`, in milliseconds since 1970.
    pub(super) fn knows_fleet(&self, now: i64) -> bool {
        let Cursor { through, roll_since, .. } = self.cursor;
        now.saturating_sub(through) <= RECENT_MS && through.saturating_sub(roll_since) >= ACTIVE_MS
    }
}
