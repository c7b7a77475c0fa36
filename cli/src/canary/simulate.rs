//! `cutover canary simulate`: runs a plan on random traffic with given rates, using the decision
//! functions of production.

use super::rate;
use crate::{
    failure::Failure,
    output::{self, Format},
};
use clap::Args;
use cutover_core::{
    Timestamp,
    canary::{
        Action, ArmCounts, Evidence, Run, RunState, TickContext, Window, decide, fold, plan::CanaryPlan,
    },
    measurement::batch::WINDOW_MS,
};
use rand::{SeedableRng, rngs::SmallRng};
use rand_distr::{Binomial, Distribution};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Longest simulated run, in minutes of its own time; a run that lasts longer counts as waiting.
const MAX_MINUTES: i64 = 30 * 24 * 60;

/// Assumed traffic, and the number of runs.
#[derive(Debug, Args)]
pub struct Assumptions {
    /// Error rate of the new backend, from 0 to 1.
    #[arg(long, default_value_t = 0.0)]
    error_rate: f64,
    /// Share of the new backend's responses that are slower than both limits, from 0 to 1.
    #[arg(long, default_value_t = 0.0)]
    slow_rate: f64,
    /// Error rate of the old backend, from 0 to 1.
    #[arg(long, default_value_t = 0.0)]
    legacy_error_rate: f64,
    /// Requests per second to both backends together.
    #[arg(long, default_value_t = 10.0)]
    requests_per_second: f64,
    /// Number of simulated runs.
    #[arg(long, default_value_t = 200)]
    runs: u32,
    /// Seed of the random traffic; the same seed gives the same runs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Assumptions {
    fn check(&self) -> Result<(), Failure> {
        rate::check("--error-rate", self.error_rate)?;
        rate::check("--slow-rate", self.slow_rate)?;
        rate::check("--legacy-error-rate", self.legacy_error_rate)?;
        if self.requests_per_second > 0.0 && self.requests_per_second <= 1e6 && self.runs > 0 {
            return Ok(());
        }
        let hint = "use more than 0 and at most 1000000 requests per second, and at least one run";
        Err(Failure::Usage(format!("this traffic cannot be simulated\n  hint: {hint}")))
    }
}

/// The end of one run.
struct End {
    outcome: String,
    minutes: i64,
    canary_requests: u64,
}

/// All runs with the same outcome.
struct Group {
    outcome: String,
    share: f64,
    median_minutes: u64,
    median_canary_requests: u64,
}

impl Group {
    fn of(outcome: String, ends: &[End], runs: u32) -> Self {
        Self {
            outcome,
            share: ends.len() as f64 / f64::from(runs),
            median_minutes: median(ends.iter().map(|end| end.minutes.unsigned_abs()).collect()),
            median_canary_requests: median(ends.iter().map(|end| end.canary_requests).collect()),
        }
    }

    fn row(&self) -> Vec<String> {
        vec![
            self.outcome.clone(),
            format!("{:.1} %", self.share * 100.0),
            self.median_minutes.to_string(),
            self.median_canary_requests.to_string(),
        ]
    }

    fn json(&self) -> Value {
        json!({
            "outcome": self.outcome,
            "share": self.share,
            "median_minutes": self.median_minutes,
            "median_canary_requests": self.median_canary_requests,
        })
    }
}

/// Simulates the runs and shows their outcomes, the most frequent first.
///
/// # Errors
///
/// Fails if an assumption is out of range.
pub(super) fn run(plan: &CanaryPlan, assumptions: &Assumptions, format: Format) -> Result<(), Failure> {
    assumptions.check()?;
    let mut random = SmallRng::seed_from_u64(assumptions.seed);
    let mut ends: BTreeMap<String, Vec<End>> = BTreeMap::new();
    for _ in 0..assumptions.runs {
        let end = one(plan, assumptions, &mut random);
        ends.entry(end.outcome.clone()).or_default().push(end);
    }
    let mut groups: Vec<Group> =
        ends.into_iter().map(|(outcome, ends)| Group::of(outcome, &ends, assumptions.runs)).collect();
    groups.sort_by(|a, b| b.share.total_cmp(&a.share));
    let outcomes: Vec<Value> = groups.iter().map(Group::json).collect();
    output::show(format, &json!({ "runs": assumptions.runs, "outcomes": outcomes }), || {
        let rows: Vec<Vec<String>> = groups.iter().map(Group::row).collect();
        output::table(&["OUTCOME", "RUNS", "MINUTES (MEDIAN)", "CANARY REQUESTS (MEDIAN)"], &rows);
    });
    Ok(())
}

/// Returns the upper median, 0 for no values.
fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Simulates one run, evaluated once a minute as in production.
fn one(plan: &CanaryPlan, assumptions: &Assumptions, random: &mut SmallRng) -> End {
    let around = TickContext { emergency: false, enabled: true, plan: Some(plan.clone()) };
    // Monday, 2026-01-05, noon, because freeze windows refer to days of the week.
    let start: i64 = 1_767_614_400_000;
    let time = |minute: i64| Timestamp::from_millis(start + minute * 60_000);
    let id = cutover_core::RunId::of_revision(cutover_core::Revision(1));
    let Ok(flag) = "simulated".parse() else {
        return End { outcome: "nothing".to_owned(), minutes: 0, canary_requests: 0 };
    };
    let mut run = Run::start(id, flag, plan.clone(), time(0), "simulation");
    let mut evidence: Option<Evidence> = None;
    let mut spent = 0;
    for minute in 1..=MAX_MINUTES {
        let windows: Vec<Window> = (0..60_000 / WINDOW_MS)
            .map(|index| {
                traffic(&run, start + (minute - 1) * 60_000 + index * WINDOW_MS, assumptions, random)
            })
            .collect();
        spent += windows.iter().map(|window| window.new.requests).sum::<u64>();
        let known = fold(&run, evidence.as_ref(), &windows);
        let decision = decide(&run, &known, &around, time(minute));
        evidence = Some(known);
        match decision.action {
            Action::Hold | Action::Restart => {}
            Action::Advance | Action::Complete => run = run.advanced(time(minute), ""),
            Action::RollBack => {
                let share = run.share();
                let test = decision.verdict.breach.map_or("no data", |breach| breach.test.says());
                return End {
                    outcome: format!("rolled back at {share}: {test}"),
                    minutes: minute,
                    canary_requests: spent,
                };
            }
            Action::Pause => {
                let outcome = format!("paused at {}: {}", run.share(), decision.reason.says());
                return End { outcome, minutes: minute, canary_requests: spent };
            }
        }
        if run.state == RunState::Completed {
            return End { outcome: "completed".to_owned(), minutes: minute, canary_requests: spent };
        }
    }
    End {
        outcome: format!("still at {} after 30 days", run.share()),
        minutes: MAX_MINUTES,
        canary_requests: spent,
    }
}

/// Draws how many of `count` requests belong to a share, from the binomial distribution.
fn draw(random: &mut SmallRng, count: u64, share: f64) -> u64 {
    Binomial::new(count, share).map(|count| count.sample(random)).unwrap_or_default()
}

fn traffic(run: &Run, start: i64, assumptions: &Assumptions, random: &mut SmallRng) -> Window {
    let expected = assumptions.requests_per_second * WINDOW_MS as f64 / 1_000.0;
    // A fraction of a request becomes one request in that fraction of the windows.
    let requests = expected as u64 + draw(random, 1, expected.fract());
    let new = draw(random, requests, run.share().percent() / 100.0);
    let legacy = requests - new;
    let slow = draw(random, new, assumptions.slow_rate);
    Window {
        start,
        step: run.step,
        new: ArmCounts {
            requests: new,
            errors: draw(random, new, assumptions.error_rate),
            slow_success: slow,
            slow_rollback: slow,
        },
        legacy: ArmCounts {
            requests: legacy,
            errors: draw(random, legacy, assumptions.legacy_error_rate),
            ..ArmCounts::default()
        },
        ..Window::default()
    }
}
