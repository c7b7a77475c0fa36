//! False-alarm rates of the statistical tests, computed exactly, with an evaluation after every
//! trial.
#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use cutover_core::statistics::{
    calibration::{events, naive_cumulative, naive_windows, threshold},
    event_evidence, firing,
};

fn near(actual: f64, expected: f64, tolerance: f64, name: &str) {
    println!("{name}: {actual:.5}, published {expected}");
    assert!((actual - expected).abs() <= tolerance, "{name}: {actual}, expected {expected}");
}

#[test]
fn the_published_figures_of_the_threshold_test() {
    near(threshold(0.10, 0.10, 0.05, 3_000).fires, 0.0311, 1e-4, "rolled back at the limit");
    assert!(threshold(0.05, 0.10, 0.05, 3_000).fires < 1e-5);
    near(threshold(0.20, 0.10, 0.05, 3_000).mean_trials, 106.7, 0.1, "requests at twice the limit");
    near(threshold(0.50, 0.10, 0.05, 3_000).mean_trials, 19.3, 0.1, "requests at five times the limit");
}

#[test]
fn the_published_figures_of_the_event_comparison() {
    let published = [
        (0.01, "0.0151", "0.0164"),
        (0.10, "0.0290", "0.0317"),
        (0.50, "0.0363", "0.0375"),
        (0.90, "0.0446", "0.0448"),
    ];
    for (share, no_worse, a_quarter_worse) in published {
        for (risk, expected) in [(1.0, no_worse), (1.25, a_quarter_worse)] {
            let fires = events(share, risk, risk, 0.05, 1_000).fires;
            assert_eq!(format!("{fires:.4}"), expected, "share {share}, tolerated risk {risk}");
        }
    }
}

#[test]
fn a_comparison_does_not_fire_with_fewer_than_three_users() {
    // Two of two on an arm of a millionth are evidence enough, but not users enough.
    assert!(event_evidence(1e-6, 1.25, 2, 2) > firing(0.05));
    assert!(events(1e-6, 1.25, 1e9, 0.05, 2).fires.abs() < 1e-12);
    assert!(events(1e-6, 1.25, 1e9, 0.05, 3).fires > 0.99);
}

#[test]
fn one_arm_alone_is_not_compared() {
    for share in [0.0, 1.0] {
        assert!(events(share, 1.25, 5.0, 0.05, 100).fires.abs() < 1e-12, "share {share}");
    }
}

#[test]
fn no_test_fires_in_vain_more_often_than_its_level() {
    for alpha in [0.05, 0.01, 0.0025] {
        for limit in [0.01, 0.05, 0.10, 0.50] {
            let fires = threshold(limit, limit, alpha, 2_000).fires;
            assert!(fires <= alpha, "limit {limit}, level {alpha}: {fires}");
        }
        for share in [0.01, 0.10, 0.50, 0.90] {
            for risk in [1.0, 1.25, 2.0] {
                let fires = events(share, risk, risk, alpha, 1_000).fires;
                assert!(fires <= alpha, "share {share}, tolerated risk {risk}, level {alpha}: {fires}");
            }
        }
    }
}

#[test]
fn the_naive_rules_beside_them() {
    near(naive_windows(0.02, 0.10, 36, 60), 0.288, 1e-3, "any of 60 windows above 10 % at a true 2 %");
    near(
        naive_cumulative(0.05, 0.10, 20, 3_000).fires,
        0.112,
        1e-3,
        "cumulative, checked every 20 requests at a true 5 %",
    );
}

#[test]
fn the_published_tables_are_what_is_computed() {
    let published = include_str!("../../docs/calibration.md");
    let computed = cutover_core::statistics::calibration::report();
    assert!(published.contains(computed.trim()), "update docs/calibration.md with:\n{computed}");
}
