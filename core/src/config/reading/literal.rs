//! Constants: values of a document that go into the compiled configuration unchanged.

use super::node::Value;
use crate::{adapter::Literal, json::value::Json};

/// Converts a value to a constant.
pub(super) fn literal(value: &Value) -> Literal {
    Literal(json(value))
}

fn json(value: &Value) -> Json<'static> {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Number(number) => Json::Number(number.to_string().into()),
        Value::String(string) => Json::text(string.clone()),
        Value::List(items) => Json::List(items.iter().map(|item| json(&item.value)).collect()),
        Value::Map(entries) => Json::Object(
            entries.iter().map(|entry| (entry.key.clone().into(), json(&entry.node.value))).collect(),
        ),
    }
}

/// Converts a key of a table of values: the keys `true`, `false`, `null` and numbers are those
/// values, all others are strings.
pub(crate) fn scalar_key(key: &str) -> Json<'static> {
    match Json::parse(key) {
        Ok(value @ (Json::Null | Json::Bool(_) | Json::Number(_))) => value.into_owned(),
        _ => Json::text(key.to_owned()),
    }
}
