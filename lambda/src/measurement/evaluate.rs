//! The scheduled evaluation of arrivals: every batch is folded into the ledger of its flag once. A tick that runs twice, late
//! or concurrently does no harm: a ledger records the arrival time up to which it is complete, and is written on condition
//! that no other tick has written it meanwhile.

use crate::{
    clock,
    measurement::{
        catch_up::{catch_up, note_gap},
        folding::{FlagArrivals, Folding, MAX_STRETCH_MS},
    },
    platform::Platform,
    store::{Arrival, Cursor, error::StoreError, oldest_kept},
};
use cutover_core::{FlagName, Timestamp, canary::Verdict};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// Time after which a tick begins no further period. The next tick continues.
const PATIENCE: Duration = Duration::from_secs(20);

/// Period that the very first tick looks back, in milliseconds.
const FIRST_LOOK_MS: i64 = 20 * 60_000;

/// Summary of a tick.
#[derive(Debug, Default, Serialize)]
pub struct Tick {
    /// Number of batches that were folded in.
    pub batches: usize,
    /// Number of ledgers that were written.
    pub ledgers: usize,
    /// Number of isolates that were found lost.
    pub isolates_lost: u64,
    /// Arrival time up to which all batches have been folded in, but for the flags that are behind.
    pub through: Option<Timestamp>,
    /// Flags whose ledger is behind, because it could not be read or written.
    pub behind: Vec<String>,
    /// Verdict of each running canary whose evidence changed, by flag.
    pub verdicts: BTreeMap<String, Verdict>,
}

/// Runs one tick. A backlog is folded in period by period, for as long as a tick may take.
///
/// The cursor moves on without a flag whose ledger or evidence cannot be read or written, so that the others are judged.
/// It notes how far the flag is complete; as soon as its ledger can be read, what it missed is read again and folded
/// before anything newer, after the newest arrivals of all other flags. Batches are kept for two days.
///
/// # Errors
///
/// Fails if the configuration, the arrivals or the cursor cannot be read or written.
pub async fn tick(platform: &Platform) -> Result<Tick, StoreError> {
    tick_within(platform, PATIENCE).await
}

/// Runs one tick that begins no further period after `patience`. It folds in at least one, and at least one for the flags
/// that are behind.
///
/// # Errors
///
/// Fails as [`tick`] does.
pub async fn tick_within(platform: &Platform, patience: Duration) -> Result<Tick, StoreError> {
    let store = &platform.store;
    let started = Instant::now();
    let now = clock::now().millis();
    let settled = now - i64::try_from(platform.settings.settle.as_millis()).unwrap_or(i64::MAX);
    let mut tick = Tick::default();
    let mut folding = Folding::begin(platform).await?;
    loop {
        let cursor = store.cursor().await?;
        let from =
            if cursor.through == 0 { settled - FIRST_LOOK_MS } else { cursor.through.max(oldest_kept(now)) };
        let until = settled.min(from.saturating_add(MAX_STRETCH_MS));
        if until <= from {
            break;
        }
        let arrivals = store.arrivals(from, until).await?;
        let mut moved = after(&cursor, &arrivals, until);
        if cursor.through > 0 && cursor.through < from {
            // No tick was made for two days.
            folding
                .running()
                .iter()
                .for_each(|flag| note_gap(&mut moved, flag.as_str(), cursor.through, from));
        }
        take_in(&mut folding, &Period { from, until, arrivals: &arrivals }, &mut moved.behind).await;
        tick.batches += arrivals.len();
        tick.through = Some(Timestamp::from_millis(until));
        // If another tick has moved the cursor, it has folded in the same arrivals.
        if !store.move_cursor(&cursor, &moved).await? || started.elapsed() > patience {
            break;
        }
    }
    let silence = i64::try_from(platform.settings.isolate_silence.as_millis()).unwrap_or(i64::MAX);
    tick.isolates_lost = store.note_lost_isolates(now - silence).await?;
    if tick.isolates_lost > 0 {
        tracing::warn!(
            event = "isolates_lost",
            lost = tick.isolates_lost,
            "isolates fell silent; their last counts are unknown"
        );
    }
    // Behind everything else: a tick that is stopped here has lost nothing.
    tick.behind = catch_up(platform, &mut folding, patience / 3).await?;
    tick.ledgers = folding.ledgers;
    tick.verdicts = folding.verdicts;
    store.note_tick("evaluate", clock::now()).await?;
    Ok(tick)
}

/// Returns the cursor after a period of arrivals.
fn after(cursor: &Cursor, arrivals: &[Arrival], until: i64) -> Cursor {
    let lost: u64 = arrivals.iter().map(|arrival| arrival.batch.lost).sum();
    let losses = arrivals.iter().flat_map(|arrival| &arrival.batch.losses);
    let users_lost: u64 = losses.map(|loss| loss.users).sum();
    let uninspected: u64 = arrivals.iter().map(|arrival| arrival.batch.uninspected).sum();
    Cursor {
        through: until,
        outcomes_lost: cursor.outcomes_lost.saturating_add(lost),
        users_lost: cursor.users_lost.saturating_add(users_lost),
        uninspected: cursor.uninspected.saturating_add(uninspected),
        batches: cursor.batches.saturating_add(arrivals.len() as u64),
        ..cursor.clone()
    }
}

/// A period of arrivals, from the cursor on; `from` is not in it. Both times are in milliseconds since 1970.
struct Period<'a> {
    from: i64,
    until: i64,
    arrivals: &'a [Arrival],
}

/// Folds a period of arrivals into the ledgers of its flags, each for itself, without those that are `behind`. Adds to them
/// the flags that are from now on, with the arrival time up to which each is complete.
async fn take_in(folding: &mut Folding<'_>, period: &Period<'_>, behind: &mut BTreeMap<String, i64>) {
    let mut flags = flags(period.arrivals);
    flags.extend(folding.running().into_iter().map(Some));
    for flag in flags {
        let name = flag.as_ref().map(FlagName::as_str).unwrap_or_default();
        if behind.contains_key(name) {
            continue;
        }
        let part = FlagArrivals { flag: flag.as_ref(), arrivals: period.arrivals, until: period.until };
        if !folding.fold(part).await {
            behind.insert(name.to_owned(), period.from);
        }
    }
}

/// Returns the flags for which arrivals hold counts; `None` is for requests that no flag decided.
fn flags(arrivals: &[Arrival]) -> BTreeSet<Option<FlagName>> {
    let cells = arrivals.iter().flat_map(|arrival| &arrival.batch.cells);
    let users = arrivals.iter().flat_map(|arrival| &arrival.batch.users);
    let comparisons = arrivals.iter().flat_map(|arrival| &arrival.batch.comparisons);
    let losses = arrivals.iter().flat_map(|arrival| &arrival.batch.losses);
    cells
        .map(|cell| cell.flag.clone())
        .chain(users.map(|users| Some(users.flag.clone())))
        .chain(comparisons.map(|compared| Some(compared.flag.clone())))
        .chain(losses.map(|loss| Some(loss.flag.clone())))
        .collect()
}
