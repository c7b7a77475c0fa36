//! The statistical tests behind decisions. Each is anytime-valid: however often it is evaluated,
//! its level bounds the probability that it *ever* fires under its null hypothesis. Evidence is a
//! natural logarithm (log E); a test at level alpha fires at `ln(1/alpha)`.
//!
//! Logarithms and exponentials come from the crate `libm`, not from the platform, so that a
//! decision recomputed on another machine agrees to the last bit.

mod bake;
mod beta;
pub mod calibration;
mod ratio;
mod relative;
mod threshold;

pub use crate::statistics::{
    bake::{BAKE_GRID, bake},
    beta::ln_regularised_beta,
    ratio::sample_ratio,
    relative::{RISKS, Relative},
    threshold::Threshold,
};

/// Returns the evidence at which a test of this level fires, `ln(1/alpha)`.
pub fn firing(alpha: f64) -> f64 {
    -libm::log(alpha)
}

/// Computes `ln(sum(exp(x)))` without overflow.
pub(crate) fn log_sum_exp(terms: &[f64]) -> f64 {
    let largest = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !largest.is_finite() {
        return largest;
    }
    largest + libm::log(terms.iter().map(|term| libm::exp(term - largest)).sum())
}
