//! Is traffic split as it was configured? A sequential test on assignment units (users, not requests): the
//! multinomial against a Dirichlet mixture around the configured shares.

use super::beta::Share;

/// How closely the mixture sits around the configured shares.
const CONCENTRATION: f64 = 10_000.0;

/// The evidence that units do not fall on the new arm with this share.
pub fn sample_ratio(new: u64, legacy: u64, share: f64) -> f64 {
    if !(share > 0.0 && share < 1.0) {
        // Nobody or everybody: a single unit elsewhere would be proof, but lists and conditions explain it too.
        return 0.0;
    }
    let (a, b) = (CONCENTRATION * share, CONCENTRATION * (1.0 - share));
    let (n, l) = (new as f64, legacy as f64);
    let at = Share { x: share, y: 1.0 - share };
    // ln B(a + n, b + l) - ln B(a, b) - n ln x - l ln y, as a difference of prefixes.
    super::beta::ln_prefix(a, b, at) - super::beta::ln_prefix(a + n, b + l, at)
}
