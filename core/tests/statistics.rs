//! The statistical tests behind decisions, checked against published golden values and an
//! independent source.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails loudly")]

use cutover_core::statistics::{Relative, Threshold, firing, ln_regularised_beta, sample_ratio};

fn near(actual: f64, expected: f64, tolerance: f64, name: &str) {
    assert!((actual - expected).abs() <= tolerance, "{name}: {actual}, expected {expected}");
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
fn golden_values_of_the_relative_test() {
    let evidence = |windows: &[(f64, u64, u64)]| {
        let mut sums = Relative::default();
        windows.iter().for_each(|(share, new, all)| sums.add(*share, *new, *all, 1.0));
        sums.evidence()
    };
    near(evidence(&[(0.1, 10, 40)]), 2.69103233, 1e-8, "ten of forty");
    near(evidence(&[(0.1, 5, 50)]), -1.176823353, 1e-8, "five of fifty");
    let ramp = [(0.01, 1, 31), (0.05, 4, 32), (0.10, 9, 42)];
    near(evidence(&ramp), 3.0567217611, 1e-8, "ramp");
    let mut backwards = ramp;
    backwards.reverse();
    assert_eq!(evidence(&ramp).to_bits(), evidence(&backwards).to_bits());
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
fn nothing_is_not_evidence_and_numbers_stay_numbers() {
    for limit in [0.0, 1e-9, 0.05, 0.5, 1.0] {
        for alpha in [0.0001, 0.01, 0.05] {
            let (above, below) = (Threshold::above(limit, alpha), Threshold::below(limit, alpha));
            near(above.evidence(0, 0), 0.0, 1e-12, "no trials");
            for (k, n) in [(0, 1), (1, 1), (10_000_000, 10_000_000), (0, 10_000_000), (5, 3)] {
                assert!(above.evidence(k, n).is_finite() && below.evidence_below(k, n).is_finite());
            }
        }
    }
    near(sample_ratio(0, 0, 0.1), 0.0, 1e-9, "no units");
    assert!(sample_ratio(100, 900, 0.1) < 0.0);
    assert!(sample_ratio(500, 2_500, 0.1) > firing(0.001), "{}", sample_ratio(500, 2_500, 0.1));
    assert!(sample_ratio(0, 2_000, 0.1) > firing(0.001));
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
