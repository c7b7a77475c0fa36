//! Guards for changes while a canary is running or an emergency is in force, and warnings about
//! slow plans.

use crate::{api::recent_traffic::RecentTraffic, problem::Problem, store::State as Truth};
use axum::http::StatusCode;
use cutover_core::{
    Flag, FlagName, PartsPerMillion,
    canary::{
        Assumed, Forecast, Outlook, Run, RunState,
        plan::{CanaryPlan, RelativePolicy, SLOW_SHARE},
    },
    config::Config,
};

/// Most active runs.
const MAX_RUNS: usize = 32;

/// Number of active runs that a refusal names.
const NAMED_RUNS: usize = 5;

/// Error rate that a healthy canary is assumed to have, as a share of the success limit.
const ASSUMED: f64 = 0.2;

/// Rejects a share that differs from the one that the flag's active run has set, and a larger share
/// while an emergency forces the flag to legacy.
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
                "roll the canary back or promote it; to send all users to legacy at once, disable the flag";
            Err(Problem::new(StatusCode::CONFLICT, "canary_running", detail, hint))
        }
    }
}

/// Rejects a flag that deals its users in another way while its canary runs: they would change arms in the middle of a
/// step, and its evidence would be about nobody.
pub(super) fn may_deal(truth: &Truth, name: &FlagName, flag: &Flag) -> Result<(), Problem> {
    let is_running = truth.active_run(name).is_some();
    let is_other = flag.salt.as_deref().is_some_and(|salt| salt != truth.salt(name).unwrap_or(name.as_str()));
    // Without a salt in the file the run's stays in force, but not one that the flag had itself.
    let had_own = truth.config.feature_flags.get(name).is_some_and(|held| held.salt.is_some());
    if !is_running || !(is_other || (had_own && flag.salt.is_none())) {
        return Ok(());
    }
    let detail =
        format!("the canary of {name} is running, and another salt would move its users to other arms");
    let hint = "roll the canary back before changing the salt, or keep the salt that GET /flags shows";
    Err(Problem::new(StatusCode::CONFLICT, "canary_running", detail, hint))
}

/// Rejects a configuration without a flag whose canary is running: its run would end unseen, in the middle of a step.
pub(super) fn may_remove(truth: &Truth, config: &Config) -> Result<(), Problem> {
    let removed = truth.config.feature_flags.keys().filter(|name| !config.feature_flags.contains_key(*name));
    let running = removed.filter_map(|name| truth.active_run(name));
    let named: Vec<String> = running.map(|run| format!("{} (run {})", run.flag, run.id)).collect();
    if named.is_empty() {
        return Ok(());
    }
    let detail = format!("a flag whose canary is running is not removed: {}", named.join(", "));
    let hint = "roll the run back (cutover canary rollback), or wait until it is complete; or keep the flag in the file";
    Err(Problem::new(StatusCode::CONFLICT, "canary_running", detail, hint))
}

/// Takes the salt out of a flag that was read with the one that its run has dealt users with: it stays the run's.
pub(super) fn keep_dealt(truth: &Truth, name: &FlagName, flag: &mut Flag) {
    let is_own = truth.config.feature_flags.get(name).is_some_and(|held| held.salt.is_some());
    if !is_own && flag.salt.is_some() && flag.salt.as_deref() == truth.salt(name) {
        flag.salt = None;
    }
}

/// Rejects a run if the largest number of them is active: evaluation judges each of them in every pass, and the snapshot has
/// a key for each.
pub(super) fn must_have_room(truth: &Truth) -> Result<(), Problem> {
    let mut active: Vec<&Run> = truth.runs.values().filter(|run| run.state.is_active()).collect();
    if active.len() < MAX_RUNS {
        return Ok(());
    }
    // Those that have stood still first.
    active.sort_by_key(|run| (run.state != RunState::Paused, run.step_started_at));
    let named = active.iter().take(NAMED_RUNS).map(|run| {
        let (flag, state, since) = (&run.flag, run.state.as_str(), run.step_started_at);
        format!("{flag} ({state}, at its step since {since})")
    });
    let named: Vec<String> = named.collect();
    let detail = format!("{} canaries are active, of at most {MAX_RUNS}", active.len());
    let hint = format!(
        "wait until one of them is complete, or roll one back that stands still: {}",
        named.join(", ")
    );
    Err(Problem::new(StatusCode::CONFLICT, "too_many_runs", detail, hint))
}

/// Rejects a canary's move up while its flag is disabled: it would get no traffic.
pub(super) fn must_be_enabled(truth: &Truth, flag: &FlagName) -> Result<(), Problem> {
    if truth.config.feature_flags.get(flag).is_some_and(|flag| flag.enabled) {
        return Ok(());
    }
    let detail = format!("the flag {flag} is disabled, so its canary would get no traffic");
    Err(Problem::new(StatusCode::CONFLICT, "flag_disabled", detail, "enable the flag first"))
}

/// Rejects a change that exposes users while an emergency forces the flag to legacy.
pub(super) fn no_emergency(truth: &Truth, flag: &FlagName) -> Result<(), Problem> {
    match truth.head.emergency.as_ref().filter(|emergency| emergency.covers(flag)) {
        None => Ok(()),
        Some(emergency) => {
            let detail = format!(
                "an emergency has forced {flag} to legacy since {}, declared by {}: {}",
                emergency.since, emergency.by, emergency.reason
            );
            let hint = "clear the emergency first";
            Err(Problem::new(StatusCode::CONFLICT, "emergency_in_force", detail, hint))
        }
    }
}

/// Rejects a larger share in force of a flag that an emergency forces to legacy: whoever clears the emergency has seen the
/// share before.
pub(super) fn may_raise(truth: &Truth, name: &FlagName, flag: &Flag) -> Result<(), Problem> {
    let held = truth.config.feature_flags.get(name).map(Flag::enabled_share).unwrap_or_default();
    if flag.enabled_share() > held { no_emergency(truth, name) } else { Ok(()) }
}

/// Assumes two healthy backends, also by the strictest limit of a route.
fn healthy(plan: &CanaryPlan, measured: Option<f64>) -> Assumed {
    let own = plan.options.route_criteria.values().map(|own| own.success_criteria.max_error_rate);
    let limit = own.fold(plan.success_criteria.max_error_rate, f64::min);
    Assumed { requests_per_second: measured, ..Assumed::alike(limit * ASSUMED, SLOW_SHARE * ASSUMED) }
}

/// Explains the traffic that routes with criteria of their own need. `None` if there are none.
pub(super) fn own_traffic(
    flag: &FlagName,
    plan: &CanaryPlan,
    measured: Option<RecentTraffic>,
) -> Option<String> {
    if plan.options.route_criteria.is_empty() {
        return None;
    }
    let assumed = healthy(plan, measured.map(|measured| measured.per_second));
    let says = Forecast::sentence(&Forecast::of(plan, &assumed));
    Some(format!(
        "{flag}: each route in route_criteria needs traffic of its own, or its canary holds: {says}"
    ))
}

/// Returns a warning that names the steps of a plan that cannot reach a decision within their duration at the measured
/// traffic. `warn_unmeasured` decides if the warning is also given while no traffic has been measured.
pub(super) fn slow_steps(
    flag: &FlagName,
    plan: &CanaryPlan,
    measured: Option<RecentTraffic>,
    warn_unmeasured: bool,
) -> Option<String> {
    let per_second = measured.map(|measured| measured.per_second);
    let assumed = healthy(plan, per_second.or(warn_unmeasured.then_some(0.0)));
    let rate = assumed.error_rate;
    let warning = Forecast::warning(plan, &assumed)?;
    let seen =
        measured.map_or_else(|| "in the last minutes: none".to_owned(), |measured| measured.to_string());
    let hint = if rate > 0.0 { "" } else { "; allow an error rate above 0" };
    Some(format!(
        "{flag}: {warning}; assumed is an error rate of {:.2} %, and measured {seen}{hint}",
        rate * 100.0
    ))
}

/// Explains the rule beside the limits: what follows if the new backend fails more often than legacy
/// although it keeps its success limit. `None` if nothing does.
pub(super) fn stricter_than_limits(
    flag: &FlagName,
    plan: &CanaryPlan,
    measured: Option<RecentTraffic>,
) -> Option<String> {
    if plan.options.relative != RelativePolicy::Rollback {
        return None;
    }
    let limit = plan.success_criteria.max_error_rate;
    // Half of the limit, beside a legacy that hardly fails.
    let assumed = Assumed {
        error_rate: limit / 2.0,
        legacy_error_rate: limit / 20.0,
        requests_per_second: measured.map(|measured| measured.per_second),
        ..Assumed::alike(0.0, 0.0)
    };
    let steps = Forecast::of(plan, &assumed);
    let stricter = steps.iter().any(|step| step.outlook == Outlook::RollsBack);
    stricter.then(|| {
        format!(
            "{flag}: with relative: rollback, a new backend at half of its error limit is rolled back if legacy is at a \
             twentieth of it: {}",
            Forecast::sentence(&steps)
        )
    })
}
