//! Rates given as arguments.

use crate::failure::Failure;

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
