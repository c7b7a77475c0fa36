//! The statistics of experiments, checked against an independent implementation (gbstats 0.8.0 and scipy) and for their levels.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails loudly")]

use cutover_core::statistics::{
    Estimate, Interval, IntervalSettings, MIN_INTERVAL_USERS, PairedSums, Scale, Sums,
    calibration::{
        experiments::{Arrival, simulate, split},
        report_on_experiments,
    },
    discoveries,
};
use proptest::prelude::*;

fn settings(scale: Scale, tuned_for: u64, level: f64) -> IntervalSettings {
    IntervalSettings { level, tuned_for, scale }
}

fn assert_interval(interval: Option<Interval>, low: f64, difference: f64, high: f64) {
    let interval = interval.unwrap();
    for (actual, expected) in [(interval.low, low), (interval.difference, difference), (interval.high, high)]
    {
        assert!((actual - expected).abs() <= 1e-8, "{interval:?}, expected {low} {difference} {high}");
    }
}

/// The two samples of gbstats' own tests of its sequential test.
fn means() -> (Estimate, Estimate) {
    let control = Sums { users: 3_000, sum: 1_396.87, squares: 52_377.976_7 };
    let treatment = Sums { users: 3_461, sum: 2_422.7, squares: 134_698.29 };
    (Estimate::of_mean(&control).unwrap(), Estimate::of_mean(&treatment).unwrap())
}

#[test]
fn intervals_of_means_are_those_of_gbstats() {
    let (control, treatment) = means();
    let relative = Interval::between(&control, &treatment, settings(Scale::Relative, 1_000, 0.05));
    assert_interval(relative, -0.558_440_505_107_731_5, 0.503_361_085_856_235_8, 1.565_162_676_820_203_2);
    let absolute = Interval::between(&control, &treatment, settings(Scale::Absolute, 1_000, 0.05));
    assert_interval(absolute, -0.179_089_179_093_949_72, 0.234_376_666_666_666_67, 0.647_842_512_427_283_1);
}

#[test]
fn intervals_of_shares_are_those_of_gbstats() {
    let (control, treatment) =
        (Estimate::of_share(1_396, 3_000).unwrap(), Estimate::of_share(2_422, 3_461).unwrap());
    let interval = Interval::between(&control, &treatment, settings(Scale::Relative, 5_000, 0.05));
    assert_interval(interval, 0.400_978_496_685_941_5, 0.503_863_351_682_149_6, 0.606_748_206_678_357_7);
}

#[test]
fn intervals_of_ratios_are_those_of_gbstats() {
    let sums = |users, (a, aa): (f64, f64), (b, bb): (f64, f64), products| PairedSums {
        first: Sums { users, sum: a, squares: aa },
        second: Sums { users, sum: b, squares: bb },
        products,
    };
    let control = sums(3_000, (900.0, 5_000.0), (12_000.0, 90_000.0), 9_000.0);
    let treatment = sums(3_100, (1_100.0, 6_500.0), (12_600.0, 95_000.0), 11_000.0);
    let (control, treatment) =
        (Estimate::of_ratio(&control).unwrap(), Estimate::of_ratio(&treatment).unwrap());
    let relative = Interval::between(&control, &treatment, settings(Scale::Relative, 5_000, 0.01));
    assert_interval(relative, -0.241_787_037_377_357_3, 0.164_021_164_021_164, 0.569_829_365_419_685_3);
    let absolute = Interval::between(&control, &treatment, settings(Scale::Absolute, 5_000, 0.01));
    assert_interval(absolute, -0.015_902_189_573_910_17, 0.012_301_587_301_587_3, 0.040_505_364_177_084_766);
}

#[test]
fn intervals_of_means_corrected_by_the_time_before_are_those_of_gbstats() {
    let sums = |users, post: (f64, f64), pre: (f64, f64), products| PairedSums {
        first: Sums { users, sum: post.0, squares: post.1 },
        second: Sums { users, sum: pre.0, squares: pre.1 },
        products,
    };
    let control = sums(3_000, (1_300.0, 9_000.0), (1_000.0, 7_000.0), 6_000.0);
    let treatment = sums(3_200, (1_500.0, 11_000.0), (1_090.0, 7_500.0), 6_900.0);
    let (control, treatment) = Estimate::of_corrected_means(&control, &treatment).unwrap();
    let relative = Interval::between(&control, &treatment, settings(Scale::Relative, 5_000, 0.05));
    assert_interval(relative, -0.147_837_183_876_834_48, 0.067_147_366_385_209_14, 0.282_131_916_647_252_8);
    let absolute = Interval::between(&control, &treatment, settings(Scale::Absolute, 5_000, 0.05));
    assert_interval(absolute, -0.060_438_499_309_226_22, 0.029_097_192_100_257_296, 0.118_632_883_509_740_81);
}

#[test]
fn an_interval_needs_users_and_something_that_varies() {
    let share = |with_event, users| Estimate::of_share(with_event, users).unwrap();
    let absolute = settings(Scale::Absolute, 1_000, 0.05);
    let few = MIN_INTERVAL_USERS - 1;
    assert_eq!(Interval::between(&share(10, few), &share(10, 500), absolute), None);
    assert!(Interval::between(&share(10, few + 1), &share(10, 500), absolute).is_some());
    assert_eq!(Interval::between(&share(0, 500), &share(0, 500), absolute), None);
    let relative = settings(Scale::Relative, 1_000, 0.05);
    assert_eq!(Interval::between(&share(0, 500), &share(10, 500), relative), None);
    assert_eq!(Estimate::of_share(1, 0), None);
    assert_eq!(Estimate::of_share(2, 1), None);
    assert_eq!(Estimate::of_mean(&Sums { users: 1, sum: 1.0, squares: 1.0 }), None);
    assert_eq!(Estimate::of_ratio(&PairedSums::default()), None);
}

#[test]
fn discoveries_are_those_of_scipy() {
    let evidence = [1.0, 2.0, 30.0, 55.0, 70.0, 900.0, 19.9, 41.0, 100.0, 0.2].map(f64::ln);
    let (no, yes) = (false, true);
    assert_eq!(discoveries(&evidence, 0.2), [no, no, yes, yes, yes, yes, yes, yes, yes, no]);
    assert_eq!(discoveries(&evidence, 0.05), [no, no, no, yes, yes, yes, no, yes, yes, no]);
    assert_eq!(discoveries(&[], 0.05), Vec::<bool>::new());
    assert_eq!(discoveries(&[f64::NAN, 10.0], 0.05), [no, yes]);
}

#[test]
fn the_split_test_holds_its_level_at_every_look() {
    for weight in [0.1, 0.5, 0.9] {
        for every in [1, 50] {
            let fires = split(weight, weight, every, 600);
            println!("weight {weight}, every {every}: {fires:.4}");
            assert!(fires <= 0.05, "{fires}");
        }
    }
    // And it would be seen if it did not.
    assert!(split(0.5, 0.6, 1, 600) > 0.5);
}

#[test]
fn without_a_difference_daily_looks_deceive_the_usual_test_and_not_ours() {
    for arrival in [Arrival::Steady, Arrival::FirstDay] {
        let found = simulate(arrival, 1.0, 150);
        println!("{arrival:?}: {found:?}");
        assert!(found.daily_z > 0.15, "{found:?}");
        // Four standard errors above the level.
        let bound = 0.05 + 4.0 * (0.05 * 0.95 / 150.0_f64).sqrt();
        assert!(found.split <= bound && found.running <= bound && found.matured <= bound, "{found:?}");
    }
    assert!(simulate(Arrival::Steady, 1.5, 30).split > 0.8);
}

#[test]
fn the_published_tables_of_experiments_are_those_computed() {
    let published = include_str!("../../docs/calibration.md");
    let computed = report_on_experiments();
    assert!(published.contains(computed.trim()), "update docs/calibration.md with:\n{computed}");
}

proptest! {
    #[test]
    fn a_constant_time_before_corrects_nothing(
        values in prop::collection::vec((0.0..10.0_f64, 0.0..10.0_f64), 2..50),
    ) {
        let (mut paired, mut plain) = (PairedSums::default(), Sums::default());
        for (value, _) in &values {
            paired.add(*value, 3.0);
            plain.add(*value);
        }
        let (corrected, _) = Estimate::of_corrected_means(&paired, &paired).unwrap();
        let uncorrected = Estimate::of_mean(&plain).unwrap();
        prop_assert!((corrected.mean - uncorrected.mean).abs() < 1e-9);
        prop_assert!((corrected.variance - uncorrected.variance).abs() < 1e-6);
    }

    #[test]
    fn a_discovery_stays_one_if_another_metric_gains_evidence(
        evidence in prop::collection::vec(-3.0..8.0_f64, 1..12), gain in 0.0..5.0_f64, which in 0_usize..12,
    ) {
        let before = discoveries(&evidence, 0.05);
        let mut raised = evidence.clone();
        let place = which % raised.len();
        raised[place] += gain;
        for (before, after) in before.iter().zip(discoveries(&raised, 0.05)) {
            prop_assert!(!before || after);
        }
    }
}
