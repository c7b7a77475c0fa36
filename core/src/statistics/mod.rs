//! The statistical tests behind decisions. Each is anytime-valid: however often it is evaluated,
//! its level bounds the probability that it *ever* fires under its null hypothesis. Evidence is a
//! natural logarithm (log E); a test at level alpha fires at `ln(1/alpha)`.
//!
//! Logarithms and exponentials come from the crate `libm`, not from the platform, so that a
//! decision recomputed on another machine agrees to the last bit.

mod bake;
mod beta;
pub mod calibration;
mod levels;
mod ratio;
mod relative;
mod threshold;

pub use self::{
    bake::{BAKE_GRID, bake},
    beta::ln_regularised_beta,
    levels::firing,
    ratio::sample_ratio,
    relative::{RISKS, Relative},
    threshold::Threshold,
};
