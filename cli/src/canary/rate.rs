//! Rates given as arguments.

use crate::{failure::Failure, percentage};
use clap::Args;
use cutover_core::canary::Assumed;

/// Assumed rates of both backends.
#[derive(Debug, Args)]
pub struct Rates {
    /// Assumed error rate of the new backend, such as 0.01 or 1% [default: 0.01 of `plan`, 0 of `simulate`].
    #[arg(long, value_name = "RATE", value_parser = percentage::rate)]
    error_rate: Option<f64>,
    /// Assumed share of the new backend's responses slower than both limits [default: 0.01 of `plan`, 0 of
    /// `simulate`].
    #[arg(long, value_name = "RATE", value_parser = percentage::rate)]
    slow_rate: Option<f64>,
    /// Assumed error rate of the old backend [default: that of the new one].
    #[arg(long, value_name = "RATE", value_parser = percentage::rate)]
    legacy_error_rate: Option<f64>,
    /// Assumed share of the old backend's slow responses [default: that of the new one].
    #[arg(long, value_name = "RATE", value_parser = percentage::rate)]
    legacy_slow_rate: Option<f64>,
}

impl Rates {
    /// Returns the assumptions with these rates, `usual` for those of the new backend that are not given, and this traffic.
    ///
    /// # Errors
    ///
    /// Fails if the traffic is out of range.
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
        check(&assumed)?;
        Ok(assumed)
    }
}

/// Checks the traffic and its users. Rates were checked when they were read.
fn check(assumed: &Assumed) -> Result<(), Failure> {
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
