//! One fold of the log: reads batches behind the cursor, adds them to the accounts of their flags in memory, and writes
//! those as ledgers together with their positions. It may die anywhere, and two may run at once: what a ledger holds is said
//! by its positions, see [`cutover_core::measurement::log`].

use crate::{
    clock,
    measurement::{
        account::{Account, flags},
        packing,
        reader::{Pages, Reader},
        roll::Roll,
    },
    platform::Platform,
    store::{CommitError, Cursor, FlagGap, Lease, Parked, State, backoff::backoff, error::StoreError},
};
use cutover_core::{
    FlagName, Timestamp,
    canary::{Evidence, Run},
    measurement::{
        batch::Batch,
        log::{Fold, Positions},
    },
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Time that a record of the log may take to become readable, in milliseconds. What takes longer is counted in the open
/// arrival window.
const DELAY_MS: i64 = 2_000;

/// Time after the last reading without a failure for which failures end a reading alone, and not the fold.
const READ_PATIENCE: Duration = Duration::from_secs(10);

/// Time after which a reading renews the lease, which must last while a backlog is read.
const RENEWAL: Duration = Duration::from_secs(3);

/// Number of attempts to write a ledger while others change it or its run.
const MAX_TRIES: u32 = 3;

/// Longest wait before the second attempt, in milliseconds.
const FIRST_WAIT_MS: u64 = 40;

/// Most ledgers that are parked. More failures than these are not of single flags, so the cursor does not move.
const MAX_PARKED: usize = 16;

/// Age of a batch's newest event window beyond which the batch counts as late, in milliseconds.
const LATE_MS: i64 = 60_000;

/// Largest part of the roll in one item, in bytes.
const ROLL_PART: usize = 300_000;

/// A fold by the holder of a lease.
pub(super) struct Folding<'p> {
    pub(super) platform: &'p Platform,
    pub(super) lease: Lease,
    /// State that runs are judged in, newer than every batch that was folded.
    pub(super) state: State,
    /// The cursor as it was read or written, with the sums over everything read since.
    pub(super) cursor: Cursor,
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
    /// Time of the last reading without a failure.
    read_at: Option<Instant>,
    fold: Fold,
    reader: Reader,
    accounts: BTreeMap<String, Account>,
    /// Failures of ledgers since the cursor was written, by flag.
    failures: BTreeMap<String, String>,
    roll: Roll,
}

impl<'p> Folding<'p> {
    /// Begins where the cursor is.
    pub(super) async fn begin(platform: &'p Platform, lease: Lease) -> Result<Self, StoreError> {
        let store = &platform.store;
        // Before any ledger: what the cursor promises is true of ledgers that are read after it.
        let cursor = store.cursor().await?;
        let state = store.state().await?;
        let stream = store.stream().await?;
        let mut roll = Roll::default();
        let is_restored = cursor.epoch < state.head.epoch;
        if is_restored {
            // Isolates of the backup that are gone since are nobody's loss.
            let (epoch, since) = (state.head.epoch, cursor.through);
            tracing::error!(event = "log_gap", why = "the table was restored", %epoch, since, "counts are unknown");
        } else {
            store.roll().await?.iter().for_each(|part| roll.unpack(part));
        }
        let active = state.runs.values().filter(|run| run.state.is_active());
        let mut cursor = cursor.in_epoch(state.head.epoch, active, clock::now().millis());
        let is_replaced = !cursor.stream.is_empty() && cursor.stream != stream;
        if is_replaced {
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
            ledgers: 0,
            lost: 0,
            is_superseded: false,
            renewed: Instant::now(),
            read_at: None,
            fold,
            reader,
            accounts: BTreeMap::new(),
            failures: BTreeMap::new(),
            roll,
        };
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

    /// Reads the log to its present end, for at most `patience`. Returns the number of batches.
    pub(super) async fn read(&mut self, patience: Duration) -> Result<usize, StoreError> {
        let started = Instant::now();
        let began = clock::now().millis();
        let mut batches = 0;
        self.reader.look_again();
        let failure = loop {
            if let Err(error) = self.list(began).await {
                break Some(error);
            }
            if self.reader.is_done() || started.elapsed() >= patience {
                break None;
            }
            self.keep_lease().await?;
            let Pages { pages, failure } = self.reader.pages(self.fold.read(), began).await;
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
            if failure.is_some() {
                break failure;
            }
        };
        match failure {
            None => self.read_at = Some(Instant::now()),
            // What was read is judged, and the next pass goes on.
            Some(error) if self.read_at.is_some_and(|read| read.elapsed() < READ_PATIENCE) => {
                tracing::warn!(event = "log_unread", %error, "the log could not be read to its end");
                return Ok(batches);
            }
            Some(error) => return Err(error),
        }
        if self.reader.is_at_end() {
            self.through = self.through.max(began - DELAY_MS);
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
        for flag in flags(&batch) {
            let name = flag.as_ref().map(FlagName::as_str).unwrap_or_default().to_owned();
            if self.fold.is_parked(&name) || !self.open(&name, flag).await {
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

    /// Opens the account of a flag, unless it is open. Returns false if its ledger cannot be read; the flag is parked then.
    async fn open(&mut self, name: &str, flag: Option<FlagName>) -> bool {
        if self.accounts.contains_key(name) {
            return true;
        }
        match Account::open(self.platform, flag, &self.cursor.stream).await {
            Ok(account) => {
                let now = clock::now().millis();
                let own = account.positions().clone().unless_expired(account.through(), now);
                self.fold.has_ledger(name, &own);
                self.accounts.insert(name.to_owned(), account);
                true
            }
            Err(error) => {
                self.park(name, &error);
                false
            }
        }
    }

    /// Parks a flag: from now on it is read apart.
    fn park(&mut self, name: &str, error: &StoreError) {
        tracing::error!(event = "flag_unreadable", flag = name, %error, "the counts of a flag are not evaluated");
        self.fold.park(name);
        self.accounts.remove(name);
        self.failures.insert(name.to_owned(), error.to_string());
    }

    /// Returns the evidence of an active run as it is in memory; `None` if its flag is parked.
    pub(super) async fn evidence(&mut self, run: &Run) -> Option<Evidence> {
        let name = run.flag.as_str();
        if self.fold.is_parked(name) || !self.open(name, Some(run.flag.clone())).await {
            return None;
        }
        Some(self.accounts.get(name)?.evidence(run, self.through))
    }

    /// Writes the ledger of a flag if it has changed. Returns false if it could not be written; the flag is parked then, unless
    /// somebody else holds the lease, which is no fault of the flag.
    pub(super) async fn checkpoint(&mut self, name: &str) -> bool {
        for attempt in 0..MAX_TRIES {
            let Some(account) = self.accounts.get_mut(name) else { return !self.fold.is_parked(name) };
            let at = (self.fold.positions_of(name), self.through);
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

    /// Renews the lease if it is time. Whoever has lost it finds that out by the next write.
    pub(super) async fn keep_lease(&mut self) -> Result<(), StoreError> {
        if self.renewed.elapsed() >= RENEWAL {
            self.renewed = Instant::now();
            let renewed = self.platform.store.renew_lease(self.lease, clock::now().millis(), false).await?;
            self.is_superseded |= !renewed;
        }
        Ok(())
    }

    /// Returns true if somebody else has taken the lease.
    async fn has_lost_lease(&mut self) -> bool {
        let renewed = self.platform.store.renew_lease(self.lease, clock::now().millis(), false).await;
        self.is_superseded |= matches!(renewed, Ok(false));
        self.is_superseded
    }

    /// Writes all ledgers that have changed or wait, and then the cursor. Returns false if somebody else holds the lease.
    pub(super) async fn checkpoint_all(&mut self, patience: Duration) -> Result<bool, StoreError> {
        let mut names = self.fold.changed();
        for run in self.running() {
            let account = self.accounts.get(run.flag.as_str());
            if account.is_some_and(|account| account.is_waiting(&run, self.through)) {
                names.push(run.flag.to_string());
            }
        }
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
                let reason = self.failures.get(&name).or(held.map(|held| &held.reason));
                let reason = reason.cloned().unwrap_or_default();
                (name, Parked { positions, through, reason })
            })
            .collect();
        match self.platform.store.write_cursor(&next, self.lease).await {
            Ok(()) => {}
            Err(CommitError::Conflict) => return Ok(false),
            Err(CommitError::Store(error)) => return Err(error),
        }
        self.fold.wrote_cursor();
        next.version += 1;
        self.cursor = next;
        self.failures.clear();
        self.platform.store.write_roll(self.roll.pack(ROLL_PART)).await?;
        Ok(true)
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

    /// Reads the log for the parked flags, each from its own positions on, up to where everything else was read.
    async fn catch_up(&mut self, patience: Duration) -> Result<(), StoreError> {
        let started = Instant::now();
        let parked: Vec<String> =
            self.fold.cursor().map(|(_, parked)| parked.into_keys().collect()).unwrap_or_default();
        for name in parked {
            if started.elapsed() > patience {
                break;
            }
            if let Err(error) = self.catch_up_one(&name, started, patience).await {
                tracing::error!(event = "flag_unreadable", flag = name, %error, "the counts of a flag are not evaluated");
                self.failures.insert(name, error.to_string());
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
        let store = &self.platform.store;
        let mut account = Account::open(self.platform, name.parse().ok(), &self.cursor.stream).await?;
        self.fold.has_ledger(name, account.positions());
        let mut own = self.fold.own(name);
        let mut reader = Reader::new(store.clone(), self.cursor.stream.clone());
        let listed = reader.list(&own).await?.unwrap_or_default();
        // Everything else was read in shards that are not listed any more, and that this ledger does not know.
        for shard in self.fold.missing_apart(name, &listed) {
            reader.open(shard);
        }
        while !reader.is_done() && started.elapsed() < patience {
            let Pages { pages, failure } = reader.pages(&own, i64::MAX).await;
            if let Some(error) = failure {
                return Err(error);
            }
            for page in pages {
                if page.has_gap {
                    note_gap(&mut self.cursor, name, account.through(), self.through);
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
        let through = if own.reach(self.fold.read()) { self.through } else { account.through() };
        account.checkpoint(self.platform, &self.state, self.lease, (own.clone(), through)).await.map_err(
            |error| match error {
                CommitError::Conflict => StoreError::Restless,
                CommitError::Store(error) => error,
            },
        )?;
        self.ledgers += 1;
        self.fold.has_ledger(name, &own);
        if own.reach(self.fold.read()) {
            self.failures.remove(name);
            self.accounts.insert(name.to_owned(), account);
        } else if let Some(parked) = self.cursor.parked.get_mut(name) {
            parked.through = through;
        }
        Ok(())
    }

    /// Notes that counts of all active runs have expired before they were folded.
    fn note_gap(&mut self, why: &str) {
        let (since, until) = (self.cursor.through, clock::now().millis());
        tracing::error!(event = "log_gap", why, since, until, "counts have expired");
        for run in self.running() {
            note_gap(&mut self.cursor, run.flag.as_str(), since, until);
        }
    }
}

/// Notes that the counts of a flag in a period have expired before they were folded. Both times are in milliseconds since
/// 1970.
fn note_gap(cursor: &mut Cursor, flag: &str, since: i64, until: i64) {
    let (since, until) = (Timestamp::from_millis(since), Timestamp::from_millis(until));
    tracing::error!(event = "flag_gap", flag, %since, %until, "counts of a flag have expired");
    cursor.gaps.insert(flag.to_owned(), FlagGap { since, until });
}
