//! Reads the comparison of the responses of the two backends.

use super::reading::{Cursor, Fields, Value};
use crate::{
    compare::{Comparison, HiddenError, Mirror, Normalise, PlainJson, Rule},
    request::token::is_token,
};

const HINT: &str =
    "write { sample: 1, noise: 10, per_minute: 60, rules: [{ path: timestamp, ignore: true }] }";

pub(super) fn read(cursor: &Cursor<'_>) -> Option<Comparison> {
    let mut fields = cursor.fields(HINT)?;
    let sample_hint = "write the percentage of requests to send to both backends";
    let mut comparison = Comparison::default();
    if let Some(sample) = fields.require("sample", sample_hint, Cursor::percentage) {
        comparison.sample = sample;
    }
    fields.set("noise", &mut comparison.noise, Cursor::percentage);
    for (name, value, limits, unit) in [
        ("per_minute", &mut comparison.per_minute, (0.0, 1_000_000.0), "comparisons"),
        ("concurrency", &mut comparison.concurrency, (1.0, 100.0), "comparisons"),
        ("timeout_ms", &mut comparison.timeout_ms, (1.0, 25_000.0), "milliseconds"),
        ("max_bytes", &mut comparison.max_bytes, (1.0, 4_194_304.0), "bytes"),
        ("max_depth", &mut comparison.max_depth, (1.0, 64.0), "levels"),
    ] {
        fields.set(name, value, |cursor| cursor.whole_number_within(limits, unit));
    }
    comparison.headers = headers(&mut fields);
    comparison.mirror = fields.read("mirror", mirror);
    comparison.rules = rules(&mut fields, &comparison);
    fields.finish()?;
    Some(comparison)
}

/// Reads the rules for differences that are permitted, of a comparison whose headers have been read.
pub(super) fn rules(fields: &mut Fields<'_>, comparison: &Comparison) -> Vec<Rule> {
    let mut rules = Vec::new();
    for cursor in fields.list("rules", "write a list of rules, each with its path") {
        if let Some(rule) = rule(&cursor, comparison) {
            report_repeated(&cursor, &rule, &rules);
            rules.push(rule);
        }
    }
    rules
}

/// Reads the names of the headers that are compared, in lower case.
pub(super) fn headers(fields: &mut Fields<'_>) -> Vec<String> {
    let Some(cursor) = fields.optional("headers") else { return Vec::new() };
    let mut names: Vec<String> = Vec::new();
    for item in cursor.list("write a list such as [link]") {
        let Some(name) = item.loose_string().map(|name| name.to_ascii_lowercase()) else { continue };
        let item = item.at_path_of(&cursor);
        if !is_token(&name) {
            item.report(format!("{name:?} is not the name of a header"), "write names such as link");
        } else if name == "content-type" && !item.is_stored() {
            item.report("content-type is always compared", "remove it");
        } else if names.contains(&name) && !item.is_stored() {
            item.report(format!("{name} is in this list twice"), "remove one of the two");
        }
        names.push(name);
    }
    names
}

/// Reports the options of a rule that an earlier one for the same path has too.
fn report_repeated(cursor: &Cursor<'_>, rule: &Rule, earlier: &[Rule]) {
    if cursor.is_stored() {
        return;
    }
    for earlier in earlier.iter().filter(|earlier| earlier.path == rule.path) {
        let options = [
            ("key_by", rule.key_by.is_some() && earlier.key_by.is_some()),
            ("tolerance", rule.tolerance.is_some() && earlier.tolerance.is_some()),
            ("normalise", rule.normalise.is_some() && earlier.normalise.is_some()),
        ];
        for (option, _) in options.into_iter().filter(|(_, is_repeated)| *is_repeated) {
            let message = format!("a rule above has {option} for {} too, and the first counts", rule.path);
            cursor.at_field(option).report(message, "keep one of the two");
        }
    }
}

/// Methods of requests that change something and may be sent to both backends.
const MIRRORED: [&str; 4] = ["POST", "PUT", "PATCH", "DELETE"];

fn mirror(cursor: &Cursor<'_>) -> Option<Mirror> {
    let hint = "write { methods: [POST], key_header: Idempotency-Key }";
    let mut fields = cursor.fields(hint)?;
    let methods = fields.required("methods", hint).map(|cursor| mirrored(&cursor)).unwrap_or_default();
    let header = fields.require("key_header", hint, key_header);
    fields.finish();
    Some(Mirror { methods, key_header: header? })
}

fn mirrored(cursor: &Cursor<'_>) -> Vec<String> {
    let hint = "write POST, PUT, PATCH or DELETE, in upper case";
    let items = cursor.list(hint);
    if matches!(cursor.value(), Value::List(_)) && items.is_empty() && !cursor.is_stored() {
        cursor.report("no method is mirrored", hint);
    }
    let mut methods = Vec::new();
    for item in items {
        let Some(method) = item.loose_string() else { continue };
        if !MIRRORED.contains(&method.as_str()) && !item.is_stored() {
            let message = format!("{method:?} is not a method that can be mirrored");
            item.at_path_of(cursor).report(message, hint);
        }
        methods.push(method.to_ascii_uppercase());
    }
    methods
}

fn key_header(cursor: &Cursor<'_>) -> Option<String> {
    let name = cursor.string()?;
    if is_token(&name) {
        return Some(name.to_ascii_lowercase());
    }
    if cursor.is_stored() {
        // Stored before names were checked: without a header that a request can have, none is mirrored.
        return None;
    }
    cursor.refuse(format!("{name:?} is not the name of a header"), "write a name such as Idempotency-Key")
}

const NORMALISATIONS: [(&str, Normalise); 4] = [
    ("lowercase", Normalise::Lowercase),
    ("whitespace", Normalise::Whitespace),
    ("date", Normalise::Date),
    ("number", Normalise::Number),
];

/// Reads a rule of a comparison whose headers have been read.
fn rule(cursor: &Cursor<'_>, comparison: &Comparison) -> Option<Rule> {
    let hint = "write { path: \"data[].created_at\", ignore: true }, or unordered, key_by, tolerance, normalise \
                or exact";
    let mut fields = cursor.fields(hint)?;
    let path = fields.require("path", hint, |cursor| rule_path(cursor, comparison));
    let empty = Rule { path: path.clone().unwrap_or_default(), ..Rule::default() };
    let mut rule = empty.clone();
    let are_fit = [
        fields.set("ignore", &mut rule.ignore, Cursor::bool),
        fields.set("unordered", &mut rule.unordered, Cursor::bool),
        fields.set("key_by", &mut rule.key_by, |cursor| key_by(cursor).map(Some)),
        fields.set("tolerance", &mut rule.tolerance, |cursor| {
            cursor.number_within((0.0, 1e12), "the field").map(Some)
        }),
        fields.set("normalise", &mut rule.normalise, |cursor| {
            let hint = "write lowercase, whitespace, date or number";
            cursor.choice(&NORMALISATIONS, "is not a normalisation", hint).map(Some)
        }),
        fields.set("exact", &mut rule.exact, Cursor::bool),
    ];
    fields.finish();
    if rule == empty && !are_fit.contains(&None) {
        return cursor.refuse("this rule does nothing", hint);
    }
    if !cursor.is_stored() {
        report_contradictions(cursor, &rule);
        report_options_without_effect(cursor, &rule);
    }
    path.map(|_| rule)
}

/// Reports the options that contradict `exact`.
fn report_contradictions(cursor: &Cursor<'_>, rule: &Rule) {
    let options = [("tolerance", rule.tolerance.is_some()), ("normalise", rule.normalise.is_some())];
    for (option, _) in options.into_iter().filter(|(_, is_set)| *is_set && rule.exact) {
        let problem = format!("exact contradicts {option}");
        cursor.at_field("exact").report(problem, format!("remove exact or {option}"));
    }
}

/// Reports the options that have no effect on the header of a rule.
fn report_options_without_effect(cursor: &Cursor<'_>, rule: &Rule) {
    let Some(name) = rule.header() else { return };
    let hint =
        "a header takes ignore, and normalise: lowercase, whitespace or date; content-type takes exact too";
    let options = [
        ("unordered", rule.unordered),
        ("key_by", rule.key_by.is_some()),
        ("tolerance", rule.tolerance.is_some()),
        ("normalise", rule.normalise == Some(Normalise::Number)),
        // Only a content type is compared by its meaning.
        ("exact", rule.exact && !name.eq_ignore_ascii_case("content-type")),
    ];
    for (option, _) in options.into_iter().filter(|(_, is_set)| *is_set) {
        cursor.at_field(option).report(format!("{option} has no effect on the header {name}"), hint);
    }
}

/// Reads the path of a rule, and refuses one that can match nothing by its form, or names a header
/// that is not compared.
fn rule_path(cursor: &Cursor<'_>, comparison: &Comparison) -> Option<String> {
    let rule = Rule { path: cursor.string()?, ..Rule::default() };
    let problem = match rule.header() {
        Some(name) => header_problem(name, comparison),
        None => path_problem(&rule.path).map(|(problem, hint)| (problem.to_owned(), hint.to_owned())),
    };
    match problem.filter(|_| !cursor.is_stored()) {
        None => Some(rule.path),
        Some((problem, hint)) => cursor.refuse(format!("{:?} matches nothing: {problem}", rule.path), hint),
    }
}

/// Returns the problem of a rule for a header that is not compared, and its remedy.
fn header_problem(name: &str, comparison: &Comparison) -> Option<(String, String)> {
    if !is_token(name) {
        return Some((format!("{name:?} is not the name of a header"), "write header link".to_owned()));
    }
    if comparison.compared_headers().any(|held| held.eq_ignore_ascii_case(name)) {
        return None;
    }
    Some((format!("the header {name} is not compared"), format!("add {name} to headers, beside the rules")))
}

/// Returns the problem of a path in bodies that can match nothing, and its remedy.
fn path_problem(path: &str) -> Option<(&'static str, &'static str)> {
    if path == "." {
        // Reports write the whole body so.
        return None;
    }
    let mut steps = path.split('.').peekable();
    while let Some(step) = steps.next() {
        let name = step.trim_end_matches("[]");
        if step.is_empty() {
            return Some(("a name between two dots is empty", "write names separated by single dots"));
        }
        if name == "$" {
            return Some(("paths begin inside the body", "remove the $, as in data[].price"));
        }
        if name.contains(['[', ']']) {
            return Some((
                "only [] can follow a name",
                "write [] for any item of a list, as in data[].price",
            ));
        }
        if name.contains('*') && !matches!(name, "*" | "**") {
            return Some(("* stands for a whole name", "write * in place of the name, as in data.*.price"));
        }
        if name == "**" && (step != "**" || steps.peek().is_some()) {
            return Some(("** can only end a path", "write * for one name, or end the path in .**"));
        }
    }
    None
}

fn key_by(cursor: &Cursor<'_>) -> Option<String> {
    let name = cursor.string()?;
    if (name.is_empty() || name.contains(['.', '[', ']', '*'])) && !cursor.is_stored() {
        let problem = format!("{name:?} is not the name of a field");
        return cursor.refuse(problem, "name one field of the items, such as sku");
    }
    Some(name)
}

pub(super) fn hidden(cursor: &Cursor<'_>) -> Option<HiddenError> {
    let hint =
        "write { path: success, equals: false }, or { path: errors } for a field that only errors have";
    let mut fields = cursor.fields(hint)?;
    let path = fields.require("path", hint, hidden_path);
    let equals = fields.optional("equals").map(|cursor| PlainJson(cursor.literal().0));
    fields.finish();
    Some(HiddenError { path: path?, equals })
}

/// Reads the path of a field that reveals an error: names of fields, which lead to no item of a list.
fn hidden_path(cursor: &Cursor<'_>) -> Option<String> {
    let path = cursor.string()?;
    let is_name = |name: &str| !name.is_empty() && !name.contains(['[', ']', '*', '$']);
    if !path.split('.').all(is_name) && !cursor.is_stored() {
        let hint = "write names of fields with a dot between, such as result.ok";
        return cursor.refuse(format!("{path:?} matches nothing"), hint);
    }
    Some(path)
}
