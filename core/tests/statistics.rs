//! The statistical tests behind decisions, checked against published golden values, exact
//! expectations and an independent source.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails loudly")]

use cutover_core::statistics::{
    Detector, Doubt, MIN_EVENT_USERS, Recovery, Threshold, USER_MAP_CAPACITY, UserMap, detector_threshold,
    event_evidence, firing, ln_regularised_beta, shared_incident_at, shared_incident_evidence,
    split_evidence, split_mix::mix,
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Arrival windows of ten seconds in a day.
const MOVES_PER_DAY: f64 = 8_640.0;

fn near(actual: f64, expected: f64, tolerance: f64, name: &str) {
    assert!((actual - expected).abs() <= tolerance, "{name}: {actual}, expected {expected}");
}

/// Returns the probability of each number of events in so many trials.
fn binomial(trials: u64, rate: f64) -> Vec<f64> {
    let mut masses = vec![1.0];
    for _ in 0..trials {
        let stay = masses.iter().map(|mass| mass * (1.0 - rate)).chain([0.0]);
        let rise = std::iter::once(0.0).chain(masses.iter().map(|mass| mass * rate));
        masses = stay.zip(rise).map(|(stay, rise)| stay + rise).collect();
    }
    masses
}

/// Returns the mean of `exp(evidence)` if the events occur at this rate.
fn mean(trials: u64, rate: f64, evidence: impl Fn(u64) -> f64) -> f64 {
    (0..).zip(binomial(trials, rate)).map(|(events, mass)| mass * evidence(events).exp()).sum()
}

#[test]
fn golden_values_of_the_threshold_test() {
    let above = Threshold::above(0.10, 0.01);
    for (k, n, expected) in [(0, 50, -1.237950968), (15, 50, 4.622210527), (74, 500, 4.626018782)] {
        near(above.evidence(k, n), expected, 1e-8, "up");
    }
    let below = Threshold::below(0.05, 0.05);
    for (k, n, expected) in [(0, 100, 2.397280478), (1, 200, 4.481521846), (30, 400, -2.164703989)] {
        near(below.evidence_below(k, n), expected, 1e-8, "down");
    }
}

#[test]
fn golden_values_of_the_event_comparison() {
    for (share, risk, k, all, expected) in [
        (0.1, 1.0, 10, 40, 2.65341691),
        (0.1, 1.0, 5, 50, -1.43501046),
        (0.01, 1.25, 3, 3, 9.51705444),
        (0.1, 1.25, 10, 40, 1.48025805),
        (0.5, 1.25, 30, 50, -1.19178975),
        (0.5, 1.25, 45, 50, 12.87327804),
        (0.9, 1.25, 80, 80, 6.43913600),
    ] {
        let name = format!("{k} of {all} at {share}, {risk}");
        near(event_evidence(share, risk, k, all), expected, 1e-8, &name);
    }
    assert_eq!(MIN_EVENT_USERS, 3);
}

#[test]
fn golden_values_of_the_split_test() {
    for (k, n, share, strength, expected) in [
        (100, 2_000, 0.05, 1_000.0, -0.55042016),
        (160, 2_000, 0.05, 1_000.0, 10.58705234),
        (1_100, 2_000, 0.5, 1_000.0, 6.12436860),
        (20, 1_000, 0.01, 1_000.0, 1.63692080),
        (500_000, 1_000_000, 0.5, 1_000.0, -3.45462714),
        (60, 100, 0.5, 500.0, 0.24270746),
        (1_300, 2_400, 0.5, 500.0, 6.02507069),
    ] {
        near(split_evidence(k, n, share, strength), expected, 1e-8, &format!("{k} of {n} at {share}"));
    }
}

#[test]
fn golden_values_of_the_detector() {
    let moved = |windows: &[(u64, u64)]| {
        let mut detector = Detector::default();
        windows.iter().for_each(|(events, requests)| detector.step(*events, *requests, 0.1));
        detector
    };
    let windows = [(0, 100), (1, 100), (15, 100), (30, 100)];
    let expected = [-4.55509777, -4.23683568, 0.24930509, 13.72212667];
    for (count, expected) in (1..).zip(expected) {
        let detector = moved(&windows[..count]);
        near(detector.evidence(), expected, 1e-8, &format!("after {count} windows"));
        assert_eq!(detector.is_suspect(), expected > 0.0, "after {count} windows");
    }
    near(moved(&[(15, 100)]).evidence(), 0.21910413, 1e-8, "in one window");
    near(moved(&[(7, 50), (8, 50)]).evidence(), 0.81896744, 1e-8, "in two windows");
    near(detector_threshold(30.0), 13.15850242, 1e-8, "one false alarm in 30 days");
}

#[test]
fn golden_values_of_the_doubt() {
    let mut doubt = Doubt::default();
    for (events, expected) in [(0, -2.87085320), (1, -2.58276137), (15, 5.56522946), (0, 0.16908984)] {
        doubt.step(events, 100, 0.05);
        near(doubt.evidence(), expected, 1e-8, &format!("{events} of 100"));
        assert_eq!(doubt.exists(), events == 15, "{events} of 100");
    }
}

#[test]
fn a_shared_outage_is_recognised_by_the_few_requests_of_a_small_arm() {
    // It began in the middle of a window: legacy's good responses before it are in the same span.
    assert!(shared_incident_evidence(500, 1_000, 5, 5, 0.1) > std::f64::consts::LN_10);
    // The new arm alone.
    for legacy_events in [0, 5, 20] {
        assert!(
            shared_incident_evidence(legacy_events, 1_000, 5, 5, 0.1) < -std::f64::consts::LN_10,
            "{legacy_events}"
        );
    }
    // Of many requests the rate is known.
    let (many, exact) =
        (shared_incident_evidence(120, 1_000, 1_200, 10_000, 0.1), shared_incident_at(120, 1_000, 0.12, 0.1));
    assert!((many - exact).abs() < 0.01, "{many} {exact}");
}

#[test]
fn golden_values_of_a_shared_incident() {
    let golden = [(0, 10, 0.5, -6.41853886), (3, 10, 0.3, 3.23760686), (12, 100, 0.12, 3.77009806)];
    for (k, n, q, expected) in golden {
        near(shared_incident_at(k, n, q, 0.1), expected, 1e-8, &format!("{k} of {n} beside {q}"));
    }
    near(shared_incident_evidence(3, 10, 300, 1_000, 0.1), 3.23760686, 1e-3, "the rate of the new arm");
    // A rate below the limit is lifted above it: both arms are compared at the same two rates.
    assert_eq!(
        shared_incident_evidence(3, 10, 1, 1_000, 0.1).to_bits(),
        shared_incident_at(3, 10, 0.101, 0.1).to_bits()
    );
}

/// A held canary is let go: seldom if it is at its limit, soon if it is at half of it.
#[test]
fn an_arm_at_its_limit_seldom_looks_recovered() {
    const RUNS: u64 = 200;
    const REQUESTS: u64 = 20;
    // Returns the number of runs in which the recovery is complete within so many moves.
    let recovered = |rate: f64, moves: u64| {
        let is_event = |number: u64| (mix(number) as f64) < rate * u64::MAX as f64;
        let ends = |run: u64| {
            let mut recovery = Recovery::default();
            (0..moves).any(|index| {
                let first = (run * moves + index) * REQUESTS + 1;
                let events = (first..first + REQUESTS).filter(|number| is_event(*number)).count();
                recovery.step(u64::try_from(events).unwrap(), REQUESTS, 0.1);
                recovery.is_complete()
            })
        };
        (0..RUNS).filter(|run| ends(*run)).count()
    };
    // Half an hour, and five minutes.
    let (at_limit, at_half) = (recovered(0.1, 180), recovered(0.05, 30));
    println!("of {RUNS} runs: {at_limit} recovered at the limit, {at_half} at half of it");
    assert!(at_limit <= 14, "{at_limit} of {RUNS} at the limit");
    assert!(at_half >= 160, "{at_half} of {RUNS} at half of the limit");
}

#[test]
fn the_incomplete_beta_function_agrees_with_an_independent_source() {
    let mut worst = 0.0_f64;
    for line in include_str!("incomplete_beta.csv").lines().filter(|line| !line.starts_with('#')) {
        let row: Vec<f64> = line.split(',').map(|cell| cell.parse().unwrap()).collect();
        let value = ln_regularised_beta(row[0], row[1], row[2], 1.0 - row[2]);
        // 1e-10 absolute, or relative if the logarithm itself is larger than 1.
        let error = (value - row[3]).abs() / row[3].abs().max(1.0);
        worst = worst.max(error);
        assert!(error <= 1e-10, "{line}: {value}, off by {error:e}");
    }
    println!("largest error of ln I_x: {worst:e}");
}

#[test]
fn evidence_is_worth_one_on_the_mean_while_nothing_is_wrong() {
    for (share, risk) in [(0.0001, 1.0), (0.01, 1.25), (0.1, 1.0), (0.5, 1.25), (0.9, 2.0), (0.99, 1.25)] {
        let null = share * risk / (share * risk + 1.0 - share);
        let event = mean(40, null, |k| event_evidence(share, risk, k, 40));
        near(event, 1.0, 1e-9, &format!("events at {share}, {risk}"));
        let split = mean(40, share, |k| split_evidence(k, 40, share, 1_000.0));
        near(split, 1.0, 1e-9, &format!("split at {share}"));
    }
    for limit in [0.01, 0.1, 0.6] {
        let above = Threshold::above(limit, 0.01);
        near(mean(40, limit, |k| above.evidence(k, 40)), 1.0, 1e-9, "threshold");
        let legacy = |k| shared_incident_at(k, 40, 2.0 * limit, limit);
        near(mean(40, limit / 2.0, legacy), 1.0, 1e-9, "legacy at half the limit");
    }
}

/// The false alarms of a detector are bounded because the mean of `M` is the number of moves.
#[test]
fn a_detector_is_worth_its_moves_on_the_mean_at_the_limit() {
    for limit in [0.02, 0.1, 0.7] {
        let masses = binomial(15, limit);
        let (mut one, mut two, mut doubt) = (0.0, 0.0, 0.0);
        for (first, first_mass) in (0..).zip(&masses) {
            let (mut detector, mut cumulative) = (Detector::default(), Doubt::default());
            detector.step(first, 15, limit);
            cumulative.step(first, 15, limit);
            one += first_mass * detector.evidence().exp();
            doubt += first_mass * cumulative.evidence().exp();
            for (second, second_mass) in (0..).zip(&masses) {
                let mut detector = detector.clone();
                detector.step(second, 15, limit);
                two += first_mass * second_mass * detector.evidence().exp();
            }
        }
        near(one, 1.0, 1e-9, "after one move");
        near(two, 2.0, 1e-9, "after two moves");
        near(doubt, 1.0, 1e-9, "doubt after one move");
    }
}

#[test]
fn a_detector_raises_no_more_false_alarms_than_it_says() {
    const RUNS: u32 = 1_000;
    const MOVES: u32 = 30;
    let mut state = 1_u64;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let (mut worth, mut alarms) = (0.0, 0);
    for _ in 0..RUNS {
        let (mut detector, mut alarm) = (Detector::default(), false);
        for _ in 0..MOVES {
            let events = (0..20).filter(|_| draw() < 0.1).count();
            detector.step(u64::try_from(events).unwrap(), 20, 0.1);
            alarm |= detector.evidence() >= firing(0.01);
        }
        worth += detector.evidence().exp() / f64::from(RUNS);
        alarms += u32::from(alarm);
    }
    println!("mean of M after {MOVES} moves {worth:.2}, {alarms} alarms at 1/100 in {RUNS} runs");
    assert!(worth <= f64::from(MOVES), "mean of M: {worth}");
    assert!(f64::from(alarms) <= f64::from(RUNS * MOVES) * 0.01, "{alarms} alarms");
    assert!(alarms > 0, "nothing was simulated");
}

#[test]
fn without_requests_nothing_moves() {
    let (mut detector, mut doubt) = (Detector::default(), Doubt::default());
    assert_eq!((detector.evidence(), doubt.evidence()), (0.0, 0.0));
    for _ in 0..2 {
        let before = (detector.clone(), doubt.clone());
        for _ in 0..1_000 {
            detector.step(0, 0, 0.1);
            doubt.step(0, 0, 0.1);
        }
        assert_eq!(before, (detector.clone(), doubt.clone()));
        detector.step(1, 10, 0.1);
        doubt.step(1, 10, 0.1);
    }
    assert_ne!(detector, Detector::default());
    assert!(detector_threshold(0.0) > Detector::default().evidence(), "an alarm before the first move");
    near(detector_threshold(1.0), (2.0 * MOVES_PER_DAY).ln(), 1e-9, "one day");
}

#[test]
fn nothing_is_not_evidence_and_numbers_stay_numbers() {
    let shares = [0.0, f64::NAN, -1.0, 1e-12, 1e-6, 0.05, 0.5, 0.999_999, 1.0 - 1e-12, 1.0];
    let counts = [0, 1, 5, 10_000_000, u64::MAX];
    for limit in shares.into_iter().filter(|share| !share.is_nan()) {
        for alpha in [0.0001, 0.01, 0.05] {
            let (above, below) = (Threshold::above(limit, alpha), Threshold::below(limit, alpha));
            near(above.evidence(0, 0), 0.0, 1e-12, "no trials");
            for (k, n) in [(0, 1), (1, 1), (10_000_000, 10_000_000), (0, 10_000_000), (5, 3)] {
                assert!(above.evidence(k, n).is_finite() && below.evidence_below(k, n).is_finite());
            }
        }
    }
    for share in shares {
        assert_eq!(event_evidence(share, 1.25, 0, 0).abs(), 0.0, "no users");
        near(split_evidence(0, 0, share, 1_000.0), 0.0, 1e-12, "no units");
        let (mut detector, mut doubt) = (Detector::default(), Doubt::default());
        for (k, n) in counts.into_iter().flat_map(|k| counts.map(|n| (k, n))) {
            for other in [0.0, 1.0, 1.25, f64::NAN, f64::INFINITY] {
                let event = event_evidence(share, other, k, n);
                assert!(event.is_finite(), "{k} of {n} users at {share}, {other}: {event}");
                let split = split_evidence(k, n, share, other * 1_000.0);
                assert!(split.is_finite(), "{k} of {n} units at {share}, {other}: {split}");
                assert!(shared_incident_at(k, n, other, share).is_finite(), "{k} of {n}, {share}, {other}");
            }
            assert!(shared_incident_evidence(k, n, n, k, share).is_finite());
            detector.step(k, n, share);
            doubt.step(k, n, share);
            let mut recovery = Recovery::default();
            recovery.step(k, n, share);
            let text = serde_json::to_string(&recovery).unwrap();
            assert!(!text.contains("null"), "{k} of {n}, {share}: {text}");
            assert!(detector.evidence().is_finite() && doubt.evidence().is_finite(), "{k} of {n}, {share}");
        }
    }
    for share in [0.0, 1.0] {
        assert_eq!(event_evidence(share, 1.0, 50, 100).abs(), 0.0, "only one arm serves");
        assert_eq!(split_evidence(50, 100, share, 1_000.0).abs(), 0.0, "only one arm serves");
    }
    for (legacy, new) in [(0, 10), (10, 0)] {
        assert_eq!(shared_incident_evidence(legacy, legacy, new, new, 0.1).abs(), 0.0, "one arm is idle");
    }
}

#[test]
fn a_split_that_is_not_as_configured_is_found() {
    assert!(split_evidence(100, 1_000, 0.1, 1_000.0) < 0.0);
    for (new, all) in [(500, 3_000), (0, 2_000)] {
        let evidence = split_evidence(new, all, 0.1, 1_000.0);
        assert!(evidence > firing(0.001), "{new} of {all}: {evidence}");
    }
}

#[test]
fn expected_requests_to_decide() {
    use cutover_core::canary::{requests_to_promote, requests_to_roll_back};
    for (rate, expected) in [(0.0, 120), (0.005, 145), (0.01, 180), (0.02, 320), (0.03, 784)] {
        assert_eq!(requests_to_promote(rate, 0.05, 0.05), Some(expected), "promote at {rate}");
    }
    for (rate, expected) in [(1.0, 8), (0.5, 19), (0.3, 42), (0.2, 104)] {
        assert_eq!(requests_to_roll_back(rate, 0.10, 0.05), Some(expected), "roll back at {rate}");
    }
    assert_eq!(requests_to_promote(0.05, 0.05, 0.05), None, "a rate at the limit is never proven below it");
}

#[test]
fn a_full_map_leaves_out_the_upper_half_of_the_hashes() {
    let mut map = UserMap::default();
    let hashes: Vec<u64> = (1..=5_000).map(mix).collect();
    for hash in &hashes {
        let (value, is_new) = map.get_mut_or_insert(*hash, 1_u32).unwrap();
        assert!(is_new);
        *value += 1;
    }
    assert_eq!((map.len(), map.theta()), (5_000, u64::MAX), "a tick adds first");
    map.thin();
    assert_eq!(map.theta(), u64::MAX / 2, "then thins");
    let kept = hashes.iter().filter(|hash| **hash < u64::MAX / 2).count();
    assert_eq!((map.len(), map.values().count()), (kept, kept));
    assert!(map.values().all(|value| *value == 2));
    for hash in hashes {
        let found = map.get_mut_or_insert(hash, 1).map(|(value, is_new)| (*value, is_new));
        assert_eq!(found, (hash < u64::MAX / 2).then_some((2, false)));
    }
    let before = map.clone();
    map.thin();
    assert_eq!(map, before, "a map with room is not thinned");
}

#[test]
fn thinning_ends_even_if_all_hashes_are_small() {
    let mut map = UserMap::default();
    for hash in 0..5_000 {
        map.get_mut_or_insert(hash, ()).unwrap();
    }
    assert_eq!(map.get_mut_or_insert(u64::MAX, ()), None, "hashes are below theta");
    map.thin();
    assert!(!map.is_empty() && map.len() <= USER_MAP_CAPACITY, "{} users", map.len());
    assert!(map.theta() <= 4_096, "{}", map.theta());
}

/// As in a record of a decision: states inside a tagged document that is flattened into another.
#[test]
fn states_survive_documents() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind", rename_all = "snake_case")]
    enum Step {
        Evaluation { users: UserMap<u32>, detectors: [Detector; 2], doubts: [Doubt; 2] },
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Record {
        run: String,
        #[serde(flatten)]
        step: Step,
    }
    let mut users = UserMap::default();
    for user in [1, 2, 3] {
        users.get_mut_or_insert(mix(user), u32::MAX).unwrap();
    }
    let (mut detector, mut doubt) = (Detector::default(), Doubt::default());
    detector.step(3, 70, 0.1);
    doubt.step(3, 70, 0.07);
    let step = Step::Evaluation {
        users,
        detectors: [Detector::default(), detector],
        doubts: [Doubt::default(), doubt],
    };
    let record = Record { run: "r40".to_owned(), step };
    let text = serde_json::to_string(&record).unwrap();
    assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record, "{text}");

    let mut small = UserMap::default();
    small.get_mut_or_insert(23, 4).unwrap();
    small.get_mut_or_insert(17, 1).unwrap();
    let text = serde_json::to_string(&small).unwrap();
    assert_eq!(text, r#"{"theta":18446744073709551615,"users":[[17,1],[23,4]]}"#);
    let detector = serde_json::to_string(&Detector::default()).unwrap();
    assert_eq!(detector, r#"{"sums":null,"best":[0.0,0.0,0.0,0.0,0.0,0.0]}"#);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Sums are taken once and never taken back: they are the same as if every user were remembered
    /// for ever and only the moment of the first event decided.
    #[test]
    fn thinning_changes_no_sum(
        start in any::<u64>(),
        ticks in prop::collection::vec(1_u64..4_000, 1..6),
    ) {
        let mut map = UserMap::default();
        let (mut counted, mut sum, mut user) = (BTreeSet::new(), 0_u64, start);
        for size in ticks {
            // Half of the users of a tick were there before.
            let from = user.wrapping_sub(size / 2);
            let theta = map.theta();
            for offset in 0..size {
                let hash = mix(from.wrapping_add(offset));
                let is_first = hash < theta && !counted.contains(&hash);
                match map.get_mut_or_insert(hash, ()) {
                    Some((_, is_new)) => prop_assert_eq!(is_new, is_first, "counted twice or never"),
                    None => prop_assert!(hash >= theta),
                }
                if is_first {
                    counted.insert(hash);
                    sum += 1;
                }
            }
            user = from.wrapping_add(size);
            map.thin();
            prop_assert_eq!(sum, counted.len() as u64);
            prop_assert_eq!(map.len(), counted.iter().filter(|hash| **hash < map.theta()).count());
            prop_assert!(map.len() <= USER_MAP_CAPACITY);
        }
    }

    #[test]
    fn a_map_admits_fewer_and_fewer(
        start in any::<u64>(),
        probes in prop::collection::vec(any::<u64>(), 2..40),
    ) {
        let mut map = UserMap::default();
        for round in 0..3_u64 {
            let before: Vec<bool> = probes.iter().map(|hash| map.admits(*hash)).collect();
            for offset in 0..5_000 {
                map.get_mut_or_insert(mix(start.wrapping_add(round * 5_000 + offset)), ());
            }
            map.thin();
            for (hash, before) in probes.iter().zip(before) {
                prop_assert!(before || !map.admits(*hash), "{} was let in again", hash);
                for other in probes.iter().filter(|other| *other < hash) {
                    prop_assert!(!map.admits(*hash) || map.admits(*other), "{} without {}", hash, other);
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn more_users_of_the_new_arm_are_more_evidence(
        share in 1_u32..1_000_000,
        risk in prop::sample::select(vec![1.0, 1.25, 2.0]),
        (new, all) in (1_u64..500).prop_flat_map(|all| (0..all, Just(all))),
    ) {
        let share = f64::from(share) / 1e6;
        let fewer = event_evidence(share, risk, new, all);
        let more = event_evidence(share, risk, new + 1, all);
        prop_assert!(fewer < more, "{} and {} of {}: {} and {}", new, new + 1, all, fewer, more);
    }

    /// The shares have a complement without rounding, so that both sides are the same test.
    #[test]
    fn a_split_looks_the_same_from_both_sides(
        share in 1_u32..1_024,
        strength in prop::sample::select(vec![500.0, 1_000.0]),
        (new, all) in (0_u64..100_000).prop_flat_map(|all| (0..=all, Just(all))),
    ) {
        let share = f64::from(share) / 1_024.0;
        let one = split_evidence(new, all, share, strength);
        let other = split_evidence(all - new, all, 1.0 - share, strength);
        prop_assert!((one - other).abs() <= 1e-9 * one.abs().max(1.0), "{} and {}", one, other);
    }
}
