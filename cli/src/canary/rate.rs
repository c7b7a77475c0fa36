//! Rates given as arguments.

use crate::failure::Failure;
use clap::Args;
use cutover_core::canary::Assumed;

/// Assumed rates of both backends.
#[derive(Debug, Args)]
pub struct Rates {
    /// Assumed error rate of the new backend, from 0 to 1 [default: 0.01 of `plan`, 0 of `simulate`].
    #[arg(long)]
    error_rate: Option<f64>,
    /// Assumed share of the new backend's responses slower than both limits, from 0 to 1 [default: 0.01 of
    /// `plan`, 0 of `simulate`].
    #[arg(long)]
    slow_rate: Option<f64>,
    /// Assumed error rate of the old backend, from 0 to 1 [default: that of the new one].
    #[arg(long)]
    legacy_error_rate: Option<f64>,
    /// Assumed share of the old backend's slow responses, from 0 to 1 [default: that of the new one].
    #[arg(long)]
    legacy_slow_rate: Option<f64>,
}

impl Rates {
    /// Returns the assumptions with these rates, `usual` for those of the new backend that are not given, and this traffic.
    ///
    /// # Errors
    ///
    /// Fails if a rate is no fraction from 0 to 1, or if the traffic is out of range.
    pub(super) fn assumed(
        &self,
        usual: f64,
        requests_per_second: Option<f64>,
        users: Option<u64>,
    ) -> Result<Assumed, Failure> {
        let error_rate = self.error_rate.unwrap_or(usual);
        let slow_rate = self.slow_rate.unwrap_or(usual);
        let assumed = Assumed {
            error_rate,
            slow_rate,
            legacy_error_rate: self.legacy_error_rate.unwrap_or(error_rate),
            legacy_slow_rate: self.legacy_slow_rate.unwrap_or(slow_rate),
            requests_per_second,
            users,
        };
        check_all(&assumed)?;
        Ok(assumed)
    }
}

/// Checks that an argument is a fraction from 0 to 1.
fn check(name: &str, rate: f64) -> Result<(), Failure> {
    if (0.0..=1.0).contains(&rate) {
        return Ok(());
    }
    Err(Failure::Usage(format!("{name} is {rate}\n  hint: use a fraction from 0 to 1 (0.05 = 5 %)")))
}

/// Checks all assumed rates, the traffic and its users.
fn check_all(assumed: &Assumed) -> Result<(), Failure> {
    check("--error-rate", assumed.error_rate)?;
    check("--slow-rate", assumed.slow_rate)?;
    check("--legacy-error-rate", assumed.legacy_error_rate)?;
    check("--legacy-slow-rate", assumed.legacy_slow_rate)?;
    let has_traffic = assumed.requests_per_second.is_none_or(|rate| rate > 0.0 && rate <= 1e6);
    if !has_traffic {
        let hint = "use more than 0 and at most 1000000 requests per second";
        return Err(Failure::Usage(format!("--requests-per-second is out of range\n  hint: {hint}")));
    }
    let has_users = assumed.users.is_none_or(|users| (1..=1_000_000).contains(&users));
    if !has_users {
        let hint = "use 1 to 1000000 users";
        return Err(Failure::Usage(format!("--users is out of range\n  hint: {hint}")));
    }
    Ok(())
}
