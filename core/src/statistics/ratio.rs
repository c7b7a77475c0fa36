//! Sample ratio test: is traffic split as configured? A sequential test on assignment units (users,
//! not requests): the multinomial against a Dirichlet mixture around the configured shares.

use crate::statistics::beta::Share;

/// Concentration of the mixture around the configured shares.
const CONCENTRATION: f64 = 10_000.0;

/// Returns the evidence that the share of units on the new arm is not `share`.
pub fn sample_ratio(new: u64, legacy: u64, share: f64) -> f64 {
    if !(share > 0.0 && share < 1.0) {
        // At 0 or 100 percent a single unit on the other arm would be proof, but lists and
        // conditions explain it too.
        return 0.0;
    }
    let (a, b) = (CONCENTRATION * share, CONCENTRATION * (1.0 - share));
    let (n, l) = (new as f64, legacy as f64);
    let point = Share { x: share, y: 1.0 - share };
    // ln B(a + n, b + l) - ln B(a, b) - n ln x - l ln y, as a difference of prefixes.
    super::beta::ln_prefix(a, b, point) - super::beta::ln_prefix(a + n, b + l, point)
}
