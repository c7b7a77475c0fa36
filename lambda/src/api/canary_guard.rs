//! What may not be done while a canary runs or an emergency is in force, and what a plan should be warned about.

use crate::{
    problem::Problem,
    store::{Ledger, State as Truth},
};
use axum::http::StatusCode;
use cutover_core::{
    FlagName, PartsPerMillion,
    batch::WINDOW_MS,
    canary::Forecast,
    plan::{CanaryPlan, SLOW_SHARE},
};

/// The rate of errors, as a share of the success limit, that a healthy canary is assumed to have.
const ASSUMED: f64 = 0.2;

/// Refuses to give a flag another share than its running canary gave it, and a larger one while an emergency holds it.
pub(super) fn may_have(truth: &Truth, flag: &FlagName, share: PartsPerMillion) -> Result<(), Problem> {
    let held = truth.config.feature_flags.get(flag).map(|flag| flag.rollout_percentage);
    if held.is_some_and(|held| share > held) {
        no_emergency(truth, flag)?;
    }
    match truth.active_run(flag).filter(|_| held != Some(share)) {
        None => Ok(()),
        Some(run) => {
            let detail = format!("the run {} of the canary of {flag} owns its share", run.id);
            let hint =
                "roll the canary back or promote it; to send everybody to legacy at once, disable the flag";
            Err(Problem::new(StatusCode::CONFLICT, "canary_running", detail, hint))
        }
    }
}

/// Refuses to expose more users to a flag that an emergency holds.
pub(super) fn no_emergency(truth: &Truth, flag: &FlagName) -> Result<(), Problem> {
    match truth.head.emergency.as_ref().filter(|emergency| emergency.covers(flag)) {
        None => Ok(()),
        Some(emergency) => {
            let detail = format!(
                "an emergency holds {flag} on legacy since {}, declared by {}: {}",
                emergency.since, emergency.by, emergency.reason
            );
            let hint = "clear the emergency first";
            Err(Problem::new(StatusCode::CONFLICT, "emergency_in_force", detail, hint))
        }
    }
}

/// Requests a second on both arms together, over the last minutes; `None` where nothing is known of them.
pub(super) fn requests_per_second(ledger: &Ledger) -> Option<f64> {
    let windows = ledger.recent.iter().map(|recent| recent.window);
    let (first, last) = (windows.clone().min()?, windows.max()?);
    let requests: u64 = ledger.recent.iter().map(|recent| recent.requests).sum();
    Some(requests as f64 * 1_000.0 / (last - first + WINDOW_MS) as f64)
}

/// What there is to say about a plan whose first step cannot decide within its time, at the traffic that was measured.
/// `sure` is for when that is said also where no traffic was measured yet.
pub(super) fn slow_steps(
    flag: &FlagName,
    plan: &CanaryPlan,
    measured: Option<f64>,
    sure: bool,
) -> Option<String> {
    let rate = plan.success_criteria.max_error_rate * ASSUMED;
    let forecast = Forecast::of(plan, rate, SLOW_SHARE * ASSUMED);
    let first = forecast.first()?;
    let Some((requests, needed)) = first.canary_requests.zip(first.requests_per_second) else {
        return Some(format!(
            "{flag}: its success criteria can never be proven; allow an error rate above 0"
        ));
    };
    if measured.map_or(!sure, |measured| measured >= needed) {
        return None;
    }
    let seen = measured.map_or_else(|| "none were".to_owned(), |measured| format!("{measured:.1} were"));
    Some(format!(
        "{flag}: its first step of {} decides within {} minutes only from {needed:.1} requests a second on \
         ({requests} on the new backend, at an error rate of {:.2} %); {seen} seen in the last minutes",
        first.share,
        plan.step_duration_minutes,
        rate * 100.0
    ))
}
