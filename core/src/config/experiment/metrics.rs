//! Reads the metrics of an experiment, and the rules of its analysis.

use crate::{
    config::{
        experiment::success_metrics,
        matcher::method,
        reading::{Cursor, Fields, Names, Section, Value},
    },
    rules::experiment::{
        analysis::StoppingRules,
        metric::{Direction, MAX_METRICS, Metric, MetricKind, ResponseTrigger, Role, StatusRange, Trigger},
    },
    vocabulary::names::RouteId,
};

const METRICS_HINT: &str = "write metrics: [{ name: orders, role: primary, on: { event: order } }]";
const ON_HINT: &str = "write on: error, or one of { event: NAME }, { response: { route, methods, status } } and { slow: { over_ms } }";
const ANALYSIS_HINT: &str = "write analysis: { min_days: 7, max_days: 60 }, or leave it out";

const KINDS: [(&str, MetricKind); 3] =
    [("conversion", MetricKind::Conversion), ("value", MetricKind::Value), ("ratio", MetricKind::Ratio)];
const ROLES: [(&str, Role); 3] =
    [("primary", Role::Primary), ("guardrail", Role::Guardrail), ("secondary", Role::Secondary)];
const DIRECTIONS: [(&str, Direction); 2] =
    [("increase", Direction::Increase), ("decrease", Direction::Decrease)];

/// Most characters of the name of a metric or an event.
const MAX_NAME: usize = 100;

/// Largest cap, in thousandths: every whole number up to it is exact in JSON.
const MAX_CAP: f64 = 9e15;

/// Longest time limit that a slow response can have, in milliseconds.
const MAX_SLOW_MS: f64 = 120_000.0;

/// Limits of levels, days and seconds.
const LEVELS: (f64, f64) = (0.0001, 0.5);
const DAYS: (f64, f64) = (0.0, 365.0);
const WINDOW_S: (f64, f64) = (1.0, 90.0 * 24.0 * 60.0 * 60.0);
const SETTLE_S: (f64, f64) = (1.0, 24.0 * 60.0 * 60.0);
const TUNED_FOR: (f64, f64) = (10.0, 1e9);

/// Reads the metrics, whose routes must be known, and the names of those in the established form.
pub(super) fn read(fields: &mut Fields<'_>, names: &Names<'_>) -> (Vec<Metric>, Vec<String>) {
    let established = fields.present("success_metrics");
    let success_metrics = established.as_ref().map(success_metrics::names).unwrap_or_default();
    let written = fields.present("metrics");
    let mut metrics: Vec<Metric> = Vec::new();
    for item in written.as_ref().map(|cursor| cursor.list(METRICS_HINT)).unwrap_or_default() {
        let Some(metric) = metric(&item, names) else { continue };
        if metrics.iter().any(|earlier| earlier.name == metric.name) {
            let message = format!("the metric {} is already defined above", metric.name);
            item.report(message, "give each metric a name of its own");
        }
        metrics.push(metric);
    }
    let more = success_metrics.iter().filter(|name| metrics.iter().all(|metric| metric.name != **name));
    let count = metrics.len() + more.count();
    // An earlier version stored any number of names.
    let place = written.or(established).filter(|cursor| count > MAX_METRICS && !cursor.is_stored());
    if let Some(cursor) = place {
        let message = format!("an experiment has at most {MAX_METRICS} metrics, this one has {count}");
        cursor.report(message, "remove some from metrics or from success_metrics");
    }
    (metrics, success_metrics)
}

fn metric(cursor: &Cursor<'_>, names: &Names<'_>) -> Option<Metric> {
    let mut fields = cursor.fields(METRICS_HINT)?;
    let name = fields.require("name", METRICS_HINT, name);
    let on = fields.require("on", ON_HINT, |cursor| trigger(cursor, names));
    let kind = fields.present("kind").and_then(|cursor| {
        cursor.choice(&KINDS, "is not a kind of metric", "write conversion, value or ratio")
    });
    let role = fields
        .present("role")
        .and_then(|cursor| cursor.choice(&ROLES, "is not a role", "write primary, guardrail or secondary"));
    let direction_cursor = fields.present("direction");
    let direction = direction_cursor
        .as_ref()
        .and_then(|cursor| cursor.choice(&DIRECTIONS, "is not a direction", "write increase or decrease"));
    let cap = fields.present("cap").and_then(|cursor| cap(&cursor));
    fields.finish()?;
    let (kind, role) = (kind.unwrap_or_default(), role.unwrap_or_default());
    if kind != MetricKind::Conversion && cap.is_none() {
        let hint = "write the largest value that counts, in thousandths: cap: 500000 for 500";
        cursor.at_field("cap").report("a metric of values needs a cap", hint);
    }
    if kind == MetricKind::Ratio && role != Role::Secondary {
        let hint = "remove role, or write kind: value or kind: conversion";
        cursor.at_field("role").report("a ratio has no exact test, so it can only be secondary", hint);
    }
    let on = on?;
    let direction = direction.unwrap_or_else(|| on.default_direction());
    // An earlier version stored this direction where none was written.
    let is_reversed = role == Role::Guardrail && on.is_always_harm() && direction == Direction::Increase;
    if let Some(cursor) = direction_cursor.filter(|cursor| is_reversed && !cursor.is_stored()) {
        let message = "this guardrail would stop a variant that has fewer errors or slow responses";
        cursor.report(message, "write direction: decrease, or leave it out");
    }
    Some(Metric { name: name?, kind, on, cap, role, direction })
}

/// Reads the name of a metric or an event.
fn name(cursor: &Cursor<'_>) -> Option<String> {
    let name = cursor.string()?;
    let length = name.chars().count();
    if (1..=MAX_NAME).contains(&length) {
        return Some(name);
    }
    cursor.refuse(format!("the name has {length} characters"), format!("write 1 to {MAX_NAME} characters"))
}

fn cap(cursor: &Cursor<'_>) -> Option<u64> {
    let cap = cursor.number_within((1.0, MAX_CAP), "thousandths")?;
    if cap.fract() != 0.0 {
        return cursor.refuse(format!("{cap} is not a whole number"), "write whole thousandths");
    }
    // A whole number inside the limits fits.
    Some(cap as u64)
}

fn trigger(cursor: &Cursor<'_>, names: &Names<'_>) -> Option<Trigger> {
    if let Value::String(_) = cursor.value() {
        return cursor.choice(&[("error", Trigger::Error)], "is nothing that a metric counts", ON_HINT);
    }
    let mut fields = cursor.fields(ON_HINT)?;
    let (event, response) = (fields.present("event"), fields.present("response"));
    let slow = fields.present("slow");
    fields.finish()?;
    match (event, response, slow) {
        (Some(event), None, None) => name(&event).map(Trigger::Event),
        (None, Some(response), None) => of_response(&response, names).map(Trigger::Response),
        (None, None, Some(slow)) => of_slow(&slow),
        _ => cursor.refuse("a metric counts events, responses, slow responses or errors", ON_HINT),
    }
}

fn of_slow(cursor: &Cursor<'_>) -> Option<Trigger> {
    let mut fields = cursor.fields(ON_HINT)?;
    let over_ms = fields
        .require("over_ms", ON_HINT, |cursor| cursor.whole_number_within((1.0, MAX_SLOW_MS), "milliseconds"));
    fields.finish()?;
    Some(Trigger::Slow { over_ms: over_ms? })
}

fn of_response(cursor: &Cursor<'_>, names: &Names<'_>) -> Option<ResponseTrigger> {
    let mut fields = cursor.fields(ON_HINT)?;
    let route = fields.require("route", ON_HINT, |cursor| {
        let route: RouteId = cursor.parse("write the id of a route")?;
        names.must_have(Section::Routes, route.as_str(), cursor);
        Some(route)
    });
    let methods = fields.list("methods", "write a list such as [POST]");
    let methods = methods.iter().filter_map(method).collect();
    let status = fields.present("status").and_then(|cursor| status(&cursor));
    fields.finish()?;
    Some(ResponseTrigger { route: route?, methods, status: status.unwrap_or_default() })
}

fn status(cursor: &Cursor<'_>) -> Option<StatusRange> {
    let hint = "write status: { from: 200, to: 299 }";
    let mut fields = cursor.fields(hint)?;
    let [from, to] =
        ["from", "to"].map(|end| fields.require(end, hint, |cursor| cursor.status_within((100, 599))));
    fields.finish();
    let range = StatusRange { from: from?, to: to? };
    if range.from <= range.to {
        return Some(range);
    }
    cursor.refuse(format!("the range from {} to {} is empty", range.from, range.to), hint)
}

/// Reads the rules by which the experiment ends. Those that are left out are the default ones.
pub(super) fn analysis(fields: &mut Fields<'_>) -> StoppingRules {
    let mut rules = StoppingRules::default();
    let Some(cursor) = fields.present("analysis") else { return rules };
    let Some(mut fields) = cursor.fields(ANALYSIS_HINT) else { return rules };
    let level = |cursor: &Cursor<'_>| cursor.number_within(LEVELS, "probability");
    let days = |cursor: &Cursor<'_>| cursor.whole_number_within(DAYS, "days");
    fields.set("alpha_primary", &mut rules.alpha_primary, level);
    fields.set("alpha_secondary", &mut rules.alpha_secondary, level);
    fields.set("alpha_guardrail", &mut rules.alpha_guardrail, level);
    fields.set("min_days", &mut rules.min_days, days);
    fields.set("max_days", &mut rules.max_days, days);
    fields.set("practical_difference", &mut rules.practical_difference, |cursor| {
        cursor.number_within((0.0, 1.0), "relative difference")
    });
    fields.set("window_s", &mut rules.window_s, |cursor| cursor.whole_number_within(WINDOW_S, "seconds"));
    fields.set("settle_s", &mut rules.settle_s, |cursor| cursor.whole_number_within(SETTLE_S, "seconds"));
    fields.set("tuned_for", &mut rules.tuned_for, |cursor| {
        cursor.whole_number_within(TUNED_FOR, "users").map(u64::from)
    });
    fields.finish();
    if rules.max_days < rules.min_days {
        let message = format!("max_days, {}, is below min_days, {}", rules.max_days, rules.min_days);
        cursor.at_field("max_days").report(message, "make max_days at least min_days");
    }
    rules
}
