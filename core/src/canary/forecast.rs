//! How much traffic a plan needs: before anybody is exposed, an operator learns which steps cannot decide.

use crate::{
    plan::{CanaryPlan, SLOW_SHARE},
    rate::PartsPerMillion,
    statistics::{Threshold, firing},
};
use serde::Serialize;

/// Beyond this many requests a step is said not to decide.
const HORIZON: u64 = 10_000_000;

/// What one step needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Forecast {
    /// The share of the step.
    pub share: PartsPerMillion,
    /// Requests on the new arm that prove a canary with the assumed rates; `None` where it can never be proven.
    pub canary_requests: Option<u64>,
    /// Requests a second, on both arms together, that bring these within the step's time.
    pub requests_per_second: Option<f64>,
}

impl Forecast {
    /// What each step of a plan needs, for a canary that fails and is slow this often.
    pub fn of(plan: &CanaryPlan, error_rate: f64, slow_rate: f64) -> Vec<Self> {
        let alpha = plan.options.alpha_promote;
        let needed = requests_to_promote(error_rate, plan.success_criteria.max_error_rate, alpha)
            .zip(requests_to_promote(slow_rate, SLOW_SHARE, alpha))
            .map(|(errors, slow)| errors.max(slow));
        let seconds = plan.step_duration_minutes * 60.0;
        let steps = plan.steps().into_iter();
        steps
            .map(|share| Self {
                share,
                canary_requests: needed,
                requests_per_second: needed.map(|n| n as f64 / (share.percent() / 100.0) / seconds),
            })
            .collect()
    }
}

/// Requests after which a rate is proven to be below a limit, if they come as expected.
pub fn requests_to_promote(rate: f64, limit: f64, alpha: f64) -> Option<u64> {
    let (test, mark) = (Threshold::below(limit, alpha), firing(alpha));
    first(|n| test.evidence_on_path(n * (1.0 - rate), n) >= mark)
}

/// Requests after which a rate is known to be above a limit, if they come as expected.
pub fn requests_to_roll_back(rate: f64, limit: f64, alpha: f64) -> Option<u64> {
    let (test, mark) = (Threshold::above(limit, alpha), firing(alpha));
    first(|n| test.evidence_on_path(n * rate, n) >= mark)
}

/// The smallest number for which something holds that goes on holding.
fn first(holds: impl Fn(f64) -> bool) -> Option<u64> {
    let mut high = 1_u64;
    while !holds(high as f64) {
        high = high.checked_mul(2).filter(|high| *high <= HORIZON)?;
    }
    let mut low = high / 2;
    while low + 1 < high {
        let middle = low.midpoint(high);
        if holds(middle as f64) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Some(high)
}
