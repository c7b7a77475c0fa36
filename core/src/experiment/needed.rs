//! The users that an experiment needs before it can find an effect. The operator sees them before any user is exposed.

use crate::statistics::{calibration::experiments::CONVERSION_STRENGTH, firing, split_evidence};
use serde::Serialize;

/// Normal quantile of 0.8: an effect is to be found in four of five experiments.
const POWER: f64 = 0.841_621_233_572_914_3;

/// Number of first conversions beyond which an effect counts as never found.
const HORIZON: u64 = 1_000_000_000;

/// Users of a variant and control together that find an effect in four of five experiments.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct NeededUsers {
    /// First conversions of both.
    pub conversions: u64,
    /// Users of both, for a test that is looked at as often as one likes.
    pub users: u64,
    /// Users of both, for a test at a level of 5 % that is looked at once, at the end.
    pub users_of_one_look: u64,
    /// Ratio of the two numbers of users: the price of looking at any time.
    pub factor: f64,
}

/// Returns the users that are needed to find that a variant has `1 + lift` times the conversion rate of control, `rate`.
/// `share` is the variant's share of the two, `level` that of the test. `None` if there is nothing to find, or if it is not
/// found with a thousand million conversions.
///
/// The number for one look is the rule `16 p (1 - p) / (p d)^2` users of each of two equal variants. The other one is the
/// number of conversions at which the test of conversions fires if the variant has as few of them as it has in one of five
/// experiments; most have fired before, so it is too large, by a quarter at most in the table of
/// `docs/experiments-statistics.md`.
pub fn needed_users(rate: f64, lift: f64, share: f64, level: f64) -> Option<NeededUsers> {
    let is_share = |part: f64| part > 0.0 && part < 1.0;
    let has_rates = is_share(rate) && is_share(rate * (1.0 + lift)) && lift != 0.0;
    if !has_rates || !is_share(share) || !is_share(level) {
        return None;
    }
    let weight = share * (1.0 + lift);
    let true_share = weight / (weight + 1.0 - share);
    let fires_at = firing(level);
    let fires = |conversions: u64| {
        let n = conversions as f64;
        let spread = POWER * libm::sqrt(n * true_share * (1.0 - true_share));
        let of_variant = n * true_share - lift.signum() * spread;
        // The other side of the configured share would be the opposite effect.
        let is_on_side = (of_variant - n * share) * lift > 0.0;
        is_on_side && split_evidence(of_variant as u64, conversions, share, CONVERSION_STRENGTH) >= fires_at
    };
    let conversions = smallest(fires)?;
    let rate_of_both = rate * (1.0 - share) + rate * weight;
    let users = conversions as f64 / rate_of_both;
    let of_each = 16.0 * (1.0 - rate) / (rate * lift * lift);
    let of_one_look = 2.0 * of_each / (4.0 * share * (1.0 - share));
    Some(NeededUsers {
        conversions,
        users: libm::ceil(users) as u64,
        users_of_one_look: libm::ceil(of_one_look) as u64,
        factor: users / of_one_look,
    })
}

/// Returns the smallest number that fires, if those above it fire too.
fn smallest(fires: impl Fn(u64) -> bool) -> Option<u64> {
    let mut high = 1;
    while !fires(high) {
        high *= 2;
        if high > HORIZON {
            return None;
        }
    }
    let mut low = high / 2;
    while high - low > 1 {
        let middle = low.midpoint(high);
        if fires(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Some(high)
}
