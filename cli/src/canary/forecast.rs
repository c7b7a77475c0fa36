//! `cutover canary plan`: the test that decides each step of a plan, and the traffic that it needs.

use super::rate::Rates;
use crate::{
    failure::Failure,
    output::{self, Format},
};
use clap::Args;
use cutover_core::canary::{Forecast, plan::CanaryPlan};
use serde_json::json;

/// Rate that is assumed if none is given.
const USUAL_RATE: f64 = 0.01;

/// Assumed rates of both backends, and the traffic.
#[derive(Debug, Args)]
pub struct Assumptions {
    #[command(flatten)]
    rates: Rates,
    /// Assumed requests per second to both backends together [default: just enough].
    #[arg(long)]
    requests_per_second: Option<f64>,
    /// Assumed users of both backends together, all equally active [default: enough].
    #[arg(long)]
    users: Option<u64>,
}

/// Shows the expected end of each step at these rates.
///
/// # Errors
///
/// Fails if an assumption is out of range.
pub(super) fn run(plan: &CanaryPlan, assumptions: &Assumptions, format: Format) -> Result<(), Failure> {
    let Assumptions { rates, requests_per_second, users } = assumptions;
    let assumed = rates.assumed(USUAL_RATE, *requests_per_second, *users)?;
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
        if let Some(warning) = Forecast::warning(plan, &assumed) {
            eprintln!("warning: {warning}");
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
