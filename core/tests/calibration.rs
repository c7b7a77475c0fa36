//! False-alarm rates of the statistical tests, computed exactly, with an evaluation after every
//! trial.
#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use cutover_core::statistics::calibration::{naive_cumulative, naive_windows, relative, threshold};

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
fn the_published_figures_of_the_relative_test() {
    for (share, expected) in [(0.01, 0.0200), (0.10, 0.0336), (0.50, 0.0423)] {
        near(relative(share, 1.0, 0.05, 1_000).fires, expected, 1e-4, "type I error");
    }
}

#[test]
fn no_test_fires_in_vain_more_often_than_its_level() {
    for alpha in [0.05, 0.01, 0.0025] {
        for limit in [0.01, 0.05, 0.10, 0.50] {
            let fires = threshold(limit, limit, alpha, 2_000).fires;
            assert!(fires <= alpha, "limit {limit}, level {alpha}: {fires}");
        }
        for share in [0.01, 0.10, 0.50] {
            let fires = relative(share, 1.0, alpha, 1_000).fires;
            assert!(fires <= alpha, "share {share}, level {alpha}: {fires}");
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
