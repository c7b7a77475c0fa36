//! One step of a canary, and trials of it.

use cutover_core::{
    PartsPerMillion, Timestamp,
    canary::{
        Run, RunIdentity,
        plan::{CanaryPlan, Criteria, Options, RelativePolicy},
        simulation::{Ending, Scenario, Seeds, simulate},
    },
};

/// Shares of the new arm, in percent.
pub(super) const SHARES: [u32; 5] = [1, 5, 25, 50, 90];

/// Start of every step, a multiple of the length of an arrival window.
const START_MS: i64 = 1_700_000_000_000;

/// Starts a run whose only step has this share of the new arm, in percent.
pub(super) fn run(share: u32, relative: RelativePolicy) -> Run {
    let limits = |max_error_rate, max_response_time_p95| Criteria {
        max_error_rate,
        max_response_time_p95,
        max_mismatch_rate: None,
    };
    let plan = CanaryPlan {
        initial_percentage: PartsPerMillion::of_percent(share),
        promotion_steps: Vec::new(),
        step_duration_minutes: 60.0,
        success_criteria: limits(0.05, 500.0),
        rollback_criteria: limits(0.10, 1_000.0),
        options: Options { relative, ..Options::default() },
    };
    let identity = RunIdentity { id: "r1".parse().unwrap(), key: Some("0".repeat(32)) };
    Run::start(identity, "flag".parse().unwrap(), plan, Timestamp::from_millis(START_MS), "calibration")
}

/// Runs so many trials. `scenario` returns that of a trial by its number.
pub(super) fn trials<'s>(run: &Run, runs: u32, scenario: impl Fn(u32) -> &'s Scenario) -> Vec<Ending> {
    (0..runs).map(|number| simulate(run, scenario(number), Seeds::of(u64::from(number)))).collect()
}
