//! `cutover canary plan`: the test that decides each step of a plan, and the traffic that it needs.

use super::rate;
use crate::{
    failure::Failure,
    output::{self, Format},
};
use clap::Args;
use cutover_core::canary::{Assumed, Forecast, plan::CanaryPlan};
use serde_json::json;

/// Assumed rates of both backends, and the traffic.
#[derive(Debug, Args)]
pub struct Assumptions {
    /// Assumed error rate of the new backend, from 0 to 1.
    #[arg(long, default_value_t = 0.01)]
    error_rate: f64,
    /// Assumed share of the new backend's responses slower than the limits, from 0 to 1.
    #[arg(long, default_value_t = 0.01)]
    slow_rate: f64,
    /// Assumed error rate of the old backend, from 0 to 1 [default: that of the new one].
    #[arg(long)]
    legacy_error_rate: Option<f64>,
    /// Assumed share of the old backend's slow responses, from 0 to 1 [default: that of the new one].
    #[arg(long)]
    legacy_slow_rate: Option<f64>,
    /// Assumed requests per second to both backends together [default: just enough].
    #[arg(long)]
    requests_per_second: Option<f64>,
}

impl Assumptions {
    fn assumed(&self) -> Result<Assumed, Failure> {
        let assumed = Assumed {
            error_rate: self.error_rate,
            slow_rate: self.slow_rate,
            legacy_error_rate: self.legacy_error_rate.unwrap_or(self.error_rate),
            legacy_slow_rate: self.legacy_slow_rate.unwrap_or(self.slow_rate),
            requests_per_second: self.requests_per_second,
        };
        rate::check_all(&assumed)?;
        Ok(assumed)
    }
}

/// Shows the expected end of each step at these rates.
///
/// # Errors
///
/// Fails if an assumption is out of range.
pub(super) fn run(plan: &CanaryPlan, assumptions: &Assumptions, format: Format) -> Result<(), Failure> {
    let assumed = assumptions.assumed()?;
    let forecast = Forecast::of(plan, &assumed);
    let sentence = Forecast::sentence(&forecast);
    output::show(format, &json!(forecast), || {
        let rows: Vec<Vec<String>> = forecast.iter().map(row).collect();
        output::table(&["STEP", "CANARY REQUESTS", "TOTAL REQUESTS/S", "EXPECTED"], &rows);
        println!("{sentence}");
        let percent = |rate: f64| format!("{:.2} %", rate * 100.0);
        println!(
            "assumed: errors {} on new and {} on legacy, slow responses {} and {}; {} minutes per step",
            percent(assumed.error_rate),
            percent(assumed.legacy_error_rate),
            percent(assumed.slow_rate),
            percent(assumed.legacy_slow_rate),
            plan.step_duration_minutes
        );
        if forecast.iter().any(|step| step.canary_requests.is_none()) {
            eprintln!("warning: this canary can never be proven: its rates are not below the success limits");
        }
    });
    Ok(())
}

fn row(step: &Forecast) -> Vec<String> {
    vec![
        step.share.to_string(),
        step.canary_requests.map_or_else(|| "never".to_owned(), |count| count.to_string()),
        step.requests_per_second.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.2}")),
        output::cell(&json!(step.outlook)).replace('_', " "),
    ]
}
