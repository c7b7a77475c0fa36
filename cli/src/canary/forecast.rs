//! `cutover canary plan`: the traffic that each step of a plan needs.

use crate::output::{self, Format};
use cutover_core::canary::{Forecast, plan::CanaryPlan};
use serde_json::json;

/// Shows the requests that each step needs to prove a canary with these rates.
pub(super) fn run(plan: &CanaryPlan, error_rate: f64, slow_rate: f64, format: Format) {
    let forecast = Forecast::of(plan, error_rate, slow_rate);
    output::show(format, &json!(forecast), || {
        let rows: Vec<Vec<String>> = forecast.iter().map(row).collect();
        output::table(&["STEP", "CANARY REQUESTS", "TOTAL REQUESTS/S"], &rows);
        println!(
            "needed to prove a canary with {:.2} % errors and {:.2} % slow responses within {} minutes per step",
            error_rate * 100.0,
            slow_rate * 100.0,
            plan.step_duration_minutes
        );
        if forecast.iter().any(|step| step.canary_requests.is_none()) {
            eprintln!("warning: this canary can never be proven: its rates are not below the success limits");
        }
    });
}

fn row(step: &Forecast) -> Vec<String> {
    vec![
        step.share.to_string(),
        step.canary_requests.map_or_else(|| "never".to_owned(), |count| count.to_string()),
        step.requests_per_second.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.2}")),
    ]
}
