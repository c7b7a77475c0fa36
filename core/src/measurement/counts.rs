//! Counts of one cell: requests, errors by class, slow responses, response times. The one place that
//! classifies outcomes.

use crate::{
    json::omit::is_zero,
    measurement::{event_kinds::EventKinds, histogram::Histogram, label::SlowLimits},
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
    /// Responses with status 401 or 403.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unauthorized: u64,
    /// Responses with status 404, 405 or 410.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub not_found: u64,
    /// Responses with any other status from 400 to 498, except 429.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub client_errors: u64,
    /// Requests whose client left before the response. They are slow if it waited beyond the limit.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gave_up: u64,
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

/// Status of a request whose client left. No backend is to blame for it, unless it was slow.
const CLIENT_LEFT: u32 = 499;

/// Returns the kinds of events that a request is. Slow requests are recognised only with the `limits` of
/// their route; a request without a response is slow, however soon it failed.
pub fn kinds(outcome: Outcome, ms: u32, limits: Option<SlowLimits>) -> EventKinds {
    let (class, answered) = match outcome {
        Outcome::Timeout | Outcome::Unreachable => (EventKinds::ERROR, false),
        Outcome::Status(500..) => (EventKinds::ERROR, true),
        Outcome::Status(401 | 403) => (EventKinds::UNAUTHORIZED, true),
        Outcome::Status(404 | 405 | 410) => (EventKinds::NOT_FOUND, true),
        Outcome::Status(429 | CLIENT_LEFT) => (EventKinds::NONE, true),
        Outcome::Status(400..) => (EventKinds::CLIENT_ERROR, true),
        Outcome::Status(_) => (EventKinds::NONE, true),
    };
    let slow = limits.is_some_and(|limits| !answered || ms > limits.slow_rollback_ms);
    class | if slow { EventKinds::SLOW } else { EventKinds::NONE }
}

impl Counts {
    /// Counts one request that took `ms` milliseconds. `gave_up` is true if the client left before
    /// the response, so that `outcome` is unknown and does not count. Slow requests are counted
    /// only with the `limits` of their route.
    pub fn add(&mut self, outcome: Outcome, ms: u32, gave_up: bool, limits: Option<SlowLimits>) {
        let outcome = if gave_up { Outcome::Status(CLIENT_LEFT) } else { outcome };
        self.requests += 1;
        self.gave_up += u64::from(gave_up);
        self.duration_ms += u64::from(ms);
        self.histogram.add(ms);
        let kinds = kinds(outcome, ms, limits);
        let answered = match outcome {
            Outcome::Status(_) => {
                self.server_errors += u64::from(kinds.contains(EventKinds::ERROR));
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
        for (sum, kind) in [
            (&mut self.slow_rollback, EventKinds::SLOW),
            (&mut self.unauthorized, EventKinds::UNAUTHORIZED),
            (&mut self.not_found, EventKinds::NOT_FOUND),
            (&mut self.client_errors, EventKinds::CLIENT_ERROR),
        ] {
            *sum += u64::from(kinds.contains(kind));
        }
        if let Some(limits) = limits {
            self.slow_success += u64::from(!answered || ms > limits.slow_success_ms);
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
            (&mut self.unauthorized, other.unauthorized),
            (&mut self.not_found, other.not_found),
            (&mut self.client_errors, other.client_errors),
            (&mut self.gave_up, other.gave_up),
            (&mut self.slow_success, other.slow_success),
            (&mut self.slow_rollback, other.slow_rollback),
            (&mut self.duration_ms, other.duration_ms),
        ] {
            *sum = sum.saturating_add(count);
        }
        self.histogram.merge(&other.histogram);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SlowLimits = SlowLimits { slow_success_ms: 500, slow_rollback_ms: 1_000 };

    /// S2: a backend that answers 404 to everything, without delay, is not a success.
    #[test]
    fn s2_client_errors_are_counted_in_three_classes() {
        for (status, expected) in [
            (200, EventKinds::NONE),
            (304, EventKinds::NONE),
            (400, EventKinds::CLIENT_ERROR),
            (401, EventKinds::UNAUTHORIZED),
            (403, EventKinds::UNAUTHORIZED),
            (404, EventKinds::NOT_FOUND),
            (405, EventKinds::NOT_FOUND),
            (409, EventKinds::CLIENT_ERROR),
            (410, EventKinds::NOT_FOUND),
            (422, EventKinds::CLIENT_ERROR),
            (429, EventKinds::NONE),
            (499, EventKinds::NONE),
            (500, EventKinds::ERROR),
            (599, EventKinds::ERROR),
        ] {
            let mut counts = Counts::default();
            counts.add(Outcome::Status(status), 10, false, Some(LIMITS));
            assert_eq!(kinds(Outcome::Status(status), 10, Some(LIMITS)), expected, "{status}");
            let found = [
                (counts.errors(), EventKinds::ERROR),
                (counts.unauthorized, EventKinds::UNAUTHORIZED),
                (counts.not_found, EventKinds::NOT_FOUND),
                (counts.client_errors, EventKinds::CLIENT_ERROR),
                (counts.slow_rollback, EventKinds::SLOW),
            ];
            for (count, kind) in found {
                assert_eq!(count == 1, expected.contains(kind), "{status}: {kind:?}");
            }
        }
    }

    /// S4: a client that gives up on a hanging backend leaves a slow request, and no error.
    #[test]
    fn s4_a_client_that_gave_up_is_slow_beyond_the_limit() {
        let mut counts = Counts::default();
        for ms in [100, 700, 3_000] {
            counts.add(Outcome::Status(500), ms, true, Some(LIMITS));
        }
        assert_eq!((counts.requests, counts.gave_up, counts.errors()), (3, 3, 0));
        assert_eq!((counts.slow_success, counts.slow_rollback), (2, 1));
    }

    #[test]
    fn no_response_is_an_error_and_slow() {
        for outcome in [Outcome::Timeout, Outcome::Unreachable] {
            assert_eq!(kinds(outcome, 1, Some(LIMITS)), EventKinds::ERROR | EventKinds::SLOW);
            assert_eq!(kinds(outcome, 1, None), EventKinds::ERROR);
            let (mut counts, mut sum) = (Counts::default(), Counts::default());
            counts.add(outcome, 1, false, Some(LIMITS));
            assert_eq!((counts.errors(), counts.slow_success, counts.slow_rollback), (1, 1, 1));
            sum.merge(&counts);
            assert_eq!(sum, counts);
        }
    }
}
