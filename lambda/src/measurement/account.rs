//! Memory of evaluation about one flag: its ledger with everything folded since it was written, and the arrival
//! windows of the active run since then. The evidence is judged in memory, and written with the ledger in one transaction.

use crate::{
    clock,
    platform::Platform,
    store::{
        CommitError, Lease, Ledger, LedgerWrite, NewItem, PackedEvidence, RouteComparison, Series, State,
        StepTimes, WindowCounts, error::StoreError, record_items,
    },
};
use cutover_core::{
    Arm, FlagName, RunId,
    canary::{Evidence, Gathered, Record, Run, Window, fold, halve_users},
    compare::{ComparisonWindow, Tally},
    measurement::{
        batch::{Batch, Cell, WINDOW_MS, window_of},
        log::Positions,
    },
};

/// Most series of a ledger. Beyond it, the routes with the fewest requests are counted together.
const MAX_SERIES: usize = 120;

/// Period for which recent windows are kept, in milliseconds.
const RECENT_MS: i64 = 10 * 60_000;

/// Most routes of a flag with a comparison report. Each holds up to 64 kinds of differences and 64 rules, and is an item.
const MAX_COMPARED_ROUTES: usize = 8;

/// Point up to which evidence is judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Horizon {
    /// Arrival time up to which the log was read, in milliseconds since 1970.
    pub(super) until: i64,
    /// Longest time that a report takes, in milliseconds.
    pub(super) report_ms: u64,
}

/// Ledger of a flag in memory.
pub(super) struct FlagAccount {
    /// The flag; `None` for requests that no flag decided.
    flag: Option<FlagName>,
    /// The ledger, with the counts that are not written yet.
    ledger: Ledger,
    /// Evidence of the newest run, as it is written.
    evidence: Option<Evidence>,
    /// Windows of the active run that arrived since.
    gathered: Option<Gathered>,
}

impl FlagAccount {
    /// Reads the ledger of a flag and the evidence of its newest run. Positions in another stream than this one say nothing.
    pub(super) async fn open(
        platform: &Platform,
        flag: Option<FlagName>,
        stream: &str,
    ) -> Result<Self, StoreError> {
        let (mut ledger, evidence) = platform.store.ledger_with_evidence(flag.as_ref().into()).await?;
        if ledger.stream != stream {
            (ledger.stream, ledger.positions) = (stream.to_owned(), Positions::default());
        }
        Ok(Self { flag, ledger, evidence, gathered: None })
    }

    /// Returns the ledger, with the counts that are not written yet.
    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Adds what a batch that arrived at `at` holds of the flag. The state must be newer than the batch: a run that it does
    /// not know gets no evidence.
    pub(super) fn add(&mut self, state: &State, at: i64, batch: &Batch) {
        let Self { flag, ledger, evidence, gathered } = self;
        let flag = flag.as_ref();
        let run = flag.and_then(|flag| state.active_run(flag));
        for cell in batch.cells.iter().filter(|cell| cell.flag.as_ref() == flag) {
            add(ledger, cell, at);
            note_time(ledger, run, cell);
        }
        let newest = flag.and_then(|flag| state.runs.get(flag)).map(|run| &run.id);
        for compared in &batch.comparisons {
            if Some(&compared.flag) == flag {
                note_comparison(ledger, compared, newest);
            }
        }
        bound(ledger);
        forget_old(ledger);
        let Some(run) = run else { return };
        if gathered.as_ref().is_none_or(|held| *held.run() != run.id) {
            *gathered = Some(Gathered::new(run.id.clone()));
        }
        // What arrives in a window that was closed goes into the open one.
        let folded = evidence.as_ref().filter(|held| held.run == run.id).and_then(|held| held.through);
        if let Some(gathered) = gathered {
            gathered.add(&run.plan, at.max(folded.unwrap_or(at)), batch);
        }
    }

    /// Returns the arrival windows of the active run that are not folded yet; an empty one if the time alone changes the
    /// evidence.
    fn windows(&self, run: &Run, horizon: Horizon) -> Vec<Window> {
        let Horizon { until, report_ms } = horizon;
        let gathered = self.gathered.as_ref().filter(|gathered| *gathered.run() == run.id);
        let mut windows = gathered.map(|gathered| gathered.windows(until)).unwrap_or_default();
        let newest = windows.last().map(|window| window.start);
        let nothing = Window::nothing(until);
        let has_newest = newest.is_some_and(|newest| newest >= nothing.start);
        if !has_newest && self.before(run).is_some_and(|held| held.is_waiting(until)) {
            windows.push(nothing);
        }
        windows.iter_mut().for_each(|window| window.report_ms = report_ms);
        windows
    }

    fn before(&self, run: &Run) -> Option<&Evidence> {
        self.evidence.as_ref().filter(|held| held.run == run.id)
    }

    /// Returns the evidence of the active run at the horizon. It is what [`Self::checkpoint`] would write.
    pub(super) fn evidence(&self, run: &Run, horizon: Horizon) -> Evidence {
        fold(run, self.before(run), &self.windows(run, horizon))
    }

    /// Returns true if the time up to the horizon changes the evidence of the active run, or something of it has arrived.
    pub(super) fn is_waiting(&self, state: &State, horizon: Horizon) -> bool {
        let run = self.flag.as_ref().and_then(|flag| state.active_run(flag));
        run.is_some_and(|run| !self.windows(run, horizon).is_empty())
    }

    /// Writes the ledger, complete up to these positions and this horizon, with the evidence of the active run and the
    /// record of its evaluation.
    ///
    /// After a failure, the account is to be dropped: it may have been written.
    pub(super) async fn checkpoint(
        &mut self,
        platform: &Platform,
        state: &State,
        lease: Lease,
        (positions, horizon): (Positions, Horizon),
    ) -> Result<(), CommitError> {
        let mut ledger = self.ledger.clone();
        ledger.positions = positions;
        (ledger.through, ledger.written_at) = (horizon.until, clock::now().millis());
        let run = self.flag.as_ref().and_then(|flag| state.active_run(flag));
        let mut others = Vec::new();
        let (mut evidence, mut packed) = (None, None);
        if let Some(run) = run {
            let windows = self.windows(run, horizon);
            if !windows.is_empty() {
                let fits = |_: &Evidence, packed: &PackedEvidence, records: &[NewItem]| packed.fits(records);
                let evaluated = evaluated(run, self.before(run), windows, ledger.version, fits)?;
                others.extend(evaluated.records);
                packed = Some(evaluated.packed);
                evidence = Some(evaluated.after);
            }
        }
        let version =
            self.flag.as_ref().zip(run).and_then(|(flag, _)| state.meta(crate::store::RUNS, flag.as_str()));
        let counted = version.map(|meta| meta.version);
        let subject = self.flag.as_ref().into();
        let write = LedgerWrite { subject, ledger, evidence: packed.as_ref(), counted, others, lease };
        self.ledger = platform.store.write_ledger(write).await?;
        if evidence.is_some() {
            self.evidence = evidence;
        }
        self.gathered = None;
        Ok(())
    }
}

/// An evaluation of arrival windows.
struct Evaluated {
    /// Items of its record.
    records: Vec<NewItem>,
    /// The evidence after it.
    after: Evidence,
    /// The same as it is stored.
    packed: PackedEvidence,
}

/// Evaluates arrival windows, with the version of the ledger that the evaluation begins from. Users are left out, half of them
/// at a time, until `fits` says that the evidence can be stored with its record; the windows in the record name the bounds, so
/// that it can be replayed.
fn evaluated(
    run: &Run,
    before: Option<&Evidence>,
    mut windows: Vec<Window>,
    version: u64,
    fits: impl Fn(&Evidence, &PackedEvidence, &[NewItem]) -> bool,
) -> Result<Evaluated, StoreError> {
    let now = clock::now();
    loop {
        let (record, after) = Record::evaluation(now, crate::VERSION, run, before, windows.clone());
        let records = record_items(&record, &format!("evaluation#{version:012}"))?;
        let packed = PackedEvidence::of(&after)?;
        if fits(&after, &packed, &records) || !halve_users(&mut windows) {
            return Ok(Evaluated { records, after, packed });
        }
        tracing::warn!(event = "evidence_halved", flag = %run.flag, run = %run.id, "users are left out of the evidence");
    }
}

/// Adds the counts of a cell that arrived at `at`. Refusals are in no rate: no backend gave them.
fn add(ledger: &mut Ledger, cell: &Cell, at: i64) {
    let window = window_of(at);
    let (route, counts) = (cell.route.clone(), cell.counts.clone());
    ledger.add(Series { route, arm: cell.arm, reason: cell.reason, counts });
    if cell.reason.is_refusal() {
        return;
    }
    let (requests, errors) = (cell.counts.requests, cell.counts.errors());
    let duration_ms = cell.counts.duration_ms;
    match ledger.recent.iter_mut().find(|held| held.window == window && held.arm == cell.arm) {
        Some(recent) => {
            recent.requests = recent.requests.saturating_add(requests);
            recent.errors = recent.errors.saturating_add(errors);
            recent.duration_ms = recent.duration_ms.saturating_add(duration_ms);
        }
        None => ledger.recent.push(WindowCounts { window, arm: cell.arm, requests, errors, duration_ms }),
    }
}

/// Merges the routes with the fewest requests if the ledger has too many series.
fn bound(ledger: &mut Ledger) {
    while ledger.series.len() > MAX_SERIES && ledger.merge_rarest() {}
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
    ledger.recent.retain(|recent| newest.saturating_sub(recent.window) < RECENT_MS - WINDOW_MS);
    ledger.recent.sort_by_key(|recent| (recent.window, recent.arm));
}

/// Adds the response times of a cell of the step that the run is at.
fn note_time(ledger: &mut Ledger, run: Option<&Run>, cell: &Cell) {
    let Some(run) = run else { return };
    let is_current = cell.canary.as_ref().is_some_and(|(id, step)| *id == run.id && *step == run.step);
    if !is_current {
        return;
    }
    let held = ledger.times.take().filter(|held| held.run == run.id && held.step == run.step);
    let mut times = held.unwrap_or_else(|| StepTimes {
        run: run.id.clone(),
        step: run.step,
        new: Default::default(),
        legacy: Default::default(),
    });
    let arm = if cell.arm == Arm::New { &mut times.new } else { &mut times.legacy };
    arm.merge(&cell.counts.histogram);
    ledger.times = Some(times);
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::{
        Reason, Timestamp,
        canary::RunIdentity,
        compare::RuleCount,
        config::Config,
        measurement::{
            batch::{SeenUser, UserWindow},
            counts::Counts,
        },
    };

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

    /// H8: users are left out until the evidence can be stored, and the record says so.
    #[test]
    fn evidence_that_does_not_fit_loses_half_of_its_users_at_a_time() {
        let config = Config::from_yaml(include_str!("../../../docs/example.yaml")).unwrap();
        let (flag, plan) = config.canary_deployments.into_iter().next().unwrap();
        let identity = RunIdentity { id: "r1".parse().unwrap(), key: None };
        let run = Run::start(identity, flag, plan, Timestamp::from_millis(0), "operator");
        let hash = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut before = Evidence::none(&run);
        before.unripe.push(UserWindow {
            flag: run.flag.clone(),
            canary: (run.id.clone(), 0),
            share: run.share(),
            window: 0,
            settle_ms: 60_000,
            seen: (0..2_000).map(|number| SeenUser(hash(number), Arm::New)).collect(),
            events: Vec::new(),
            compared: Vec::new(),
        });
        let users = |evidence: &Evidence| evidence.unripe.iter().map(|users| users.seen.len()).sum::<usize>();
        let evaluate = |most: usize| {
            let windows = vec![Window { start: 0, end: WINDOW_MS, ..Window::default() }];
            let fits = |evidence: &Evidence, _: &PackedEvidence, _: &[NewItem]| users(evidence) <= most;
            let Evaluated { records, after, .. } = evaluated(&run, Some(&before), windows, 7, fits).unwrap();
            let record = records[0].clone().into_attributes()["record"].as_s().unwrap().clone();
            (users(&after), record.contains("\"is_cut\":true"))
        };
        assert_eq!(evaluate(2_000), (2_000, false));
        let (left, is_recorded) = evaluate(600);
        assert!((400..=600).contains(&left) && is_recorded, "{left}: a quarter");
        assert!(evaluate(0).0 <= 1, "it comes to an end");
    }

    /// The time of a report depends on the size of the fleet, so whoever folds a window later must find it there.
    #[test]
    fn windows_name_the_time_that_a_report_takes() {
        let config = Config::from_yaml(include_str!("../../../docs/example.yaml")).unwrap();
        let (flag, plan) = config.canary_deployments.into_iter().next().unwrap();
        let identity = RunIdentity { id: "r1".parse().unwrap(), key: None };
        let run = Run::start(identity, flag.clone(), plan, Timestamp::from_millis(0), "operator");
        let mut gathered = Gathered::new(run.id.clone());
        let cell = Cell {
            flag: Some(flag.clone()),
            route: None,
            arm: Arm::New,
            reason: Reason::Rollout,
            revision: Default::default(),
            canary: Some((run.id.clone(), 0)),
            counts: Counts { requests: 1, ..Counts::default() },
        };
        gathered.add(&run.plan, 1, &Batch { cells: vec![cell], ..Batch::empty("a".repeat(32), 1) });
        let (ledger, gathered) = (Ledger::default(), Some(gathered));
        let account = FlagAccount { flag: Some(flag), ledger, evidence: None, gathered };
        let horizon = Horizon { until: 5_000, report_ms: 23_000 };
        let named: Vec<u64> = account.windows(&run, horizon).iter().map(|window| window.report_ms).collect();
        assert_eq!(named, [23_000]);
        assert_eq!(account.evidence(&run, horizon).current.report_ms, 23_000);
    }

    /// M17: what a batch claims is added up without overflow, and a time far off is a time.
    #[test]
    fn counts_and_times_of_any_size_are_added_up() {
        let counts = Counts {
            requests: u64::MAX,
            server_errors: u64::MAX,
            timeouts: 1,
            duration_ms: u64::MAX,
            histogram: serde_json::from_str("[[43,18446744073709551615],[44,7]]").unwrap(),
            ..Counts::default()
        };
        let cell = Cell {
            flag: None,
            route: None,
            arm: Arm::New,
            reason: Reason::Rollout,
            revision: Default::default(),
            canary: None,
            counts,
        };
        let mut ledger = Ledger::default();
        for at in [i64::MIN, 0, i64::MAX, i64::MAX] {
            add(&mut ledger, &cell, at);
            forget_old(&mut ledger);
        }
        let [recent] = ledger.recent.as_slice() else { panic!("{:?}", ledger.recent) };
        let expected = (u64::MAX, u64::MAX, u64::MAX);
        assert_eq!((recent.requests, recent.errors, recent.duration_ms), expected);
        let counts = &ledger.series[0].counts;
        assert_eq!((counts.requests, counts.errors(), counts.histogram.count()), expected);
        assert_eq!(counts.histogram.at_most(127), u64::MAX);
        assert!(counts.histogram.quantile(0.99).is_some());
    }

    #[test]
    fn refusals_are_in_no_rate_of_a_backend() {
        let mut ledger = Ledger::default();
        for reason in [Reason::Limited, Reason::Guarded, Reason::Rollout] {
            let counts = Counts { requests: 1, ..Counts::default() };
            let (arm, revision) = (Arm::Legacy, Default::default());
            let cell = Cell { flag: None, route: None, arm, reason, revision, canary: None, counts };
            add(&mut ledger, &cell, 1_000);
        }
        assert_eq!((ledger.series.len(), ledger.recent.len()), (3, 1));
        assert_eq!(ledger.recent[0].requests, 1);
    }

    #[test]
    fn a_ledger_stays_small_and_loses_no_request() {
        let mut ledger = Ledger::default();
        for index in 0..1_000_u64 {
            let counts = Counts { requests: index + 1, ..Counts::default() };
            let route = format!("route-{index}").parse().ok();
            ledger.add(Series { route, arm: Arm::New, reason: Reason::Rollout, counts });
            bound(&mut ledger);
        }
        assert_eq!(ledger.series.len(), MAX_SERIES);
        assert_eq!(ledger.series.iter().map(|series| series.counts.requests).sum::<u64>(), 500_500);
        let busiest =
            ledger.series.iter().any(|series| series.counts.requests == 1_000 && series.route.is_some());
        assert!(busiest, "the busiest routes keep their own series");
    }
}
