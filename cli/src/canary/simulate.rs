//! `cutover canary simulate`: runs a plan on random traffic with given rates, using the decision
//! functions of production.

use super::{
    rate::Rates,
    simulated_users::{ArmEvents, Crowd},
};
use crate::{
    failure::Failure,
    number,
    output::{self, Format},
};
use clap::Args;
use cutover_core::{
    RouteId, Timestamp,
    canary::{
        Action, ArmCounts, Assumed, BothArms, Evidence, Forecast, Reason, Run, RunIdentity, RunState,
        StepCounts, TickContext, Window, decide, fold, plan::CanaryPlan,
    },
    measurement::batch::WINDOW_MS,
    vocabulary::arm::Arm,
};
use rand::{SeedableRng, rngs::SmallRng};
use rand_distr::{Binomial, Distribution};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Longest simulated run, in minutes of its own time; a run that lasts longer counts as waiting.
const MAX_MINUTES: f64 = 30.0 * 24.0 * 60.0;

/// Shortest limit on a simulated run, in minutes of its own time.
const MIN_MINUTES: f64 = 24.0 * 60.0;

/// Multiple of its shortest possible duration after which a run counts as waiting.
const PATIENCE: f64 = 4.0;

/// Rate that is assumed if none is given.
const USUAL_RATE: f64 = 0.0;

/// Assumed traffic, and the number of runs.
#[derive(Debug, Args)]
pub struct Assumptions {
    #[command(flatten)]
    rates: Rates,
    /// Requests per second to both backends together.
    #[arg(long, default_value_t = 10.0, value_parser = number::decimal)]
    requests_per_second: f64,
    /// Number of users, who are all equally active.
    #[arg(long, default_value_t = 20_000, value_parser = number::whole::<u64>)]
    users: u64,
    /// Number of simulated runs.
    #[arg(long, default_value_t = 200, value_parser = number::whole::<u32>)]
    runs: u32,
    /// Seed of the random traffic; the same seed gives the same runs.
    #[arg(long, default_value_t = 1, value_parser = number::whole::<u64>)]
    seed: u64,
}

impl Assumptions {
    fn assumed(&self) -> Result<Assumed, Failure> {
        if self.runs == 0 {
            return Err(Failure::Usage("--runs is 0\n  hint: use at least one run".to_owned()));
        }
        self.rates.assumed(USUAL_RATE, Some(self.requests_per_second), Some(self.users))
    }

    /// Names every assumption, also those that were not given.
    fn sentence(&self, assumed: &Assumed) -> String {
        let percent = |rate: f64| format!("{:.2} %", rate * 100.0);
        format!(
            "assumed: errors {} on new and {} on legacy, slow responses {} and {}; {} requests/s of {} users; {} runs \
             with seed {}",
            percent(assumed.error_rate),
            percent(assumed.legacy_error_rate),
            percent(assumed.slow_rate),
            percent(assumed.legacy_slow_rate),
            self.requests_per_second,
            self.users,
            self.runs,
            self.seed
        )
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
    let assumed = assumptions.assumed()?;
    let expected = Forecast::sentence(&Forecast::of(plan, &assumed));
    let mut random = SmallRng::seed_from_u64(assumptions.seed);
    let mut ends: BTreeMap<String, Vec<End>> = BTreeMap::new();
    for number in 0..assumptions.runs {
        let crowd = Crowd::new(assumptions.users, u64::from(number) << 32);
        let end = Simulation { plan, assumed: &assumed, crowd, random: &mut random }.run();
        ends.entry(end.outcome.clone()).or_default().push(end);
    }
    let mut groups: Vec<Group> =
        ends.into_iter().map(|(outcome, ends)| Group::of(outcome, &ends, assumptions.runs)).collect();
    groups.sort_by(|a, b| b.share.total_cmp(&a.share));
    let outcomes: Vec<Value> = groups.iter().map(Group::json).collect();
    let report = json!({
        "runs": assumptions.runs, "seed": assumptions.seed, "assumed": assumed, "users": assumptions.users,
        "expected": expected, "outcomes": outcomes,
    });
    output::show(format, &report, || {
        let rows: Vec<Vec<String>> = groups.iter().map(Group::row).collect();
        output::table(&["OUTCOME", "RUNS", "MINUTES (MEDIAN)", "CANARY REQUESTS (MEDIAN)"], &rows);
        println!("expected: {expected}");
        println!("{}", assumptions.sentence(&assumed));
        if !plan.options.route_criteria.is_empty() {
            println!(
                "assumed: each route with criteria of its own has as many requests as all others together"
            );
        }
        if let Some(warning) = Forecast::warning(plan, &assumed) {
            eprintln!("warning: {warning}");
        }
    });
    Ok(())
}

/// Returns the upper median, 0 for no values.
fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// A simulated run.
struct Simulation<'s> {
    plan: &'s CanaryPlan,
    assumed: &'s Assumed,
    crowd: Crowd,
    random: &'s mut SmallRng,
}

/// Monday, 2026-01-05, noon, because freeze windows refer to days of the week.
const START: i64 = 1_767_614_400_000;

impl Simulation<'_> {
    /// Simulates the run, evaluated once a minute as in production.
    fn run(mut self) -> End {
        let around = TickContext {
            emergency: false,
            enabled: true,
            plan: Some(self.plan.clone()),
            through: None,
            flag_changed: None,
        };
        let time = |minute: i64| Timestamp::from_millis(START + minute * 60_000);
        let id = cutover_core::RunId::of_stamp(cutover_core::Stamp {
            revision: cutover_core::Revision(1),
            ..cutover_core::Stamp::default()
        });
        let Ok(flag) = "simulated".parse() else {
            return End { outcome: "nothing".to_owned(), minutes: 0, canary_requests: 0 };
        };
        // Simulated users need no key, but a run without one would not ask for users.
        let identity = RunIdentity { id, key: Some("0".repeat(32)) };
        let mut run = Run::start(identity, flag, self.plan.clone(), time(0), "simulation");
        let mut evidence: Option<Evidence> = None;
        let mut canary_requests = 0;
        let longest = longest(self.plan);
        for minute in 1..=longest {
            let windows: Vec<Window> = (0..60_000 / WINDOW_MS)
                .map(|index| self.traffic(&run, START + (minute - 1) * 60_000 + index * WINDOW_MS))
                .collect();
            let counts = windows.iter().flat_map(|window| &window.steps);
            canary_requests += counts.map(|counts| counts.new.requests).sum::<u64>();
            let known = fold(&run, evidence.as_ref(), &windows);
            let decision = decide(&run, &known, &around, time(minute));
            evidence = Some(known);
            let end = |outcome| End { outcome, minutes: minute, canary_requests };
            let share = run.share();
            match (decision.action, decision.reason) {
                // It is latched: only an operator ends it.
                (Action::Hold, Reason::WorseThanLegacy) => {
                    return end(format!("held at {share}: {}", decision.reason.says()));
                }
                (Action::Hold | Action::Restart, _) => {}
                (Action::Advance | Action::Complete, _) => run = run.advanced(time(minute), ""),
                (Action::RollBack, _) => {
                    let test = decision.verdict.breach.map_or("no data", |breach| breach.test.says());
                    return end(format!("{} at {share}: {test}", RunState::RolledBack.as_str()));
                }
                (Action::Pause, _) => return end(format!("paused at {share}: {}", decision.reason.says())),
            }
            if run.state == RunState::Completed {
                return end("completed".to_owned());
            }
        }
        let outcome = format!("still at {} after {longest} minutes", run.share());
        End { outcome, minutes: longest, canary_requests }
    }

    /// Draws the traffic of an arrival window. Each route with criteria of its own has as many requests as
    /// all others together.
    fn traffic(&mut self, run: &Run, start: i64) -> Window {
        let own: Vec<&RouteId> = run.plan.options.route_criteria.keys().collect();
        let part = 1.0 / (1.0 + own.len() as f64);
        let [mut new, mut legacy] = self.draw_part(run, part);
        let mut routes = BTreeMap::new();
        for route in own {
            let [own_new, own_legacy] = self.draw_part(run, part);
            routes.insert(route.clone(), BothArms { new: counts(own_new), legacy: counts(own_legacy) });
            new.add(own_new);
            legacy.add(own_legacy);
        }
        let users = self.crowd.window(run, start, [new, legacy], self.random);
        let steps = vec![StepCounts { step: run.step, new: counts(new), legacy: counts(legacy), routes }];
        Window { start, end: start + WINDOW_MS, steps, users: vec![users], ..Window::default() }
    }

    /// Draws a part of the requests of an arrival window: those on the new arm, and those on legacy.
    fn draw_part(&mut self, run: &Run, part: f64) -> [ArmEvents; 2] {
        let Self { assumed, random, .. } = self;
        let per_second = assumed.requests_per_second.unwrap_or_default() * part;
        let expected = per_second * WINDOW_MS as f64 / 1_000.0;
        // A fraction of a request becomes one request in that fraction of the windows.
        let requests = expected as u64 + draw(random, 1, expected.fract());
        let on_new = draw(random, requests, run.share().percent() / 100.0);
        let new = ArmEvents {
            arm: Arm::New,
            requests: on_new,
            errors: draw(random, on_new, assumed.error_rate),
            slow: draw(random, on_new, assumed.slow_rate),
        };
        let on_legacy = requests - on_new;
        let legacy = ArmEvents {
            arm: Arm::Legacy,
            requests: on_legacy,
            errors: draw(random, on_legacy, assumed.legacy_error_rate),
            slow: draw(random, on_legacy, assumed.legacy_slow_rate),
        };
        [new, legacy]
    }
}

/// Returns the minutes after which a run of a plan counts as waiting.
fn longest(plan: &CanaryPlan) -> i64 {
    let shortest = plan.steps().len() as f64 * plan.step_duration_minutes + plan.options.bake_minutes;
    (PATIENCE * shortest).clamp(MIN_MINUTES, MAX_MINUTES) as i64
}

fn counts(drawn: ArmEvents) -> ArmCounts {
    ArmCounts {
        requests: drawn.requests,
        errors: drawn.errors,
        slow_success: drawn.slow,
        slow_rollback: drawn.slow,
        ..ArmCounts::default()
    }
}

/// Draws how many of `count` requests belong to a share, from the binomial distribution.
fn draw(random: &mut SmallRng, count: u64, share: f64) -> u64 {
    Binomial::new(count, share).map(|count| count.sample(random)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        assumptions: Assumptions,
    }

    #[test]
    fn every_default_is_told() {
        let Arguments { assumptions } = Arguments::parse_from(["simulate"]);
        let assumed = assumptions.assumed().unwrap();
        assert_eq!(
            assumptions.sentence(&assumed),
            "assumed: errors 0.00 % on new and 0.00 % on legacy, slow responses 0.00 % and 0.00 %; 10 requests/s of 20000 \
             users; 200 runs with seed 1"
        );
    }
}
