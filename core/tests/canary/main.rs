//! The contract of canary decisions: six properties, and the order of the checks in a tick.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, reason = "a test fails loudly")]

mod examples;
mod properties;

use cutover_core::{
    PartsPerMillion, Timestamp,
    canary::{
        ArmCounts, Evidence, Run, TickContext, Window, fold,
        plan::{CanaryPlan, Criteria, Options},
    },
};

const START: i64 = 1_700_000_000_000;
const MINUTE: i64 = 60_000;

fn plan(steps: &[f64]) -> CanaryPlan {
    let share = |percent: f64| PartsPerMillion::from_percent(percent).unwrap();
    CanaryPlan {
        initial_percentage: share(steps[0]),
        promotion_steps: steps.iter().map(|step| share(*step)).collect(),
        step_duration_minutes: 10.0,
        success_criteria: Criteria {
            max_error_rate: 0.05,
            max_response_time_p95: 500.0,
            max_mismatch_rate: None,
        },
        rollback_criteria: Criteria {
            max_error_rate: 0.10,
            max_response_time_p95: 1_000.0,
            max_mismatch_rate: None,
        },
        options: Options::default(),
    }
}

fn run() -> Run {
    let now = Timestamp::from_millis(START);
    Run::start("r1".parse().unwrap(), "flag".parse().unwrap(), plan(&[1.0, 25.0, 100.0]), now, "operator")
}

fn around(run: &Run) -> TickContext {
    TickContext { emergency: false, enabled: true, plan: Some(run.plan.clone()) }
}

fn counts(requests: u64, errors: u64, slow: u64) -> ArmCounts {
    ArmCounts {
        requests,
        errors: errors.min(requests),
        slow_success: slow.min(requests),
        slow_rollback: slow.min(requests) / 2,
    }
}

fn window(index: i64, step: u32, new: ArmCounts, legacy: ArmCounts) -> Window {
    Window { start: START + index * 10_000, step, new, legacy, ..Window::default() }
}

fn after(minutes: i64) -> Timestamp {
    Timestamp::from_millis(START + minutes * MINUTE)
}

/// Builds evidence from one window per minute for the given number of minutes, so that data is
/// never missing.
fn known(run: &Run, new: ArmCounts, legacy: ArmCounts, minutes: i64) -> Evidence {
    let windows: Vec<Window> = (0..minutes).map(|minute| window(minute * 6, run.step, new, legacy)).collect();
    fold(run, None, &windows)
}
