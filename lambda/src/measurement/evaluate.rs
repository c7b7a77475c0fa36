//! The scheduled evaluation of arrivals: every batch is folded into the ledger of its flag once,
//! and the part that belongs to a running canary becomes evidence, by arrival windows of ten seconds. A tick that runs twice, late or
//! concurrently does no harm: a ledger records the arrival time up to which it is complete, and is
//! written on condition that no other tick has written it meanwhile.

use crate::{
    clock,
    platform::Platform,
    store::{
        Arrival, CommitError, Cursor, Ledger, LedgerWrite, RouteComparison, Series, State, StepTimes,
        WindowCounts, error::StoreError, record_item,
    },
};
use cutover_core::{
    Arm, FlagName, RunId, Timestamp,
    canary::{Evidence, Record, Run, Step, Verdict, Window, windows},
    compare::{ComparisonWindow, Tally},
    measurement::batch::{Cell, WINDOW_MS},
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// Longest period of arrivals that is held in memory at once, in milliseconds.
const MAX_STRETCH_MS: i64 = 2 * 60_000;

/// Time after which a tick begins no further period. The next tick continues.
const PATIENCE: Duration = Duration::from_secs(20);

/// Most series of a ledger; a DynamoDB item is limited to 400 KB. Beyond it, the routes with the
/// fewest requests are counted together.
const MAX_SERIES: usize = 120;

/// Period that the very first tick looks back, in milliseconds.
const FIRST_LOOK_MS: i64 = 20 * 60_000;

/// Period for which recent windows are kept, in milliseconds.
const RECENT_MS: i64 = 10 * 60_000;

/// Most routes of a flag with a comparison report. Each holds up to 64 kinds of differences, in an
/// item of at most 400 KB.
const MAX_COMPARED_ROUTES: usize = 8;

/// Most periods that a tick folds into a ledger that is behind. The next tick continues.
const MAX_MISSED: usize = 10;

/// Number of attempts to write a ledger that another tick keeps changing.
const MAX_TRIES: u32 = 5;

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
/// before anything newer. Batches are kept for two days.
///
/// # Errors
///
/// Fails if the configuration, the arrivals or the cursor cannot be read or written.
pub async fn tick(platform: &Platform) -> Result<Tick, StoreError> {
    let store = &platform.store;
    let started = Instant::now();
    let now = clock::now().millis();
    let settled = now - i64::try_from(platform.settings.settle.as_millis()).unwrap_or(i64::MAX);
    let mut tick = Tick::default();
    loop {
        let cursor = store.cursor().await?;
        let from = if cursor.through == 0 { settled - FIRST_LOOK_MS } else { cursor.through };
        let until = settled.min(from.saturating_add(MAX_STRETCH_MS));
        if until <= from {
            break;
        }
        let arrivals = store.arrivals(from, until).await?;
        let period = Period { from, until, arrivals: &arrivals };
        let behind = take_in(platform, &period, &cursor.behind, &mut tick).await?;
        tick.behind = behind.keys().cloned().collect();
        let lost: u64 = arrivals.iter().map(|arrival| arrival.batch.lost).sum();
        let users_lost = arrivals.iter().flat_map(|arrival| &arrival.batch.losses);
        let users_lost: u64 = users_lost.map(|loss| loss.users).sum();
        let moved = Cursor {
            through: until,
            outcomes_lost: cursor.outcomes_lost.saturating_add(lost),
            users_lost: cursor.users_lost.saturating_add(users_lost),
            batches: cursor.batches.saturating_add(arrivals.len() as u64),
            behind,
        };
        tick.through = Some(Timestamp::from_millis(until));
        // If another tick has moved the cursor, it has folded in the same arrivals.
        if !store.move_cursor(&cursor, &moved).await? || started.elapsed() > PATIENCE {
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
    store.note_tick("evaluate", clock::now()).await?;
    Ok(tick)
}

/// A period of arrivals, from the cursor on; `from` is not in it. Both times are in milliseconds since 1970.
struct Period<'a> {
    from: i64,
    until: i64,
    arrivals: &'a [Arrival],
}

/// Folds a period of arrivals into the ledgers of its flags, each for itself. `before` are the flags that were behind, with
/// the arrival time up to which each is complete; returns those that are now.
async fn take_in(
    platform: &Platform,
    period: &Period<'_>,
    before: &BTreeMap<String, i64>,
    tick: &mut Tick,
) -> Result<BTreeMap<String, i64>, StoreError> {
    tick.batches += period.arrivals.len();
    let state = platform.store.state().await?;
    // The evidence of a running canary may change by the time alone.
    let running = state.runs.values().filter(|run| run.state.is_active());
    let mut flags = flags(period.arrivals);
    flags.extend(running.map(|run| Some(run.flag.clone())));
    flags.extend(before.keys().map(|name| name.parse::<FlagName>().ok()));
    let mut folding = Folding { platform, state, tick };
    let mut behind = BTreeMap::new();
    for flag in flags {
        let name = flag.as_ref().map(FlagName::as_str).unwrap_or_default();
        let mut through = before.get(name).copied().unwrap_or(period.from);
        if let Err(error) = folding.catch_up(flag.as_ref(), period, &mut through).await {
            tracing::error!(event = "flag_unreadable", flag = name, %error, "the counts of a flag are not evaluated");
        }
        if through < period.until {
            behind.insert(name.to_owned(), through);
        }
    }
    Ok(behind)
}

/// The folding of a period, flag by flag.
struct Folding<'t> {
    platform: &'t Platform,
    /// State that runs are judged in; read again if a run has moved on.
    state: State,
    tick: &'t mut Tick,
}

impl Folding<'_> {
    /// Folds into the ledger of a flag the arrivals that it missed before the period, and then those of the period.
    /// `through` is the arrival time up to which the ledger is complete; it moves on with each part.
    async fn catch_up(
        &mut self,
        flag: Option<&FlagName>,
        period: &Period<'_>,
        through: &mut i64,
    ) -> Result<(), StoreError> {
        let platform = self.platform;
        let store = &platform.store;
        if *through < period.from {
            // The arrivals are read again only for a ledger that can be read.
            store.ledger_with_evidence(flag).await?;
        }
        for _ in 0..MAX_MISSED {
            if *through >= period.from {
                break;
            }
            let until = period.from.min(through.saturating_add(MAX_STRETCH_MS));
            let arrivals = store.arrivals(*through, until).await?;
            self.fold(FlagArrivals { flag, arrivals: &arrivals, until }).await?;
            *through = until;
        }
        if *through >= period.from {
            self.fold(FlagArrivals { flag, arrivals: period.arrivals, until: period.until }).await?;
            *through = period.until;
        }
        Ok(())
    }

    async fn fold(&mut self, part: FlagArrivals<'_>) -> Result<(), StoreError> {
        if let Absorbed::Now(verdict) = part.take_in(self.platform, &mut self.state).await? {
            self.tick.ledgers += 1;
            if let (Some(flag), Some(verdict)) = (part.flag, *verdict) {
                self.tick.verdicts.insert(flag.to_string(), verdict);
            }
        }
        Ok(())
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

/// Result of folding the arrivals of a flag into its ledger.
enum Absorbed {
    /// The ledger held all of them already.
    Already,
    /// The ledger was written. The verdict is `None` if no running canary got new evidence.
    Now(Box<Option<Verdict>>),
}

/// The arrivals of one flag.
struct FlagArrivals<'a> {
    flag: Option<&'a FlagName>,
    arrivals: &'a [Arrival],
    until: i64,
}

impl FlagArrivals<'_> {
    /// Folds the flag's batches into its ledger, unless the ledger holds them already.
    async fn take_in(&self, platform: &Platform, state: &mut State) -> Result<Absorbed, StoreError> {
        for _ in 0..MAX_TRIES {
            let (ledger, evidence) = platform.store.ledger_with_evidence(self.flag).await?;
            if ledger.through >= self.until {
                return Ok(Absorbed::Already);
            }
            let of_flag = |arrival: &&Arrival| arrival.at > ledger.through && self.concerns(arrival);
            let fresh: Vec<&Arrival> = self.arrivals.iter().filter(of_flag).collect();
            let run = self.flag.and_then(|flag| state.active_run(flag));
            let is_waiting = run.is_some_and(|run| {
                evidence.as_ref().is_some_and(|held| held.run == run.id && held.is_waiting(self.until))
            });
            if fresh.is_empty() && !is_waiting {
                return Ok(Absorbed::Already);
            }
            match self.write(platform, ledger, evidence.as_ref(), &fresh, state).await {
                Ok(verdict) => return Ok(Absorbed::Now(Box::new(verdict))),
                // Another tick has written the ledger, or the run has moved on: read again.
                Err(CommitError::Conflict) => *state = platform.store.state().await?,
                Err(CommitError::Store(error)) => return Err(error),
            }
        }
        Err(StoreError::Restless)
    }

    /// Returns true if an arrival holds anything of the flag.
    fn concerns(&self, arrival: &Arrival) -> bool {
        let batch = &arrival.batch;
        batch.cells.iter().any(|cell| cell.flag.as_ref() == self.flag)
            || batch.users.iter().any(|users| Some(&users.flag) == self.flag)
            || batch.comparisons.iter().any(|compared| Some(&compared.flag) == self.flag)
            || batch.losses.iter().any(|loss| Some(&loss.flag) == self.flag)
    }

    async fn write(
        &self,
        platform: &Platform,
        mut ledger: Ledger,
        before: Option<&Evidence>,
        fresh: &[&Arrival],
        state: &State,
    ) -> Result<Option<Verdict>, CommitError> {
        for arrival in fresh {
            for cell in arrival.batch.cells.iter().filter(|cell| cell.flag.as_ref() == self.flag) {
                add(&mut ledger, cell, arrival.at);
            }
        }
        let newest = self.flag.and_then(|flag| state.runs.get(flag)).map(|run| &run.id);
        for compared in fresh.iter().flat_map(|arrival| &arrival.batch.comparisons) {
            if Some(&compared.flag) == self.flag {
                note_comparison(&mut ledger, compared, newest);
            }
        }
        bound(&mut ledger);
        forget_old(&mut ledger);
        ledger.through = self.until;
        let run = self.flag.and_then(|flag| state.active_run(flag));
        let mut others = Vec::new();
        let mut verdict = None;
        let mut evidence = None;
        if let Some(run) = run {
            let before = before.filter(|held| held.run == run.id);
            let windows = self.windows(run, before, fresh);
            if !windows.is_empty() {
                let at = clock::now();
                let (record, after) = Record::evaluation(at, crate::VERSION, run, before, windows);
                others.push(record_item(&record, &format!("evaluation#{:012}", ledger.version))?);
                if let Step::Evaluation { verdict: found, .. } = record.step {
                    verdict = Some(*found);
                }
                evidence = Some(after);
            }
            note_times(&mut ledger, run, fresh);
        }
        let version = self.flag.zip(run).and_then(|(flag, _)| state.meta(crate::store::RUNS, flag.as_str()));
        let run = version.map(|meta| meta.version);
        let write = LedgerWrite { flag: self.flag, ledger, evidence: evidence.as_ref(), run, others };
        platform.store.write_ledger(write).await?;
        Ok(verdict)
    }

    /// Returns the arrival windows to fold; an empty one if the time alone changes the evidence.
    fn windows(&self, run: &Run, before: Option<&Evidence>, fresh: &[&Arrival]) -> Vec<Window> {
        let arrivals = fresh.iter().map(|arrival| (arrival.at, &arrival.batch));
        let mut windows = windows(&run.id, &run.plan, arrivals, self.until);
        let newest = windows.last().map(|window| window.start);
        let nothing = Window::nothing(self.until);
        let has_newest = newest.is_some_and(|newest| newest >= nothing.start);
        if !has_newest && before.is_some_and(|held| held.is_waiting(self.until)) {
            windows.push(nothing);
        }
        windows
    }
}

/// Adds the counts of a cell that arrived at `at`.
fn add(ledger: &mut Ledger, cell: &Cell, at: i64) {
    let window = at.div_euclid(WINDOW_MS) * WINDOW_MS;
    let (route, counts) = (cell.route.clone(), cell.counts.clone());
    merge(ledger, Series { route, arm: cell.arm, reason: cell.reason, counts });
    let (requests, errors) = (cell.counts.requests, cell.counts.errors());
    let duration_ms = cell.counts.duration_ms;
    match ledger.recent.iter_mut().find(|held| held.window == window && held.arm == cell.arm) {
        Some(recent) => {
            recent.requests += requests;
            recent.errors += errors;
            recent.duration_ms += duration_ms;
        }
        None => ledger.recent.push(WindowCounts { window, arm: cell.arm, requests, errors, duration_ms }),
    }
}

/// Merges the routes with the fewest requests if the ledger has too many series.
fn bound(ledger: &mut Ledger) {
    while ledger.series.len() > MAX_SERIES {
        let named = ledger.series.iter().enumerate().filter(|(_, series)| series.route.is_some());
        let Some((index, _)) = named.min_by_key(|(_, series)| series.counts.requests) else { return };
        let rare = ledger.series.swap_remove(index);
        merge(ledger, Series { route: None, ..rare });
    }
}

fn merge(ledger: &mut Ledger, more: Series) {
    let same =
        |held: &&mut Series| held.route == more.route && held.arm == more.arm && held.reason == more.reason;
    match ledger.series.iter_mut().find(same) {
        Some(series) => series.counts.merge(&more.counts),
        None => ledger.series.push(more),
    }
}

/// Adds comparison results to the report of their route. A new run begins a new report; late
/// results of an older run are dropped.
fn note_comparison(ledger: &mut Ledger, compared: &ComparisonWindow, newest: Option<&RunId>) {
    let run = compared.canary.as_ref().map(|(run, _)| run);
    let known = ledger.comparisons.iter().position(|held| held.route == compared.route);
    let index = match known {
        Some(index) => index,
        None if ledger.comparisons.len() >= MAX_COMPARED_ROUTES => return,
        None => {
            ledger.comparisons.push(RouteComparison {
                route: compared.route.clone(),
                run: run.cloned(),
                since: compared.window,
                until: compared.window,
                tally: Tally::default(),
            });
            ledger.comparisons.len() - 1
        }
    };
    let Some(held) = ledger.comparisons.get_mut(index) else { return };
    if run.is_some() && run != held.run.as_ref() {
        if run != newest {
            return;
        }
        (held.run, held.since, held.tally) = (run.cloned(), compared.window, Tally::default());
    }
    held.since = held.since.min(compared.window);
    held.until = held.until.max(compared.window);
    held.tally.merge(&compared.tally);
}

fn forget_old(ledger: &mut Ledger) {
    let newest = ledger.recent.iter().map(|recent| recent.window).max().unwrap_or_default();
    ledger.recent.retain(|recent| newest - recent.window < RECENT_MS - WINDOW_MS);
    ledger.recent.sort_by_key(|recent| (recent.window, recent.arm));
}

/// Adds the response times of the step that the run is at.
fn note_times(ledger: &mut Ledger, run: &Run, fresh: &[&Arrival]) {
    let held = ledger.times.take().filter(|held| held.run == run.id && held.step == run.step);
    let mut times = held.unwrap_or_else(|| StepTimes {
        run: run.id.clone(),
        step: run.step,
        new: Default::default(),
        legacy: Default::default(),
    });
    let label = Some((run.id.clone(), run.step));
    for cell in fresh.iter().flat_map(|arrival| &arrival.batch.cells).filter(|cell| cell.canary == label) {
        let arm = if cell.arm == Arm::New { &mut times.new } else { &mut times.legacy };
        arm.merge(&cell.counts.histogram);
    }
    ledger.times = Some(times);
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::{Reason, measurement::counts::Counts};

    #[test]
    fn a_ledger_stays_small_and_loses_no_request() {
        let mut ledger = Ledger::default();
        for index in 0..1_000_u64 {
            let counts = Counts { requests: index + 1, ..Counts::default() };
            let route = format!("route-{index}").parse().ok();
            merge(&mut ledger, Series { route, arm: Arm::New, reason: Reason::Rollout, counts });
            bound(&mut ledger);
        }
        assert_eq!(ledger.series.len(), MAX_SERIES);
        assert_eq!(ledger.series.iter().map(|series| series.counts.requests).sum::<u64>(), 500_500);
        let busiest =
            ledger.series.iter().any(|series| series.counts.requests == 1_000 && series.route.is_some());
        assert!(busiest, "the busiest routes keep their own series");
    }
}
