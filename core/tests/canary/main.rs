//! The contract of canary decisions: the order of the checks in a tick, the evidence that counts, and
//! the properties of all decisions.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails loudly"
)]

mod alarms;
mod bounds;
mod comparisons;
mod examples;
mod forecasts;
mod incidents;
mod properties;
mod reports;
mod routes;

use cutover_core::{
    PartsPerMillion, Timestamp,
    canary::{
        ArmCounts, Evidence, Run, RunIdentity, StepCounts, TickContext, Window, fold,
        plan::{CanaryPlan, Criteria, Options},
    },
    measurement::batch::{EventKinds, SeenUser, UserEvents, UserWindow, WINDOW_MS},
    statistics::split_mix::nth_draw,
    vocabulary::arm::Arm,
};

const START: i64 = 1_700_000_000_000;
const MINUTE: i64 = 60_000;

/// Time limit of both arms, in milliseconds.
const SETTLE_MS: u32 = 1_000;

fn percent(percent: f64) -> PartsPerMillion {
    PartsPerMillion::from_percent(percent).unwrap()
}

fn plan(steps: &[f64]) -> CanaryPlan {
    CanaryPlan {
        initial_percentage: percent(steps[0]),
        promotion_steps: steps.iter().map(|step| percent(*step)).collect(),
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

fn identity(id: &str) -> RunIdentity {
    RunIdentity { id: id.parse().unwrap(), key: Some("0123456789abcdef0123456789abcdef".to_owned()) }
}

fn run_of(steps: &[f64]) -> Run {
    let now = Timestamp::from_millis(START);
    Run::start(identity("r1"), "flag".parse().unwrap(), plan(steps), now, "operator")
}

fn run() -> Run {
    run_of(&[1.0, 25.0, 100.0])
}

fn around(run: &Run) -> TickContext {
    TickContext {
        emergency: false,
        enabled: true,
        plan: Some(run.plan.clone()),
        through: None,
        flag_changed: None,
    }
}

fn counts(requests: u64, errors: u64, slow: u64) -> ArmCounts {
    ArmCounts {
        requests,
        errors: errors.min(requests),
        slow_success: slow.min(requests),
        slow_rollback: slow.min(requests) / 2,
        ..ArmCounts::default()
    }
}

/// Builds a closed arrival window.
fn window(index: i64, step: u32, new: ArmCounts, legacy: ArmCounts) -> Window {
    let start = START + index * WINDOW_MS;
    let steps = vec![StepCounts { step, new, legacy, ..StepCounts::default() }];
    Window { start, end: start + WINDOW_MS, steps, ..Window::default() }
}

fn after(minutes: i64) -> Timestamp {
    Timestamp::from_millis(START + minutes * MINUTE)
}

/// Returns a hash for a number, spread over all 64 bits.
fn hash(number: u64) -> u64 {
    nth_draw(0, number.wrapping_add(1))
}

/// Builds an empty event window of a run's step.
fn users(run: &Run, index: i64) -> UserWindow {
    UserWindow {
        flag: run.flag.clone(),
        canary: (run.id.clone(), run.step),
        share: run.share(),
        window: START + index * WINDOW_MS,
        settle_ms: SETTLE_MS,
        seen: Vec::new(),
        events: Vec::new(),
        compared: Vec::new(),
    }
}

/// Returns so many users of an arm, numbered from `first`.
fn seen(arm: Arm, first: u64, count: u64) -> impl Iterator<Item = SeenUser> {
    (first..first + count).map(move |number| SeenUser(hash(number), arm))
}

/// Returns one event for so many users of an arm, numbered from `first`.
fn events(arm: Arm, kinds: EventKinds, first: u64, count: u64) -> impl Iterator<Item = UserEvents> {
    let failures = u32::from(kinds.contains(EventKinds::ERROR));
    (first..first + count).map(move |number| UserEvents {
        user: hash(number),
        arm,
        minted: false,
        kinds,
        errors: failures,
        requests: failures,
    })
}

/// Builds the users of an event window: 60 on the new arm, and as many on legacy as the share asks
/// for.
fn crowd(run: &Run, index: i64) -> UserWindow {
    let share = run.share().percent() / 100.0;
    let legacy = (60.0 * (1.0 - share) / share).round() as u64;
    let all = seen(Arm::New, 0, 60).chain(seen(Arm::Legacy, 1_000_000, legacy)).collect();
    UserWindow { seen: all, ..users(run, index) }
}

/// Builds the report of a user on an arm all of whose requests failed.
fn failing_user(arm: Arm, number: u64, errors: u64) -> UserEvents {
    let errors = u32::try_from(errors).unwrap();
    UserEvents { user: hash(number), arm, minted: false, kinds: EventKinds::ERROR, errors, requests: errors }
}

/// Spreads the errors of a window over at most 60 users of an arm, numbered from `first`. The next
/// window goes on with the next users.
fn failing_users(arm: Arm, first: u64, index: i64, errors: u64) -> Vec<UserEvents> {
    let failing = errors.min(60);
    let user = |number: u64| first + (index.unsigned_abs() * failing + number) % 60;
    (0..failing)
        .map(|number| {
            let own = errors / failing + u64::from(number < errors % failing);
            failing_user(arm, user(number), own)
        })
        .collect()
}

/// Adds the users to an arrival window as the edge reports them, for the event window at the same
/// time: a crowd, and the users of the errors on both arms. They are ripe at the end of the next window.
fn reported(run: &Run, window: Window) -> Window {
    let index = (window.start - START) / WINDOW_MS;
    let of_step = window.steps.iter().filter(|counts| counts.step == run.step);
    let failing = of_step.flat_map(|StepCounts { new, legacy, .. }| {
        let mut both = failing_users(Arm::New, 0, index, new.errors);
        both.extend(failing_users(Arm::Legacy, 1_000_000, index, legacy.errors));
        both
    });
    let failing: Vec<UserEvents> = failing.collect();
    with_failing(run, failing, window)
}

/// Adds a crowd to an arrival window, and the given reports of failing users among it.
fn with_failing(run: &Run, failing: Vec<UserEvents>, window: Window) -> Window {
    let index = (window.start - START) / WINDOW_MS;
    Window { users: vec![UserWindow { events: failing, ..crowd(run, index) }], ..window }
}

/// Builds evidence from one window per minute for the given number of minutes, so that data is
/// never missing, with a crowd of users in the first one.
fn known(run: &Run, new: ArmCounts, legacy: ArmCounts, minutes: i64) -> Evidence {
    let mut windows: Vec<Window> =
        (0..minutes).map(|minute| window(minute * 6, run.step, new, legacy)).collect();
    if let Some(first) = windows.first_mut() {
        first.users.push(crowd(run, 0));
    }
    fold(run, None, &windows)
}
