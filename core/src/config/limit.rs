//! Reads policies of rate limits, and the ones that routes name.

use super::reading::{Cursor, Fields, Names, Section, Value};
use crate::{
    limit::{
        KeyPart, LimitMode, LimitPolicy, LimitScope, MAX_PERIOD_SECONDS, MAX_POLICIES, MAX_REQUESTS,
        MAX_REQUESTS_PER_SECOND, OnLimiterFailure,
    },
    vocabulary::names::LimitName,
};

const HINT: &str = "write { key: user, requests: 100, period_seconds: 60 }";
const KEY_HINT: &str =
    "write user, ip, header:NAME or claim:NAME, or a list of them, such as [user, \"header:x-api-key\"]";
const BINDING_HINT: &str = "write the name of the Worker's rate limit binding, which begins with LIMIT_ and has capitals, digits and underscores";

/// Parts of a key that nobody needs more of.
const MAX_PARTS: usize = 4;

/// Longest refill of a burst, in seconds, so that clocks in microseconds stay exact.
const MAX_REFILL_SECONDS: f64 = 31_536_000.0;

/// Periods that the platform's binding counts in, in seconds.
const LOCATION_PERIODS: [u32; 2] = [10, 60];

/// Reads a policy.
pub(super) fn read(cursor: &Cursor<'_>) -> Option<LimitPolicy> {
    let mut fields = cursor.fields(HINT)?;
    let key = fields.require("key", KEY_HINT, key);
    let requests = fields.require("requests", "write the number of requests of a period", |cursor| {
        cursor.whole_number_within((1.0, f64::from(MAX_REQUESTS)), "requests")
    });
    let period_seconds = fields.require("period_seconds", "write the length of a period", |cursor| {
        cursor.whole_number_within((1.0, f64::from(MAX_PERIOD_SECONDS)), "seconds")
    });
    let burst =
        fields.read("burst", |cursor| cursor.whole_number_within((1.0, f64::from(MAX_REQUESTS)), "requests"));
    let scope = fields.read("scope", |cursor| {
        let choices = [("global", LimitScope::Global), ("location", LimitScope::Location)];
        cursor.choice(&choices, "is not a scope of a limit", "write global or location")
    });
    let mode = fields.read("mode", |cursor| {
        let choices = [("lease", LimitMode::Lease), ("exact", LimitMode::Exact)];
        cursor.choice(&choices, "is not a mode of a limit", "write lease or exact")
    });
    let on_failure = fields.read("on_failure", |cursor| {
        let choices = [("open", OnLimiterFailure::Open), ("closed", OnLimiterFailure::Closed)];
        let hint = "write open, with which each isolate limits by itself, or closed, which refuses";
        cursor.choice(&choices, "is not a treatment of failures", hint)
    });
    let binding = fields.read("binding", binding);
    fields.finish()?;
    let policy = LimitPolicy {
        key: key?,
        requests: requests?,
        period_seconds: period_seconds?,
        burst,
        scope: scope.unwrap_or_default(),
        mode: mode.unwrap_or_default(),
        on_failure: on_failure.unwrap_or_default(),
        binding,
    };
    agrees(cursor, &policy).then_some(policy)
}

fn key(cursor: &Cursor<'_>) -> Option<Vec<KeyPart>> {
    let items = match cursor.value() {
        Value::List(_) => cursor.items(),
        _ => vec![cursor.clone()],
    };
    if items.is_empty() || items.len() > MAX_PARTS {
        let message = format!("a key has one to {MAX_PARTS} parts, this one has {}", items.len());
        return cursor.refuse(message, KEY_HINT);
    }
    let mut parts: Vec<KeyPart> = Vec::new();
    for item in &items {
        let part = item.parse(KEY_HINT)?;
        if parts.contains(&part) {
            return item.refuse(format!("{part} is already a part of this key"), "remove one of the two");
        }
        parts.push(part);
    }
    Some(parts)
}

/// Reads the name of a binding. Others are the Worker's own, which a policy must not be able to call.
fn binding(cursor: &Cursor<'_>) -> Option<String> {
    let name = cursor.string()?;
    let is_name = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    match name.strip_prefix("LIMIT_") {
        Some(rest) if !rest.is_empty() && rest.bytes().all(is_name) => Some(name),
        _ => cursor.refuse("this is not the name of a binding for limits", BINDING_HINT),
    }
}

/// Reports fields that contradict each other. Returns false if there are any.
fn agrees(cursor: &Cursor<'_>, policy: &LimitPolicy) -> bool {
    let LimitPolicy { requests, period_seconds, .. } = *policy;
    let refuse = |field: &str, message: String, hint: &str| {
        cursor.field(field).unwrap_or_else(|| cursor.at_field(field)).report(message, hint);
        false
    };
    if requests > period_seconds.saturating_mul(MAX_REQUESTS_PER_SECOND) {
        let message = format!("{requests} requests in {period_seconds} s are too many for one key");
        let hint = format!("write at most {MAX_REQUESTS_PER_SECOND} requests in a second");
        return refuse("requests", message, &hint);
    }
    let refill =
        f64::from(policy.burst.unwrap_or(requests)) / f64::from(requests) * f64::from(period_seconds);
    if refill > MAX_REFILL_SECONDS {
        let message = "the burst takes more than a year to become whole again".to_owned();
        return refuse("burst", message, "write a smaller burst");
    }
    if policy.scope == LimitScope::Global {
        return policy.binding.is_none() || {
            let message = "a binding counts in one location only".to_owned();
            refuse("binding", message, "remove it, or write scope: location")
        };
    }
    if policy.binding.is_none() {
        let message = "binding is missing: the platform counts limits of a location".to_owned();
        return refuse("binding", message, BINDING_HINT);
    }
    if !LOCATION_PERIODS.contains(&period_seconds) {
        let message = format!("the platform does not count in periods of {period_seconds} s");
        return refuse("period_seconds", message, "write 10 or 60, as in the binding");
    }
    if policy.burst.is_some() || policy.mode != LimitMode::default() {
        let field = if policy.burst.is_some() { "burst" } else { "mode" };
        let message = format!("a limit of scope location has no {field}: the platform counts");
        return refuse(field, message, "remove it, or write scope: global");
    }
    true
}

/// Reads the policies that a route names.
pub(super) fn of_route(fields: &mut Fields<'_>, names: &Names<'_>) -> Vec<LimitName> {
    let hint = "write a list of limits, such as [per_user]";
    let items = fields.list("limit", hint);
    if let Some(first) = items.get(MAX_POLICIES) {
        let message = format!("{} limits are too many for one route", items.len());
        first.report(message, format!("write at most {MAX_POLICIES}"));
    }
    let mut limits: Vec<LimitName> = Vec::new();
    for item in items {
        let Some(name) = item.parse::<LimitName>(hint) else { continue };
        names.must_have(Section::Limits, name.as_str(), &item);
        if limits.contains(&name) {
            item.report(format!("the limit {name} is already in this list"), "remove one of the two");
        }
        limits.push(name);
    }
    limits
}
