//! The statistical tests behind decisions. Each is anytime-valid: however often it is evaluated,
//! its level bounds the probability that it *ever* fires under its null hypothesis. Evidence is a
//! natural logarithm (log E); a test at level alpha fires at `ln(1/alpha)`.
//!
//! Logarithms and exponentials come from the crate `libm`, not from the platform, so that a
//! decision recomputed on another machine agrees to the last bit.

mod beta;
mod bets;
pub mod calibration;
mod detector;
mod discoveries;
mod doubt;
mod estimate;
mod event;
mod incident;
mod interval;
mod levels;
mod split;
pub mod split_mix;
mod threshold;
mod user_map;

pub use self::{
    beta::ln_regularised_beta,
    detector::{Detector, detector_threshold},
    discoveries::discoveries,
    doubt::Doubt,
    estimate::{Estimate, PairedSums, Sums},
    event::{MIN_EVENT_USERS, event_evidence},
    incident::{Recovery, shared_incident_at, shared_incident_evidence},
    interval::{Interval, IntervalSettings, MIN_INTERVAL_USERS, Scale},
    levels::firing,
    split::split_evidence,
    threshold::Threshold,
    user_map::{USER_MAP_CAPACITY, UserMap},
};
