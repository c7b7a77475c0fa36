//! Reads the comparison of the responses of the two backends.

use super::reading::{Cursor, Fields};
use crate::{
    compare::{Comparison, HiddenError, Mirror, Normalise, PlainJson, Rule},
    request::token::is_token,
};

const HINT: &str =
    "write { sample: 1, noise: 10, per_minute: 60, rules: [{ path: timestamp, ignore: true }] }";

pub(super) fn read(cursor: &Cursor<'_>) -> Option<Comparison> {
    let mut fields = cursor.fields(HINT)?;
    let sample_hint = "write the percentage of requests to send to both backends";
    let sample = fields.require("sample", sample_hint, Cursor::percentage)?;
    let mut comparison = Comparison { sample, ..Comparison::default() };
    fields.set("noise", &mut comparison.noise, Cursor::percentage)?;
    for (name, value, limits) in [
        ("per_minute", &mut comparison.per_minute, (0.0, 1_000_000.0)),
        ("concurrency", &mut comparison.concurrency, (1.0, 100.0)),
        ("timeout_ms", &mut comparison.timeout_ms, (1.0, 25_000.0)),
        ("max_bytes", &mut comparison.max_bytes, (1.0, 4_194_304.0)),
        ("max_depth", &mut comparison.max_depth, (1.0, 64.0)),
    ] {
        // The limits fit.
        fields.set(name, value, |cursor| Some(cursor.number_within(limits, "this")? as u32))?;
    }
    comparison.headers = headers(&mut fields);
    comparison.mirror = fields.read("mirror", mirror);
    let rules = fields.list("rules", "write a list of rules, each with its path");
    comparison.rules.extend(rules.iter().filter_map(rule));
    fields.finish()?;
    Some(comparison)
}

fn headers(fields: &mut Fields<'_>) -> Vec<String> {
    let Some(cursor) = fields.optional("headers") else { return Vec::new() };
    let names: Vec<String> = cursor.strings().into_iter().map(|name| name.to_ascii_lowercase()).collect();
    for name in names.iter().filter(|name| !is_token(name)) {
        cursor.report(format!("{name:?} is not the name of a header"), "write names such as link");
    }
    names
}

fn mirror(cursor: &Cursor<'_>) -> Option<Mirror> {
    let hint = "write { methods: [POST], key_header: Idempotency-Key }";
    let mut fields = cursor.fields(hint)?;
    let methods = fields.required("methods", hint).map(|cursor| cursor.strings()).unwrap_or_default();
    let header = fields.require("key_header", hint, Cursor::string);
    fields.finish();
    Some(Mirror { methods, key_header: header?.to_ascii_lowercase() })
}

const NORMALISATIONS: [(&str, Normalise); 4] = [
    ("lowercase", Normalise::Lowercase),
    ("whitespace", Normalise::Whitespace),
    ("date", Normalise::Date),
    ("number", Normalise::Number),
];

fn rule(cursor: &Cursor<'_>) -> Option<Rule> {
    let hint =
        "write { path: \"data[].created_at\", ignore: true }, or unordered, key_by, tolerance or normalise";
    let mut fields = cursor.fields(hint)?;
    let path = fields.require("path", hint, Cursor::string)?;
    let empty = Rule { path, ..Rule::default() };
    let mut rule = empty.clone();
    fields.set("ignore", &mut rule.ignore, Cursor::bool)?;
    fields.set("unordered", &mut rule.unordered, Cursor::bool)?;
    fields.set("key_by", &mut rule.key_by, |cursor| cursor.string().map(Some))?;
    fields.set("tolerance", &mut rule.tolerance, |cursor| {
        cursor.number_within((0.0, 1e12), "the field").map(Some)
    })?;
    fields.set("normalise", &mut rule.normalise, |cursor| {
        let hint = "write lowercase, whitespace, date or number";
        cursor.choice(&NORMALISATIONS, "is not a normalisation", hint).map(Some)
    })?;
    fields.finish();
    if rule == empty {
        return cursor.refuse("this rule does nothing", hint);
    }
    Some(rule)
}

pub(super) fn hidden(cursor: &Cursor<'_>) -> Option<HiddenError> {
    let hint =
        "write { path: success, equals: false }, or { path: errors } for a field that only errors have";
    let mut fields = cursor.fields(hint)?;
    let path = fields.require("path", hint, Cursor::string);
    let equals = fields.optional("equals").map(|cursor| PlainJson(cursor.literal().0));
    fields.finish();
    Some(HiddenError { path: path?, equals })
}
