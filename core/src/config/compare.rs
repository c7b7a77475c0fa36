//! Reads how answers are compared.

use super::{
    adapter::literal,
    node::Node,
    reader::{Reader, join},
};
use crate::{
    compare::{Comparison, HiddenError, Mirror, Normalise, Plain, Rule},
    identity::is_token,
};

const HINT: &str =
    "write { sample: 1, noise: 10, per_minute: 60, rules: [{ path: timestamp, ignore: true }] }";

pub(super) fn read(reader: &mut Reader, node: &Node, path: &str) -> Option<Comparison> {
    let before = reader.count();
    let mut fields = reader.fields(node, path, HINT)?;
    let mut made = Comparison::default();
    let at = |name: &str| join(path, name);
    let sample =
        fields.required(reader, "sample", "write the percentage of requests that both backends are asked");
    made.sample = reader.percentage(sample?, &at("sample"))?;
    if let Some(node) = fields.optional("noise") {
        made.noise = reader.percentage(node, &at("noise"))?;
    }
    for (name, value, limits) in [
        ("per_minute", &mut made.per_minute, (0.0, 1_000_000.0)),
        ("concurrency", &mut made.concurrency, (1.0, 100.0)),
        ("timeout_ms", &mut made.timeout_ms, (1.0, 25_000.0)),
        ("max_bytes", &mut made.max_bytes, (1.0, 4_194_304.0)),
        ("max_depth", &mut made.max_depth, (1.0, 64.0)),
    ] {
        if let Some(node) = fields.optional(name) {
            // Inside the limits, which fit.
            *value = reader.number_within(node, &at(name), limits, "this")? as u32;
        }
    }
    let names = fields.optional("headers");
    made.headers =
        reader.texts(names, &at("headers")).into_iter().map(|name| name.to_ascii_lowercase()).collect();
    if let Some(node) = names {
        for name in made.headers.iter().filter(|name| !is_token(name)) {
            reader.report(node, &at("headers"), format!("{name:?} is no header"), "write names such as link");
        }
    }
    made.mirror = fields.optional("mirror").and_then(|node| mirror(reader, node, &at("mirror")));
    let rules =
        reader.list(fields.optional("rules"), &at("rules"), "write a list of rules, each with its path");
    for (index, node) in rules.iter().enumerate() {
        made.rules.extend(rule(reader, node, &format!("{}[{index}]", at("rules"))));
    }
    fields.finish(reader);
    (reader.count() == before).then_some(made)
}

fn mirror(reader: &mut Reader, node: &Node, path: &str) -> Option<Mirror> {
    let hint = "write { methods: [POST], key_header: Idempotency-Key }";
    let mut fields = reader.fields(node, path, hint)?;
    let methods = fields.required(reader, "methods", hint);
    let methods = reader.texts(methods, &join(path, "methods"));
    let header = fields.required(reader, "key_header", hint);
    let header = header.and_then(|node| reader.text(node, &join(path, "key_header")));
    fields.finish(reader);
    Some(Mirror { methods, key_header: header?.to_ascii_lowercase() })
}

fn rule(reader: &mut Reader, node: &Node, path: &str) -> Option<Rule> {
    let hint =
        "write { path: \"data[].created_at\", ignore: true }, or unordered, key_by, tolerance or normalise";
    let mut fields = reader.fields(node, path, hint)?;
    let mut made = Rule::default();
    let at = |name: &str| join(path, name);
    let place = fields.required(reader, "path", hint);
    made.path = reader.text(place?, &at("path"))?;
    if let Some(node) = fields.optional("ignore") {
        made.ignore = reader.truth(node, &at("ignore"))?;
    }
    if let Some(node) = fields.optional("unordered") {
        made.unordered = reader.truth(node, &at("unordered"))?;
    }
    if let Some(node) = fields.optional("key_by") {
        made.key_by = Some(reader.text(node, &at("key_by"))?);
    }
    if let Some(node) = fields.optional("tolerance") {
        made.tolerance = Some(reader.number_within(node, &at("tolerance"), (0.0, 1e12), "the field")?);
    }
    if let Some(node) = fields.optional("normalise") {
        let hint = "write lowercase, whitespace, date or number";
        made.normalise = match reader.text(node, &at("normalise"))?.as_str() {
            "lowercase" => Some(Normalise::Lowercase),
            "whitespace" => Some(Normalise::Whitespace),
            "date" => Some(Normalise::Date),
            "number" => Some(Normalise::Number),
            other => {
                reader.report(node, &at("normalise"), format!("{other:?} is no way to write values"), hint);
                None
            }
        };
    }
    fields.finish(reader);
    if made == (Rule { path: made.path.clone(), ..Rule::default() }) {
        reader.report(node, path, "this rule does nothing", hint);
        return None;
    }
    Some(made)
}

pub(super) fn hidden(reader: &mut Reader, node: &Node, path: &str) -> Option<HiddenError> {
    let hint = "write { path: success, equals: false }, or { path: errors } for a field that is only there in errors";
    let mut fields = reader.fields(node, path, hint)?;
    let place = fields.required(reader, "path", hint);
    let place = place.and_then(|node| reader.text(node, &join(path, "path")));
    let equals = fields.optional("equals").map(|node| Plain(literal(node).0));
    fields.finish(reader);
    Some(HiddenError { path: place?, equals })
}
