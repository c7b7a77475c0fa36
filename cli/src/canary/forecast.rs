//! `cutover canary plan`: the test that decides each step of a plan, and the traffic that it needs.

use super::rate::Rates;
use crate::{
    failure::Failure,
    number,
    output::{self, Format},
};
use clap::Args;
use cutover_core::canary::{Assumed, Forecast, plan::CanaryPlan};
use serde_json::{Value, json};

/// Rate that is assumed if none is given.
const USUAL_RATE: f64 = 0.01;

/// Assumed rates of both backends, and the traffic.
#[derive(Debug, Args)]
pub struct Assumptions {
    #[command(flatten)]
    rates: Rates,
    /// Assumed requests per second to both backends together [default: unknown; a step is then held, or rolled back, as
    /// soon as any traffic can show that it must be].
    #[arg(long, value_parser = number::decimal)]
    requests_per_second: Option<f64>,
    /// Assumed users of both backends together, all equally active [default: enough].
    #[arg(long, value_parser = number::whole::<u64>)]
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
    let report = report(plan, &assumed, &forecast);
    output::show(format, &report, || {
        let rows: Vec<Vec<String>> = forecast.iter().map(row).collect();
        output::table(&["STEP", "CANARY REQUESTS", "TOTAL REQUESTS/S", "EXPECTED"], &rows);
        println!("{}", Forecast::sentence(&forecast));
        let percent = |rate: f64| format!("{:.2} %", rate * 100.0);
        println!(
            "assumed: errors {} on new and {} on legacy, slow responses {} and {}; {}; {} minutes per step",
            percent(assumed.error_rate),
            percent(assumed.legacy_error_rate),
            percent(assumed.slow_rate),
            percent(assumed.legacy_slow_rate),
            traffic(&assumed),
            plan.step_duration_minutes
        );
        output::warnings(&report);
    });
    Ok(())
}

/// Returns the assumed traffic in words.
fn traffic(assumed: &Assumed) -> String {
    let rate = assumed.requests_per_second;
    rate.map_or_else(|| "traffic unknown".to_owned(), |rate| format!("{rate} requests/s"))
}

/// Returns a forecast with all that it depends on, for programs.
fn report(plan: &CanaryPlan, assumed: &Assumed, forecast: &[Forecast]) -> Value {
    let warnings: Vec<String> = Forecast::warning(plan, assumed).into_iter().collect();
    json!({
        "steps": forecast,
        "sentence": Forecast::sentence(forecast),
        "assumed": assumed,
        "step_duration_minutes": plan.step_duration_minutes,
        "warnings": warnings,
    })
}

fn row(step: &Forecast) -> Vec<String> {
    vec![
        step.share.to_string(),
        step.canary_requests.map_or_else(|| "never".to_owned(), |count| count.to_string()),
        step.requests_per_second.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.2}")),
        output::cell(&json!(step.outlook)).replace('_', " "),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_assumed_traffic_is_told_also_if_it_is_unknown() {
        let unknown = Assumed::alike(0.01, 0.01);
        assert_eq!(traffic(&unknown), "traffic unknown");
        assert_eq!(traffic(&Assumed { requests_per_second: Some(2.5), ..unknown }), "2.5 requests/s");
    }

    #[test]
    fn programs_get_the_assumed_rates_and_the_warnings() {
        let limits = json!({ "max_error_rate": 0.05, "max_response_time_p95": 500.0 });
        let plan: CanaryPlan = serde_json::from_value(json!({
            "initial_percentage": 5.0, "promotion_steps": [50.0], "step_duration_minutes": 1.0,
            "success_criteria": limits, "rollback_criteria": limits,
        }))
        .unwrap();
        // Too close to the limit for any decision.
        let assumed = Assumed::alike(0.05, 0.01);
        let report = report(&plan, &assumed, &Forecast::of(&plan, &assumed));
        assert_eq!(report["assumed"]["legacy_error_rate"], 0.05);
        assert_eq!(report["steps"].as_array().unwrap().len(), 2);
        assert!(report["warnings"][0].as_str().unwrap().contains("it can never advance from 5%"), "{report}");
    }
}
