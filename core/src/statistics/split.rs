//! Split test: do two groups share their units as configured? Sequential and two-sided: the binomial
//! against a beta mixture around the configured share. The sample ratio of users and the
//! conversions of an experiment use it.

use crate::statistics::beta::{Share, ln_prefix};

/// Returns the evidence that the share of the units in the new group is not `share`, if `new` of
/// `all` are in it. `strength` is the number of units that the mixture around `share` stands for: a
/// large one suits small deviations. 0 at a share of 0 or 1, where lists and conditions explain
/// every unit of the other group.
pub fn split_evidence(new: u64, all: u64, share: f64, strength: f64) -> f64 {
    if !(share > 0.0 && share < 1.0 && strength > 0.0 && strength.is_finite()) {
        return 0.0;
    }
    let new = new.min(all);
    let (a, b) = (strength * share, strength * (1.0 - share));
    let point = Share { x: share, y: 1.0 - share };
    // ln B(a + c, b + n - c) - ln B(a, b) - c ln x - (n - c) ln y, as a difference of prefixes.
    ln_prefix(a, b, point) - ln_prefix(a + new as f64, b + (all - new) as f64, point)
}
