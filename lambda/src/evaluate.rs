//! The scheduled look at what arrived: every batch is taken into the ledger of its flag once, and a running canary's
//! part of it becomes evidence. Delivered twice, late or concurrently, a tick does no harm: a ledger knows up to which
//! moment of arrival it holds everything, and is written on condition that nobody else wrote it.

use crate::{
    Platform, clock,
    store::{
        Arrival, CommitError, Cursor, Ledger, LedgerWrite, Recent, RouteComparison, Series, State,
        StoreError, Times, record_item,
    },
};
use cutover_core::{
    Arm, FlagName, RunId, Timestamp,
    batch::{Batch, Cell, WINDOW_MS},
    canary::{Record, Run, Step, Verdict, windows},
    compare::{Compared, Tally},
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// The longest stretch of arrivals that is held in memory at once.
const MAX_STRETCH_MS: i64 = 2 * 60_000;

/// A tick begins no other stretch after this time; what is left is for the next one.
const PATIENCE: Duration = Duration::from_secs(20);

/// Kinds of requests that a ledger tells apart; DynamoDB holds 400 KB in an item. Beyond it the routes with the fewest
/// requests are counted together.
const MAX_SERIES: usize = 120;

/// How far back the first tick of all looks.
const FIRST_LOOK_MS: i64 = 20 * 60_000;

/// Windows that rates of the last minutes are made of.
const RECENT_MS: i64 = 10 * 60_000;

/// Routes of a flag whose comparisons are reported; each has up to 64 kinds of differences, in an item of 400 KB.
const MAX_COMPARED_ROUTES: usize = 8;

/// How often a ledger is tried again that somebody else wrote meanwhile.
const MAX_TRIES: u32 = 5;

/// What a tick found and did.
#[derive(Debug, Default, Serialize)]
pub struct Tick {
    /// Batches that were taken in.
    pub batches: usize,
    /// Ledgers that were written.
    pub ledgers: usize,
    /// Isolates that were found lost.
    pub isolates_lost: u64,
    /// Everything that arrived up to this moment is taken in.
    pub through: Option<Timestamp>,
    /// What the evidence of each running canary says, where it changed.
    pub verdicts: BTreeMap<String, Verdict>,
}

/// Looks once. What piled up while nobody looked is taken in stretch by stretch, for as long as a tick may take.
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
        take_in(platform, &arrivals, until, &mut tick).await?;
        let lost: u64 = arrivals.iter().map(|arrival| arrival.batch.lost).sum();
        let moved = Cursor {
            through: until,
            outcomes_lost: cursor.outcomes_lost.saturating_add(lost),
            batches: cursor.batches.saturating_add(arrivals.len() as u64),
        };
        tick.through = Some(Timestamp::from_millis(until));
        // Another tick that moved it has taken in the same.
        if !store.move_cursor(cursor, moved).await? || started.elapsed() > PATIENCE {
            break;
        }
    }
    let silence = i64::try_from(platform.settings.isolate_silence.as_millis()).unwrap_or(i64::MAX);
    tick.isolates_lost = store.note_lost_isolates(now - silence).await?;
    if tick.isolates_lost > 0 {
        tracing::warn!(
            event = "isolates_lost",
            lost = tick.isolates_lost,
            "isolates fell silent; what they had counted is unknown"
        );
    }
    store.note_tick("evaluate", clock::now()).await?;
    Ok(tick)
}

/// Takes a stretch into the ledgers of its flags.
async fn take_in(
    platform: &Platform,
    arrivals: &[Arrival],
    until: i64,
    tick: &mut Tick,
) -> Result<(), StoreError> {
    tick.batches += arrivals.len();
    if arrivals.is_empty() {
        return Ok(());
    }
    let mut state = platform.store.state().await?;
    for flag in flags(arrivals) {
        let part = Part { flag: flag.as_ref(), arrivals, until };
        if let Some(verdict) = part.take_in(platform, &mut state).await? {
            tick.ledgers += 1;
            if let (Some(flag), Some(verdict)) = (&flag, verdict) {
                tick.verdicts.insert(flag.to_string(), verdict);
            }
        }
    }
    Ok(())
}

/// The flags that something was counted for; `None` for requests that no flag decided.
fn flags(arrivals: &[Arrival]) -> BTreeSet<Option<FlagName>> {
    let cells = arrivals.iter().flat_map(|arrival| &arrival.batch.cells);
    let units = arrivals.iter().flat_map(|arrival| &arrival.batch.units);
    let comparisons = arrivals.iter().flat_map(|arrival| &arrival.batch.comparisons);
    cells
        .map(|cell| cell.flag.clone())
        .chain(units.map(|units| Some(units.flag.clone())))
        .chain(comparisons.map(|compared| Some(compared.flag.clone())))
        .collect()
}

/// One flag's part of what arrived.
struct Part<'a> {
    flag: Option<&'a FlagName>,
    arrivals: &'a [Arrival],
    until: i64,
}

impl Part<'_> {
    /// Takes the part into its ledger. `None` where it was in it already.
    async fn take_in(
        &self,
        platform: &Platform,
        state: &mut State,
    ) -> Result<Option<Option<Verdict>>, StoreError> {
        for _ in 0..MAX_TRIES {
            let ledger = platform.store.ledger(self.flag).await?;
            let fresh: Vec<&Batch> = self
                .arrivals
                .iter()
                .filter(|arrival| arrival.at > ledger.through)
                .map(|arrival| &arrival.batch)
                .collect();
            if fresh.is_empty() || ledger.through >= self.until {
                return Ok(None);
            }
            match self.write(platform, ledger, &fresh, state).await {
                Ok(verdict) => return Ok(Some(verdict)),
                // Another tick was here, or the run moved on: look again.
                Err(CommitError::Conflict) => *state = platform.store.state().await?,
                Err(CommitError::Store(error)) => return Err(error),
            }
        }
        Err(StoreError::Restless)
    }

    async fn write(
        &self,
        platform: &Platform,
        mut ledger: Ledger,
        fresh: &[&Batch],
        state: &State,
    ) -> Result<Option<Verdict>, CommitError> {
        for cell in fresh.iter().flat_map(|batch| &batch.cells) {
            if cell.flag.as_ref() == self.flag {
                add(&mut ledger, cell);
            }
        }
        let newest = self.flag.and_then(|flag| state.runs.get(flag)).map(|run| &run.id);
        for compared in fresh.iter().flat_map(|batch| &batch.comparisons) {
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
        if let Some(run) = run {
            let windows = windows(&run.id, fresh.iter().copied());
            if !windows.is_empty() {
                let before = ledger.evidence.as_ref().filter(|held| held.run == run.id);
                let at = clock::now();
                let (record, after) = Record::evaluation(at, crate::VERSION, run, before, windows);
                others.push(record_item(&record, &format!("evaluation#{:012}", ledger.version))?);
                if let Step::Evaluation { verdict: found, .. } = record.step {
                    verdict = Some(found);
                }
                ledger.evidence = Some(after);
            }
            note_times(&mut ledger, run, fresh);
        }
        let version = self.flag.zip(run).and_then(|(flag, _)| state.meta(crate::store::RUNS, flag.as_str()));
        let run = version.map(|meta| meta.version);
        platform.store.write_ledger(LedgerWrite { flag: self.flag, ledger: &ledger, run, others }).await?;
        Ok(verdict)
    }
}

fn add(ledger: &mut Ledger, cell: &Cell) {
    let (route, counts) = (cell.route.clone(), cell.counts.clone());
    merge(ledger, Series { route, arm: cell.arm, reason: cell.reason, counts });
    let (requests, errors) = (cell.counts.requests, cell.counts.errors());
    let duration_ms = cell.counts.duration_ms;
    match ledger.recent.iter_mut().find(|held| held.window == cell.window && held.arm == cell.arm) {
        Some(recent) => {
            recent.requests += requests;
            recent.errors += errors;
            recent.duration_ms += duration_ms;
        }
        None => {
            ledger.recent.push(Recent { window: cell.window, arm: cell.arm, requests, errors, duration_ms })
        }
    }
}

/// Counts the rarest routes together where there are too many to be told apart.
fn bound(ledger: &mut Ledger) {
    while ledger.series.len() > MAX_SERIES {
        let named = ledger.series.iter().enumerate().filter(|(_, series)| series.route.is_some());
        let Some((at, _)) = named.min_by_key(|(_, series)| series.counts.requests) else { return };
        let rare = ledger.series.swap_remove(at);
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

/// Adds what was compared. A new run begins a new report; what comes late of an older one is not told any more.
fn note_comparison(ledger: &mut Ledger, compared: &Compared, newest: Option<&RunId>) {
    let run = compared.canary.as_ref().map(|(run, _)| run);
    let known = ledger.comparisons.iter().position(|held| held.route == compared.route);
    let at = match known {
        Some(at) => at,
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
    let Some(held) = ledger.comparisons.get_mut(at) else { return };
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

/// Response times of the step that the run is at.
fn note_times(ledger: &mut Ledger, run: &Run, fresh: &[&Batch]) {
    let held = ledger.times.take().filter(|held| held.run == run.id && held.step == run.step);
    let mut times = held.unwrap_or_else(|| Times {
        run: run.id.clone(),
        step: run.step,
        new: Default::default(),
        legacy: Default::default(),
    });
    let label = Some((run.id.clone(), run.step));
    for cell in fresh.iter().flat_map(|batch| &batch.cells).filter(|cell| cell.canary == label) {
        let arm = if cell.arm == Arm::New { &mut times.new } else { &mut times.legacy };
        arm.merge(&cell.counts.histogram);
    }
    ledger.times = Some(times);
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::{Reason, batch::Counts};

    #[test]
    fn a_ledger_stays_small_and_loses_no_request() {
        let mut ledger = Ledger::default();
        for at in 0..1_000_u64 {
            let counts = Counts { requests: at + 1, ..Counts::default() };
            let route = format!("route-{at}").parse().ok();
            merge(&mut ledger, Series { route, arm: Arm::New, reason: Reason::Rollout, counts });
            bound(&mut ledger);
        }
        assert_eq!(ledger.series.len(), MAX_SERIES);
        assert_eq!(ledger.series.iter().map(|series| series.counts.requests).sum::<u64>(), 500_500);
        let busiest =
            ledger.series.iter().any(|series| series.counts.requests == 1_000 && series.route.is_some());
        assert!(busiest, "the busiest routes are told apart");
    }
}
