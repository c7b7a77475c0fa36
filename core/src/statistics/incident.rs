//! Shared incident: if the new arm is above its limit, is legacy ill too? The likelihood ratio of
//! legacy's counts, at the new arm's rate against half the limit. It does not depend on the share.

use crate::statistics::threshold::CLOSEST;
use serde::{Deserialize, Serialize};

/// Smallest rate of an ill arm, as a multiple of the limit.
const ILL: f64 = 1.01;

/// Rate of a healthy legacy, as a multiple of the limit.
const HEALTHY: f64 = 0.5;

/// Returns the evidence that legacy shares the incident of the new arm: positive if legacy resembles
/// the new arm, negative if it resembles a backend at half the limit. The counts are those of the
/// suspect span. 0 if one of the arms has no requests.
pub fn shared_incident_evidence(
    legacy_events: u64,
    legacy_requests: u64,
    new_events: u64,
    new_requests: u64,
    limit: f64,
) -> f64 {
    if new_requests == 0 {
        return 0.0;
    }
    // One event and one success more: the rate of a few requests is not known to be 0 or 1, and beside a rate of 1 a
    // single good response of legacy from before the incident would outweigh everything.
    let new_rate = (new_events.min(new_requests) as f64 + 1.0) / (new_requests as f64 + 2.0);
    shared_incident_at(legacy_events, legacy_requests, new_rate, limit)
}

/// Returns the evidence of a shared incident for a given rate of events on the new arm. Rates not
/// above the limit are lifted above it.
pub fn shared_incident_at(legacy_events: u64, legacy_requests: u64, new_rate: f64, limit: f64) -> f64 {
    if limit.is_nan() {
        return 0.0;
    }
    let p = limit.clamp(CLOSEST, 1.0 - CLOSEST);
    let ill = new_rate.max(ILL * p).min(1.0 - CLOSEST);
    let healthy = HEALTHY * p;
    let events = legacy_events.min(legacy_requests);
    let (events, others) = (events as f64, (legacy_requests - events) as f64);
    events * libm::log(ill / healthy) + others * (libm::log1p(-ill) - libm::log1p(-healthy))
}

/// Logarithm of the ratio at which an arm has recovered: ln 1000.
const RECOVERED: f64 = 3.0 * std::f64::consts::LN_10;

/// Fewest moves of a recovery: two minutes in which the arm is not idle.
const RECOVERY_MOVES: u32 = 12;

/// Recovery of the new arm from a shared incident: the cumulative sum of the likelihood ratio of a rate at half the limit
/// against one at the limit, from 0 to ln 1000. It is complete at ln 1000, twelve moves after it was last 0.
///
/// An arm at its limit looks so in at most one of a thousand stretches of requests, wherever they begin (Wald's bound);
/// a ratio over windows that were selected as quiet would have no such bound.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Recovery {
    log: f64,
    moves: u32,
}

impl Recovery {
    /// Moves by the requests of one closed arrival window.
    pub fn step(&mut self, events: u64, requests: u64, limit: f64) {
        let log = self.log - shared_incident_at(events, requests, 0.0, limit);
        // A sum without an upper bound would take as long to fall as it took to rise.
        *self = if log > 0.0 {
            Self { log: log.min(RECOVERED), moves: self.moves.saturating_add(1) }
        } else {
            Self::default()
        };
    }

    /// Returns true if the arm has recovered.
    pub fn is_complete(&self) -> bool {
        self.moves >= RECOVERY_MOVES && self.log >= RECOVERED
    }
}
