//! Folding arrivals into the ledgers of their flags: counts since the beginning, the last minutes, comparisons, and the
//! evidence of the active run by arrival windows of ten seconds, in one transaction for each flag.

use crate::{
    clock,
    platform::Platform,
    store::{
        Arrival, CommitError, Ledger, LedgerWrite, RouteComparison, Series, State, StepTimes, WindowCounts,
        error::StoreError, record_item,
    },
};
use cutover_core::{
    Arm, FlagName, RunId,
    canary::{Evidence, Record, Run, Step, Verdict, Window, windows},
    compare::{ComparisonWindow, Tally},
    measurement::batch::{Cell, WINDOW_MS},
};
use std::collections::BTreeMap;

/// Longest period of arrivals that is held in memory at once, in milliseconds.
pub(super) const MAX_STRETCH_MS: i64 = 2 * 60_000;

/// Most series of a ledger; a DynamoDB item is limited to 400 KB. Beyond it, the routes with the
/// fewest requests are counted together.
const MAX_SERIES: usize = 120;

/// Period for which recent windows are kept, in milliseconds.
const RECENT_MS: i64 = 10 * 60_000;

/// Most routes of a flag with a comparison report. Each holds up to 64 kinds of differences and 64
/// rules, in an item of at most 400 KB.
const MAX_COMPARED_ROUTES: usize = 8;

/// Number of attempts to write a ledger that another tick keeps changing.
const MAX_TRIES: u32 = 5;

/// The folding of a tick, flag by flag, with its results.
pub(super) struct Folding<'p> {
    platform: &'p Platform,
    /// State that runs are judged in; read again if a run has moved on.
    state: State,
    /// Number of ledgers that were written.
    pub(super) ledgers: usize,
    /// Verdict of each running canary whose evidence changed, by flag.
    pub(super) verdicts: BTreeMap<String, Verdict>,
}

impl<'p> Folding<'p> {
    /// Reads the state. It must be newer than all arrivals that are folded: a run that it does not know gets no evidence.
    pub(super) async fn begin(platform: &'p Platform) -> Result<Self, StoreError> {
        let state = platform.store.state().await?;
        Ok(Self { platform, state, ledgers: 0, verdicts: BTreeMap::new() })
    }

    /// Reads the state again, before arrivals that may be newer.
    pub(super) async fn renew(&mut self) -> Result<(), StoreError> {
        self.state = self.platform.store.state().await?;
        Ok(())
    }

    /// Returns the flags with an active run, whose evidence may change by the time alone.
    pub(super) fn running(&self) -> Vec<FlagName> {
        let active = self.state.runs.values().filter(|run| run.state.is_active());
        active.map(|run| run.flag.clone()).collect()
    }

    /// Folds arrivals into the ledger of their flag, unless it holds them already. Returns false if the ledger or its
    /// evidence cannot be read or written.
    pub(super) async fn fold(&mut self, part: FlagArrivals<'_>) -> bool {
        match self.try_fold(&part).await {
            Ok(()) => true,
            Err(error) => {
                note_unreadable(part.flag.map(FlagName::as_str).unwrap_or_default(), &error);
                false
            }
        }
    }

    async fn try_fold(&mut self, part: &FlagArrivals<'_>) -> Result<(), StoreError> {
        let platform = self.platform;
        for _ in 0..MAX_TRIES {
            let (ledger, evidence) = platform.store.ledger_with_evidence(part.flag).await?;
            if ledger.through >= part.until {
                return Ok(());
            }
            let fresh = part.fresh(&ledger);
            if fresh.is_empty() && !part.is_waiting(evidence.as_ref(), &self.state) {
                return Ok(());
            }
            match part.write(platform, ledger, evidence.as_ref(), &fresh, &self.state).await {
                Ok(verdict) => {
                    self.ledgers += 1;
                    if let (Some(flag), Some(verdict)) = (part.flag, verdict) {
                        self.verdicts.insert(flag.to_string(), verdict);
                    }
                    return Ok(());
                }
                // Another tick has written the ledger, or the run has moved on: read again.
                Err(CommitError::Conflict) => self.renew().await?,
                Err(CommitError::Store(error)) => return Err(error),
            }
        }
        Err(StoreError::Restless)
    }
}

/// Logs that the counts of a flag are not evaluated.
pub(super) fn note_unreadable(flag: &str, error: &StoreError) {
    tracing::error!(event = "flag_unreadable", flag, %error, "the counts of a flag are not evaluated");
}

/// The arrivals of a period, for one flag.
pub(super) struct FlagArrivals<'a> {
    /// The flag; `None` for requests that no flag decided.
    pub(super) flag: Option<&'a FlagName>,
    /// All arrivals of the period, those of other flags among them.
    pub(super) arrivals: &'a [Arrival],
    /// End of the period, in milliseconds since 1970.
    pub(super) until: i64,
}

impl<'a> FlagArrivals<'a> {
    /// Returns the arrivals with anything of the flag that the ledger does not hold.
    fn fresh(&self, ledger: &Ledger) -> Vec<&'a Arrival> {
        let is_fresh = |arrival: &&Arrival| arrival.at > ledger.through && self.concerns(arrival);
        self.arrivals.iter().filter(is_fresh).collect()
    }

    /// Returns true if the time alone changes the evidence of the active run.
    fn is_waiting(&self, evidence: Option<&Evidence>, state: &State) -> bool {
        let run = self.flag.and_then(|flag| state.active_run(flag));
        run.zip(evidence).is_some_and(|(run, held)| held.run == run.id && held.is_waiting(self.until))
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
    use cutover_core::{Reason, compare::RuleCount, measurement::counts::Counts};

    #[test]
    fn counts_of_rules_are_added_up_and_begin_anew_with_a_run() {
        let count = |compared, matched| RuleCount { path: "a".to_owned(), compared, matched };
        let noted = |ledger: &mut Ledger, run: &str, matched| {
            let run: RunId = run.parse().unwrap();
            let tally = Tally { compared: 2, rules: vec![count(2, matched)], ..Tally::default() };
            let (flag, route) = ("f".parse().unwrap(), "r".parse().unwrap());
            let canary = Some((run.clone(), 0));
            let window = ComparisonWindow { flag, route, canary, window: 0, tally };
            note_comparison(ledger, &window, Some(&run));
            ledger.comparisons[0].tally.rules.clone()
        };
        let mut ledger = Ledger::default();
        assert_eq!(noted(&mut ledger, "r1", 0), [count(2, 0)]);
        assert_eq!(noted(&mut ledger, "r1", 1), [count(4, 1)]);
        assert_eq!(noted(&mut ledger, "r2", 0), [count(2, 0)]);
    }

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
