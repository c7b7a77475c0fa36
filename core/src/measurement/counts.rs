//! Counts of one cell: requests, errors by class, slow responses, response times.

use crate::{
    json::omit::is_zero,
    measurement::{histogram::Histogram, label::CanaryLabel},
};
use serde::{Deserialize, Serialize};

/// Counts of requests by outcome and response time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// All requests.
    pub requests: u64,
    /// Responses with status 500 and above.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub server_errors: u64,
    /// Requests whose response did not begin in time.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub timeouts: u64,
    /// Requests whose connection was refused or broken off.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unreachable: u64,
    /// Requests slower than the success limit, including those without a response.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub slow_success: u64,
    /// Requests slower than the rollback limit, including those without a response.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub slow_rollback: u64,
    /// Sum of the times to the response headers, in milliseconds.
    #[serde(default)]
    pub duration_ms: u64,
    /// Distribution of the times to the response headers.
    #[serde(default)]
    pub histogram: Histogram,
}

/// End of a request, as the edge saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A response with this status.
    Status(u32),
    /// No response began in time.
    Timeout,
    /// The connection was refused or broken off.
    Unreachable,
}

impl Counts {
    /// Counts one request that took `ms` milliseconds. Slow requests are counted only with a
    /// `label`, which has the limits.
    pub fn add(&mut self, outcome: Outcome, ms: u32, label: Option<&CanaryLabel>) {
        self.requests += 1;
        self.duration_ms += u64::from(ms);
        self.histogram.add(ms);
        let answered = match outcome {
            Outcome::Status(status) => {
                self.server_errors += u64::from(status >= 500);
                true
            }
            Outcome::Timeout => {
                self.timeouts += 1;
                false
            }
            Outcome::Unreachable => {
                self.unreachable += 1;
                false
            }
        };
        if let Some(label) = label {
            self.slow_success += u64::from(!answered || ms > label.slow_success_ms);
            self.slow_rollback += u64::from(!answered || ms > label.slow_rollback_ms);
        }
    }

    /// Returns the number of errors: server errors, timeouts and unreachable origins.
    pub fn errors(&self) -> u64 {
        self.server_errors.saturating_add(self.timeouts).saturating_add(self.unreachable)
    }

    /// Adds the counts of `other` to these.
    pub fn merge(&mut self, other: &Self) {
        for (sum, count) in [
            (&mut self.requests, other.requests),
            (&mut self.server_errors, other.server_errors),
            (&mut self.timeouts, other.timeouts),
            (&mut self.unreachable, other.unreachable),
            (&mut self.slow_success, other.slow_success),
            (&mut self.slow_rollback, other.slow_rollback),
            (&mut self.duration_ms, other.duration_ms),
        ] {
            *sum = sum.saturating_add(count);
        }
        self.histogram.merge(&other.histogram);
    }
}
