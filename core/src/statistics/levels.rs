//! Levels of tests, as logarithms.

/// Returns the evidence at which a test of this level fires, `ln(1/alpha)`.
pub fn firing(alpha: f64) -> f64 {
    -libm::log(alpha)
}

/// Computes `ln(sum(exp(x)))` without overflow.
pub(super) fn log_sum_exp(terms: &[f64]) -> f64 {
    let largest = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !largest.is_finite() {
        return largest;
    }
    largest + libm::log(terms.iter().map(|term| libm::exp(term - largest)).sum())
}
