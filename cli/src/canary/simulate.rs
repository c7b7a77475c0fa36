//! `cutover canary simulate`: a plan against a backend with given rates, decided by the same functions that decide in
//! production, with random traffic.

use crate::{
    failure::Failure,
    output::{self, Format},
};
use clap::Args;
use cutover_core::{
    Timestamp,
    batch::WINDOW_MS,
    canary::{Action, ArmCounts, Circumstances, Evidence, Run, RunState, Window, decide, fold},
    plan::CanaryPlan,
};
use rand::{SeedableRng, rngs::SmallRng};
use rand_distr::{Binomial, Distribution};
use serde_json::json;
use std::collections::BTreeMap;

/// A run that is not over after so many minutes of its own time counts as waiting.
const MAX_MINUTES: i64 = 30 * 24 * 60;

/// What is assumed of the world.
#[derive(Debug, Args)]
pub struct Assumed {
    /// The share of the new backend's answers that are errors, from 0 to 1.
    #[arg(long, default_value_t = 0.0)]
    error_rate: f64,
    /// The share of the new backend's answers that are slower than both limits, from 0 to 1.
    #[arg(long, default_value_t = 0.0)]
    slow_rate: f64,
    /// The share of the old backend's answers that are errors, from 0 to 1.
    #[arg(long, default_value_t = 0.0)]
    legacy_error_rate: f64,
    /// Requests a second, on both backends together.
    #[arg(long, default_value_t = 10.0)]
    requests_per_second: f64,
    /// How many runs.
    #[arg(long, default_value_t = 200)]
    runs: u32,
    /// The same seed gives the same runs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// How one run ended.
struct End {
    what: String,
    minutes: i64,
    canary_requests: u64,
}

pub(super) fn check_rate(name: &str, rate: f64) -> Result<(), Failure> {
    if (0.0..=1.0).contains(&rate) {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "{name} is {rate}\n  hint: write a share from 0 to 1, such as 0.01 for one percent"
    )))
}

pub(super) fn run(plan: &CanaryPlan, assumed: &Assumed, format: Format) -> Result<(), Failure> {
    for (name, rate) in [
        ("--error-rate", assumed.error_rate),
        ("--slow-rate", assumed.slow_rate),
        ("--legacy-error-rate", assumed.legacy_error_rate),
    ] {
        check_rate(name, rate)?;
    }
    if !(assumed.requests_per_second > 0.0 && assumed.requests_per_second <= 1e6) || assumed.runs == 0 {
        let hint = "hint: write more than 0 and at most 1000000 requests a second, and at least one run";
        return Err(Failure::Usage(format!("this traffic cannot be simulated\n  {hint}")));
    }
    let mut random = SmallRng::seed_from_u64(assumed.seed);
    let mut ends: BTreeMap<String, Vec<End>> = BTreeMap::new();
    for _ in 0..assumed.runs {
        let end = one(plan, assumed, &mut random);
        ends.entry(end.what.clone()).or_default().push(end);
    }
    let mut rows: Vec<(f64, Vec<String>, serde_json::Value)> = Vec::new();
    for (what, ends) in ends {
        let share = ends.len() as f64 / f64::from(assumed.runs);
        let minutes = median(ends.iter().map(|end| end.minutes.unsigned_abs()).collect());
        let requests = median(ends.iter().map(|end| end.canary_requests).collect());
        let row =
            vec![what.clone(), format!("{:.1} %", share * 100.0), minutes.to_string(), requests.to_string()];
        let value = json!({
            "outcome": what, "share": share, "median_minutes": minutes, "median_canary_requests": requests,
        });
        rows.push((share, row, value));
    }
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    if format == Format::Json {
        let values: Vec<_> = rows.into_iter().map(|(_, _, value)| value).collect();
        output::json(&json!({ "runs": assumed.runs, "outcomes": values }));
        return Ok(());
    }
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(_, row, _)| row).collect();
    output::table(&["OUTCOME", "RUNS", "MINUTES (MEDIAN)", "CANARY REQUESTS (MEDIAN)"], &rows);
    Ok(())
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// One run, looked at once a minute as in production.
fn one(plan: &CanaryPlan, assumed: &Assumed, random: &mut SmallRng) -> End {
    let around = Circumstances { emergency: false, enabled: true, plan: Some(plan.clone()) };
    // Monday, 2026-01-05, noon: freeze windows are meant in a week.
    let start: i64 = 1_767_614_400_000;
    let moment = |minute: i64| Timestamp::from_millis(start + minute * 60_000);
    let id = cutover_core::RunId::of_revision(cutover_core::Revision(1));
    let Ok(flag) = "simulated".parse() else {
        return End { what: "nothing".to_owned(), minutes: 0, canary_requests: 0 };
    };
    let mut run = Run::start(id, flag, plan.clone(), moment(0), "simulation");
    let mut evidence: Option<Evidence> = None;
    let mut spent = 0;
    for minute in 1..=MAX_MINUTES {
        let windows: Vec<Window> = (0..60_000 / WINDOW_MS)
            .map(|at| traffic(&run, start + (minute - 1) * 60_000 + at * WINDOW_MS, assumed, random))
            .collect();
        spent += windows.iter().map(|window| window.new.requests).sum::<u64>();
        let known = fold(&run, evidence.as_ref(), &windows);
        let decision = decide(&run, &known, &around, moment(minute));
        evidence = Some(known);
        match decision.action {
            Action::Hold | Action::Restart => {}
            Action::Advance | Action::Complete => run = run.advanced(moment(minute), ""),
            Action::RollBack => {
                let share = run.share();
                let test = decision.verdict.breach.map_or("no data", |breach| breach.test.says());
                return End {
                    what: format!("rolled back at {share}: {test}"),
                    minutes: minute,
                    canary_requests: spent,
                };
            }
            Action::Pause => {
                let what = format!("paused at {}: {}", run.share(), decision.reason.says());
                return End { what, minutes: minute, canary_requests: spent };
            }
        }
        if run.state == RunState::Completed {
            return End { what: "completed".to_owned(), minutes: minute, canary_requests: spent };
        }
    }
    End {
        what: format!("still at {} after 30 days", run.share()),
        minutes: MAX_MINUTES,
        canary_requests: spent,
    }
}

fn draw(random: &mut SmallRng, of: u64, share: f64) -> u64 {
    Binomial::new(of, share).map(|count| count.sample(random)).unwrap_or_default()
}

fn traffic(run: &Run, at: i64, assumed: &Assumed, random: &mut SmallRng) -> Window {
    let expected = assumed.requests_per_second * WINDOW_MS as f64 / 1_000.0;
    // Traffic that is less than one request a window comes in some windows.
    let requests = expected as u64 + draw(random, 1, expected.fract());
    let new = draw(random, requests, run.share().percent() / 100.0);
    let legacy = requests - new;
    let slow = draw(random, new, assumed.slow_rate);
    Window {
        start: at,
        step: run.step,
        new: ArmCounts {
            requests: new,
            errors: draw(random, new, assumed.error_rate),
            slow_success: slow,
            slow_rollback: slow,
        },
        legacy: ArmCounts {
            requests: legacy,
            errors: draw(random, legacy, assumed.legacy_error_rate),
            ..ArmCounts::default()
        },
        ..Window::default()
    }
}
