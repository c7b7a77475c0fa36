//! Rates given as arguments.

use crate::failure::Failure;
use cutover_core::canary::Assumed;

/// Checks that an argument is a fraction from 0 to 1.
///
/// # Errors
///
/// Fails if it is not.
pub(super) fn check(name: &str, rate: f64) -> Result<(), Failure> {
    if (0.0..=1.0).contains(&rate) {
        return Ok(());
    }
    Err(Failure::Usage(format!("{name} is {rate}\n  hint: use a fraction from 0 to 1 (0.05 = 5 %)")))
}

/// Checks all assumed rates.
///
/// # Errors
///
/// Fails if one of them is no fraction from 0 to 1, or if the traffic is out of range.
pub(super) fn check_all(assumed: &Assumed) -> Result<(), Failure> {
    check("--error-rate", assumed.error_rate)?;
    check("--slow-rate", assumed.slow_rate)?;
    check("--legacy-error-rate", assumed.legacy_error_rate)?;
    check("--legacy-slow-rate", assumed.legacy_slow_rate)?;
    if assumed.requests_per_second.is_none_or(|rate| rate > 0.0 && rate <= 1e6) {
        return Ok(());
    }
    let hint = "use more than 0 and at most 1000000 requests per second";
    Err(Failure::Usage(format!("--requests-per-second is out of range\n  hint: {hint}")))
}
