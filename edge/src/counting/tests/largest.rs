//! The largest batches: those of an isolate that ingest has not answered for an hour.

use super::{Ended, add, hash};
use crate::{counting::*, test_support};
use cutover_core::{
    ExperimentName, FlagName, PartsPerMillion, RouteId, RunId,
    compare::{ComparisonWindow, DifferenceCount, DifferenceKind, RuleCount, SkipReason, Tally},
    decision::counted::MetricSet,
    measurement::label::{CanaryLabel, ExperimentLabel, SlowLimits},
    vocabulary::{names::MAX_NAME_LENGTH, revision::Revision},
};

fn flag() -> FlagName {
    "f".repeat(MAX_NAME_LENGTH).parse().unwrap()
}

fn route() -> RouteId {
    "r".repeat(MAX_NAME_LENGTH).parse().unwrap()
}

fn run() -> RunId {
    "u".repeat(MAX_NAME_LENGTH).parse().unwrap()
}

/// Compiles rules in which every name is as long as a name may be.
fn rules() -> Rc<Ruleset> {
    let share = PartsPerMillion::of_percent(50);
    let mut snapshot = test_support::snapshot(1, share);
    let (_, held) = snapshot.flags.pop_first().unwrap();
    snapshot.flags.insert(flag(), held);
    (snapshot.routes[0].flag, snapshot.routes[0].id) = (flag(), route());
    snapshot.canaries.insert(flag(), CanaryLabel { run: run(), ..test_support::label(0, share) });
    Rc::new(Ruleset::compile(&snapshot).unwrap())
}

/// Counts with outcomes of every kind and times of every bucket, about a million of each.
fn counts() -> Counts {
    let limits = Some(SlowLimits { slow_success_ms: 1, slow_rollback_ms: 1 });
    let mut counts = Counts::default();
    for outcome in [500, 401, 404, 400].map(Outcome::Status).into_iter().chain([Outcome::Timeout]) {
        (0..62_000).for_each(|ms| counts.add(outcome, ms, false, limits));
    }
    counts.add(Outcome::Unreachable, 0, true, limits);
    counts.add(Outcome::Unreachable, 0, false, limits);
    for _ in 0..20 {
        let twice = counts.clone();
        counts.merge(&twice);
    }
    counts
}

/// A cell of the largest size.
fn largest_cell(counts: &Counts) -> Cell {
    Cell {
        flag: Some(flag()),
        route: Some(route()),
        arm: Arm::Legacy,
        reason: Reason::Rollout,
        revision: Revision(u64::MAX),
        canary: Some((run(), u32::MAX)),
        counts: counts.clone(),
    }
}

/// A window of comparisons with as many kinds of differences and as many rules as a tally has.
fn largest_comparison(window: i64) -> ComparisonWindow {
    let path = |number: usize| format!("{number:0>120}");
    let example = format!("\"...{}\" (1000000 characters)", "\"".repeat(32));
    let difference = |number: usize| DifferenceCount {
        path: path(number),
        kind: DifferenceKind::Missing,
        count: u64::MAX,
        noise: u64::MAX,
        example: (example.clone(), example.clone()),
    };
    let rule = |number: usize| RuleCount { path: path(number), compared: u64::MAX, matched: u64::MAX };
    let tally = Tally {
        compared: u64::MAX,
        mismatched: u64::MAX,
        noise_compared: u64::MAX,
        skipped: SkipReason::ALL.map(|reason| (reason, u64::MAX)).to_vec(),
        differences: (0..64).map(difference).collect(),
        others: u64::MAX,
        rules: (0..64).map(rule).collect(),
    };
    ComparisonWindow { flag: flag(), route: route(), canary: Some((run(), u32::MAX)), window, tally }
}

/// Compiles rules that count an experiment with a name as long as a name may be.
fn counting_experiment() -> Rc<Ruleset> {
    let name: ExperimentName = "e".repeat(MAX_NAME_LENGTH).parse().unwrap();
    let variant = |key: &str| serde_json::json!({ "key": key, "name": key, "traffic_percentage": 50.0 });
    let experiment = serde_json::json!({ "name": "E", "variants": [variant("a"), variant("b")] });
    let mut snapshot = test_support::snapshot(1, PartsPerMillion::of_percent(50));
    snapshot.experiments.insert(name.clone(), serde_json::from_value(experiment).unwrap());
    let label = ExperimentLabel { phase: 1, key: test_support::KEY.to_owned() };
    snapshot.experiment_labels.insert(name, label);
    Rc::new(Ruleset::compile(&snapshot).unwrap())
}

/// A batch that ingest refuses for its size is lost for good.
#[test]
fn the_largest_batches_are_accepted_by_ingest() {
    const CELLS: usize = 2 * MAX_BATCH_CELLS;
    let mut counting = Counting::default();
    counting.begin_generation(1, rules(), 0);
    // An hour of event windows with a failing user in each, and one with more users than a batch has room for.
    let failed = |user: u64, begun: u32| Ended { user: hash(user), status: 503, begun, ..Ended::default() };
    add(&mut counting, (0..360).map(|window| failed(u64::from(window), 100 + window * 10)));
    add(&mut counting, (1_000..2_000).map(|user| failed(user, 103)));
    counting.cells.clear();
    counting.named = vec![largest_cell(&counts()); CELLS];
    let loss = |step: usize| {
        let canary = (run(), u32::try_from(step).unwrap());
        StepLoss { flag: flag(), canary, outcomes: u64::MAX, users: u64::MAX }
    };
    counting.losses = (0..MAX_LOSSES).map(loss).collect();
    for window in 0..8 {
        counting.comparing.add_waiting(largest_comparison(window * 10_000));
    }
    // Windows in which nothing was compared are many, and nearly all names.
    for window in 8..64 {
        let mut entry = largest_comparison(window * 10_000);
        (entry.tally.differences, entry.tally.rules) = (Vec::new(), Vec::new());
        counting.comparing.add_waiting(entry);
    }
    let rules = counting_experiment();
    for user in 0..3_000 {
        let (selected, variant) = (MetricSet::default(), Some(1));
        let member = Member { experiment: 0, user: hash(user), variant, selected };
        let ended = EndedRequest {
            status: None,
            outcome: Outcome::Status(200),
            ms: 5,
            begun: 103_000,
            is_fallback: false,
        };
        counting.experiments.add(&rules, &[member], ended);
    }
    let state = BatchState { now: i64::MAX, ..BatchState::default() };
    let (mut cells, mut users, mut comparisons, mut exposures) = (0, 0, 0, 0);
    while counting.has_batch(i64::MAX, false) {
        let batch = counting.take(&"a".repeat(32), u64::MAX, &state);
        let size = batch.encode().len();
        assert!(
            size <= MAX_BYTES,
            "{size} bytes: {} cells, {} windows",
            batch.cells.len(),
            batch.users.len()
        );
        assert!(!batch.cells.is_empty() || cells == CELLS, "no room for a cell beside {size} bytes");
        cells += batch.cells.len();
        users += batch.users.iter().map(|window| window.seen.len()).sum::<usize>();
        comparisons += batch.comparisons.len();
        exposures += batch.experiments.iter().map(|part| part.exposures.len()).sum::<usize>();
    }
    assert_eq!((cells, users, comparisons, exposures), (CELLS, 360 + 1_000, 64, 3_000));
}
