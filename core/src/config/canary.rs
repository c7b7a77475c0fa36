//! Reads the plan of a canary.

use super::reading::{Cursor, Fields, Value, did_you_mean};
use crate::{
    canary::{
        check_freeze_window,
        plan::{
            AfterStepPolicy, CanaryPlan, Criteria, FreezeWindow, MAX_ROUTE_CRITERIA, OnNoData, Options,
            RelativePolicy, RouteCriteria, ToleratedRisk, Weekday,
        },
    },
    vocabulary::{names::RouteId, share::PartsPerMillion},
};
use std::collections::BTreeMap;

const STEPS_HINT: &str = "write a list such as [1, 5, 25, 100]";
const RISK_HINT: &str = "write a number such as 1.25, or { errors: 1.25, slow: 1.5, client_errors: 1.25 }";
const CRITERIA_HINT: &str = "write { max_error_rate: 0.05, max_response_time_p95: 500 }";

const ROUTES_HINT: &str = "write route_criteria: { reviews.search: { success_criteria, rollback_criteria } }";

/// Reads the plan of a flag with these routes.
pub(super) fn read(cursor: &Cursor<'_>, routes: &[&str]) -> Option<CanaryPlan> {
    let mut fields = cursor.fields("write initial_percentage, promotion_steps and the criteria")?;
    let initial = fields.require("initial_percentage", "write a percentage, such as 1.0", Cursor::percentage);
    let steps =
        fields.required("promotion_steps", STEPS_HINT).map(|cursor| steps(&cursor)).unwrap_or_default();
    let hint = "write how many minutes a step lasts, such as 60";
    let minutes = fields
        .require("step_duration_minutes", hint, |cursor| cursor.number_within((0.01, 43_200.0), "minutes"));
    let [success, rollback] = both_criteria(&mut fields);
    let mut options = options(&mut fields, &steps);
    options.route_criteria =
        fields.present("route_criteria").map(|cursor| route_criteria(&cursor, routes)).unwrap_or_default();
    fields.finish();
    Some(CanaryPlan {
        initial_percentage: initial?,
        promotion_steps: steps,
        step_duration_minutes: minutes?,
        success_criteria: success?,
        rollback_criteria: rollback?,
        options,
    })
}

fn steps(cursor: &Cursor<'_>) -> Vec<PartsPerMillion> {
    let steps: Vec<PartsPerMillion> = cursor.list(STEPS_HINT).iter().filter_map(Cursor::percentage).collect();
    let ascending = steps.iter().zip(steps.iter().skip(1)).all(|(low, high)| low < high);
    if steps.is_empty() || !ascending || steps.first().is_some_and(|first| *first == PartsPerMillion::ZERO) {
        let hint = "write percentages above 0, each larger than the one before, such as [1, 5, 25, 100]";
        cursor.report("the steps do not climb", hint);
    }
    steps
}

/// Reads the success criteria and the rollback criteria of a plan or a route.
fn both_criteria(fields: &mut Fields<'_>) -> [Option<Criteria>; 2] {
    let success = fields.require("success_criteria", CRITERIA_HINT, criteria);
    let rollback_cursor = fields.required("rollback_criteria", CRITERIA_HINT);
    let rollback = rollback_cursor.as_ref().and_then(criteria);
    if let (Some(success), Some(rollback), Some(cursor)) = (&success, &rollback, &rollback_cursor)
        && is_below(rollback, success)
    {
        let hint = "make every rollback limit at least as large as its success limit";
        cursor.report("a canary could be rolled back while it succeeds", hint);
    }
    [success, rollback]
}

/// Reads the criteria of routes. `routes` are those of the flag.
fn route_criteria(cursor: &Cursor<'_>, routes: &[&str]) -> BTreeMap<RouteId, RouteCriteria> {
    let entries = cursor.entries(ROUTES_HINT);
    if entries.len() > MAX_ROUTE_CRITERIA {
        let message = format!("{} routes have criteria of their own", entries.len());
        cursor.report(
            message,
            format!("keep at most {MAX_ROUTE_CRITERIA}; the others share the plan's criteria"),
        );
    }
    let is_own = |route: &&str| entries.iter().any(|entry| entry.key == *route);
    if !routes.is_empty() && routes.iter().all(is_own) {
        let hint = "remove one route, and write its criteria as those of the plan";
        cursor
            .report("every route of the flag has criteria of its own, so none is left for the plan's", hint);
    }
    let mut own = BTreeMap::new();
    for entry in &entries {
        let criteria = own_criteria(&entry.value);
        let Some(route) = entry.parse_key::<RouteId>() else { continue };
        if !routes.contains(&entry.key) {
            let hint = did_you_mean(entry.key, routes.iter().copied(), || {
                "name a route of this flag; the criteria of one that is removed go with it".to_owned()
            });
            entry.key_cursor.report(format!("{route} is not a route of this flag"), hint);
        }
        own.extend(criteria.map(|criteria| (route, criteria)));
    }
    own
}

fn own_criteria(cursor: &Cursor<'_>) -> Option<RouteCriteria> {
    let mut fields = cursor.fields("write success_criteria and rollback_criteria below the route")?;
    let both = both_criteria(&mut fields);
    fields.finish();
    for (name, criteria) in ["success_criteria", "rollback_criteria"].into_iter().zip(&both) {
        if criteria.is_some_and(|criteria| criteria.max_mismatch_rate.is_some()) {
            let hint =
                "remove it here; mismatches are judged by users over the whole flag, by the plan's criteria";
            cursor
                .at_field(name)
                .at_field("max_mismatch_rate")
                .report("a route has no limit for mismatches", hint);
        }
    }
    let [success_criteria, rollback_criteria] = both;
    Some(RouteCriteria { success_criteria: success_criteria?, rollback_criteria: rollback_criteria? })
}

/// Returns true if a rollback limit is below its success limit.
fn is_below(rollback: &Criteria, success: &Criteria) -> bool {
    rollback.max_error_rate < success.max_error_rate
        || rollback.max_response_time_p95 < success.max_response_time_p95
        || rollback
            .max_mismatch_rate
            .zip(success.max_mismatch_rate)
            .is_some_and(|(rollback, success)| rollback < success)
}

/// Reads a share of requests, from 0 to 1.
fn share(cursor: &Cursor<'_>) -> Option<f64> {
    let hint = "write a share from 0 to 1, such as 0.05 for 5 %";
    let number = cursor.number(hint)?;
    if (0.0..=1.0).contains(&number) {
        Some(number)
    } else {
        cursor.refuse(format!("{number} is out of range"), hint)
    }
}

fn criteria(cursor: &Cursor<'_>) -> Option<Criteria> {
    let mut fields = cursor.fields(CRITERIA_HINT)?;
    let hint = "write the share of requests that may fail, such as 0.05";
    let rate = fields.require("max_error_rate", hint, share);
    let p95 = fields.require("max_response_time_p95", "write milliseconds, such as 500", |cursor| {
        cursor.number_within((1.0, 600_000.0), "milliseconds")
    });
    let mismatch = fields.read("max_mismatch_rate", share);
    fields.finish();
    Some(Criteria { max_error_rate: rate?, max_response_time_p95: p95?, max_mismatch_rate: mismatch })
}

fn options(fields: &mut Fields<'_>, steps: &[PartsPerMillion]) -> Options {
    let mut options = Options::default();
    for (name, target, limits, unit) in [
        ("alpha_rollback", &mut options.alpha_rollback, (1e-9, 0.2), "probability"),
        ("alpha_promote", &mut options.alpha_promote, (1e-9, 0.2), "probability"),
        ("false_alarm_days", &mut options.false_alarm_days, (0.1, 36_500.0), "days"),
        ("deadline_minutes", &mut options.deadline_minutes, (0.01, 43_200.0), "minutes"),
        ("bake_minutes", &mut options.bake_minutes, (0.0, 43_200.0), "minutes"),
    ] {
        fields.set(name, target, |cursor| cursor.number_within(limits, unit));
    }
    fields.set("min_users", &mut options.min_users, |cursor| {
        cursor.whole_number_within((0.0, 1_000_000.0), "users").map(u64::from)
    });
    // The name of an earlier version, with one number for all kinds.
    fields.set("max_relative_risk", &mut options.tolerated_risk, tolerated_risk);
    fields.set("tolerated_risk", &mut options.tolerated_risk, tolerated_risk);
    // The detectors have `false_alarm_days` now. Files of an earlier version stay valid.
    let _: Option<f64> = fields.read("alpha_bake", |cursor| cursor.number_within((1e-9, 0.2), "probability"));
    choices(fields, &mut options);
    for cursor in fields.list("approval_before", "write a list of steps such as [50]") {
        let Some(share) = cursor.percentage() else { continue };
        if !steps.contains(&share) {
            cursor
                .report(format!("{share} is not a step"), "name percentages that appear in promotion_steps");
        }
        options.approval_before.push(share);
    }
    let windows = fields.list("freeze_windows", "write a list of { timezone, days, start, end }");
    options.freeze_windows.extend(windows.iter().filter_map(freeze_window));
    options
}

fn choices(fields: &mut Fields<'_>, options: &mut Options) {
    let problem = "is not a possible action";
    let actions = [("pause", OnNoData::Pause), ("rollback", OnNoData::Rollback)];
    fields.set("on_no_data", &mut options.on_no_data, |cursor| {
        cursor.choice(&actions, problem, "write pause or rollback")
    });
    let policies = [
        ("hold", RelativePolicy::Hold),
        ("rollback", RelativePolicy::Rollback),
        ("ignore", RelativePolicy::Ignore),
    ];
    fields.set("relative", &mut options.relative, |cursor| {
        cursor.choice(&policies, problem, "write hold, rollback or ignore")
    });
    let policies = [("rollback", AfterStepPolicy::Rollback), ("hold", AfterStepPolicy::Hold)];
    fields.set("shared_incident_after_step", &mut options.shared_incident_after_step, |cursor| {
        cursor.choice(&policies, problem, "write rollback or hold")
    });
}

/// Reads the tolerated risk: one number, or one for each kind.
fn tolerated_risk(cursor: &Cursor<'_>) -> Option<ToleratedRisk> {
    let risk = |cursor: &Cursor<'_>| cursor.number_within((1.0, 10.0), "times");
    if !matches!(cursor.value(), Value::Map(_)) {
        return risk(cursor).map(ToleratedRisk::all);
    }
    let mut fields = cursor.fields(RISK_HINT)?;
    let mut tolerated = ToleratedRisk::default();
    for (name, target) in [
        ("errors", &mut tolerated.errors),
        ("slow", &mut tolerated.slow),
        ("client_errors", &mut tolerated.client_errors),
    ] {
        fields.set(name, target, risk);
    }
    fields.finish()?;
    Some(tolerated)
}

/// The names of the days, in the order of the week.
pub(super) const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Mon),
    ("tue", Weekday::Tue),
    ("wed", Weekday::Wed),
    ("thu", Weekday::Thu),
    ("fri", Weekday::Fri),
    ("sat", Weekday::Sat),
    ("sun", Weekday::Sun),
];

fn freeze_window(cursor: &Cursor<'_>) -> Option<FreezeWindow> {
    let hint = "write { timezone: Europe/Oslo, days: [fri], start: \"16:00\", end: \"08:00\" }";
    let mut fields = cursor.fields(hint)?;
    let [timezone, start, end] =
        ["timezone", "start", "end"].map(|name| fields.require(name, hint, Cursor::string));
    let names = fields.required("days", hint).map(|cursor| cursor.strings());
    fields.finish();
    let at_days = cursor.at_field("days");
    let mut days = Vec::new();
    for name in names.iter().flatten() {
        match DAYS.iter().find(|(day, _)| day == name) {
            Some((_, day)) => days.push(*day),
            None => {
                let hint = "write mon, tue, wed, thu, fri, sat or sun";
                at_days.report(format!("{name:?} is not a day of the week"), hint);
            }
        }
    }
    if names.is_some_and(|names| names.is_empty()) {
        at_days.report("a freeze window without days never applies", hint);
    }
    let window = FreezeWindow { timezone: timezone?, days, start: start?, end: end? };
    match check_freeze_window(&window) {
        Ok(()) => Some(window),
        Err(message) => cursor.refuse(message, hint),
    }
}
