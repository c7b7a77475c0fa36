//! The tests that decisions rest on. Each stays valid however often it is looked at: its level is the probability
//! that it *ever* fires where it should not. Evidence is a natural logarithm (log E); a test at level alpha fires at
//! `ln(1/alpha)`.
//!
//! Logarithms and exponentials come from the crate `libm`, not from the platform, so that a decision recomputed
//! on another machine agrees to the last bit.

mod bake;
mod beta;
pub mod calibration;
mod ratio;
mod relative;
mod threshold;

pub use bake::{BAKE_GRID, bake};
pub use beta::ln_regularised_beta;
pub use ratio::sample_ratio;
pub use relative::{RISKS, Relative};
pub use threshold::Threshold;

/// The evidence at which a test of this level fires.
pub fn firing(alpha: f64) -> f64 {
    -libm::log(alpha)
}

/// `ln(sum(exp(x)))` without overflow.
pub(crate) fn log_sum_exp(terms: &[f64]) -> f64 {
    let largest = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !largest.is_finite() {
        return largest;
    }
    largest + libm::log(terms.iter().map(|term| libm::exp(term - largest)).sum())
}
