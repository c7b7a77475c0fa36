//! Comparison of the arms by users with an event, the new arm against the legacy arm at the same
//! time. If the backend makes no difference, the users with an event are a fixed set, and each of
//! them is on the new arm with the probability that is the step's share: a shared outage, the time
//! of day and users who always fail cancel. A user counts once, at the first event.
//!
//! Is the new arm's share of these users above the share under the null hypothesis? It is the
//! mixture of [`Threshold`] with a fixed concentration instead of a tuned one.

use crate::statistics::threshold::Threshold;

/// Fewest users with an event on the new arm at which a comparison may fire. The caller checks it.
pub const MIN_EVENT_USERS: u64 = 3;

/// Concentration of the mixture. Smaller values find faults of one arm alone sooner, larger ones
/// find small risks sooner.
const CONCENTRATION: f64 = 2.0;

/// Distance from 0 and 1 below which a null share cannot be computed with enough digits. Shares are
/// whole parts per million, so no step comes near.
const CLOSEST_SHARE: f64 = 1e-9;

/// Largest number of users; larger numbers are clamped to it. Beyond it the incomplete beta
/// function loses its digits at shares near 1.
const MAX_USERS: u64 = 1_000_000_000;

/// Returns the evidence that users have an event on the new arm more often than is tolerated.
///
/// `share` is the step's share of the new arm, between 0 and 1, and `tolerated_risk` the relative
/// risk that is still accepted, 1 for "no worse than legacy". `new` of the `all` users with an event
/// are on the new arm. 0 if there is nothing to compare: no users, or a share of 0 or 1.
pub fn event_evidence(share: f64, tolerated_risk: f64, new: u64, all: u64) -> f64 {
    match comparison(share, tolerated_risk) {
        Some(test) if all > 0 => test.evidence(new, all.min(MAX_USERS)),
        _ => 0.0,
    }
}

/// Builds the test of a step; `None` if only one arm serves.
pub(super) fn comparison(share: f64, tolerated_risk: f64) -> Option<Threshold> {
    let is_comparable = share > 0.0 && share < 1.0 && tolerated_risk > 0.0 && tolerated_risk.is_finite();
    if !is_comparable {
        return None;
    }
    // Each part by itself: 1 - g would lose the digits of a small h.
    let (new, legacy) = (share * tolerated_risk, 1.0 - share);
    let (g, h) = (new / (new + legacy), legacy / (new + legacy));
    (g.min(h) >= CLOSEST_SHARE).then(|| Threshold::mixture(g, h, CONCENTRATION * g * h))
}
