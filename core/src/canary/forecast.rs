//! Forecast of the traffic that a plan needs. It shows an operator which steps cannot decide,
//! before any user is exposed.

use crate::{
    canary::plan::{CanaryPlan, SLOW_SHARE},
    statistics::{Threshold, firing},
    vocabulary::share::PartsPerMillion,
};
use serde::Serialize;

/// Number of requests beyond which a step is reported as never deciding.
const HORIZON: u64 = 10_000_000;

/// Traffic that one step needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Forecast {
    /// Share of the step.
    pub share: PartsPerMillion,
    /// Requests on the new arm that prove the success criteria at the assumed rates; `None` if they
    /// can never be proven.
    pub canary_requests: Option<u64>,
    /// Requests per second, on both arms together, that yield these within the step's duration.
    pub requests_per_second: Option<f64>,
}

impl Forecast {
    /// Forecasts each step of a plan, for a canary with the given rates of errors and slow
    /// responses.
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

/// Returns the number of requests after which a rate is proven to be below a limit, if events occur
/// exactly at that rate; `None` beyond 10 million.
pub fn requests_to_promote(rate: f64, limit: f64, alpha: f64) -> Option<u64> {
    let (test, mark) = (Threshold::below(limit, alpha), firing(alpha));
    first(|n| test.evidence_on_path(n * (1.0 - rate), n) >= mark)
}

/// Returns the number of requests after which a rate is proven to be above a limit, if events occur
/// exactly at that rate; `None` beyond 10 million.
pub fn requests_to_roll_back(rate: f64, limit: f64, alpha: f64) -> Option<u64> {
    let (test, mark) = (Threshold::above(limit, alpha), firing(alpha));
    first(|n| test.evidence_on_path(n * rate, n) >= mark)
}

/// Returns the smallest `n` for which the monotone predicate `holds` is true; `None` beyond
/// [`HORIZON`].
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
