//! The plan of a canary: its steps and what it is judged by. Running one is the business of later modules.

use crate::rate::PartsPerMillion;
use serde::{Deserialize, Serialize};

/// How a flag climbs, and when it comes back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CanaryPlan {
    /// The share that the canary starts at.
    pub initial_percentage: PartsPerMillion,
    /// The shares it climbs through, ascending.
    pub promotion_steps: Vec<PartsPerMillion>,
    /// Minutes that a step lasts at least.
    pub step_duration_minutes: f64,
    /// What must be proven before a step is left upwards.
    pub success_criteria: Criteria,
    /// What takes the canary back when it is exceeded.
    pub rollback_criteria: Criteria,
}

/// Two limits on one arm.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Criteria {
    /// The share of requests that may fail, 0 to 1.
    pub max_error_rate: f64,
    /// The 95th percentile of the response time, in milliseconds.
    pub max_response_time_p95: f64,
}
