//! Relative-risk test: the new arm against the legacy arm at the same time, after Lindon and Malek,
//! NeurIPS 2022 (arXiv 2011.03567). Given the number of errors on both arms in a window, each of
//! them is the new arm's with a probability that depends on its share of the requests and on the
//! relative risk alone: a shared outage and the time of day cancel, and a change of step only
//! changes the share.

use crate::statistics::levels::log_sum_exp;
use serde::{Deserialize, Serialize};

/// Relative risks of the alternative, which weights them evenly.
pub const RISKS: [f64; 6] = [1.25, 1.5, 2.0, 3.0, 5.0, 10.0];

/// Units per 1.0 in a sum, so that a unit is 2^-32. Sums of whole units do not depend on their
/// order; floating-point sums do.
const UNIT: f64 = 4_294_967_296.0;

/// Running sums of the test, one per relative risk, in units of 2^-32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Relative([i64; RISKS.len()]);

impl Relative {
    /// Adds a window: the new arm's share of the requests, its errors, and the errors on both arms.
    /// `tolerated` is the relative risk that is still accepted, 1 for "no worse than legacy".
    pub fn add(&mut self, share: f64, new_errors: u64, all_errors: u64, tolerated: f64) {
        if all_errors == 0 || !(0.0..1.0).contains(&share) || share == 0.0 {
            // Nothing to compare: no errors, or only one arm served.
            return;
        }
        let base = share * tolerated / (share * tolerated + 1.0 - share);
        for (sum, risk) in self.0.iter_mut().zip(RISKS) {
            let ratio = risk.max(tolerated) / tolerated;
            let gained = new_errors as f64 * libm::log(ratio)
                - all_errors as f64 * libm::log(base * ratio + 1.0 - base);
            // Whole units far below 2^63.
            *sum = sum.saturating_add(libm::round(gained * UNIT) as i64);
        }
    }

    /// Returns the evidence that the new arm's relative risk is above the tolerated one.
    pub fn evidence(&self) -> f64 {
        let weight = -libm::log(RISKS.len() as f64);
        log_sum_exp(&self.0.map(|sum| weight + sum as f64 / UNIT))
    }
}
