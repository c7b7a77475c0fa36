//! The types of variables: their names, and the values that have them.

use crate::{adapter::Kind, config::reading::Cursor, json::value::Json};

/// Returns the remedy for a value that is not of the kind.
pub(super) fn value_hint(kind: &Kind, written: &str) -> String {
    match kind {
        Kind::Enum(names) => format!("write one of {}", names.join(", ")),
        _ => format!("write a value of the type {written}"),
    }
}

/// Returns true if the value is of the kind.
pub(super) fn is_of_kind(kind: &Kind, value: &Json<'_>) -> bool {
    match (kind, value) {
        (Kind::Int, Json::Number(digits)) => digits.parse::<i32>().is_ok(),
        (Kind::Float, Json::Number(_)) | (Kind::Text, Json::Text(_)) | (Kind::Boolean, Json::Bool(_)) => true,
        (Kind::Id, Json::Text(_) | Json::Number(_)) | (Kind::Any, _) => true,
        (Kind::Enum(names), Json::Text(text)) => names.iter().any(|name| name == text),
        (Kind::List(kind), Json::List(items)) => items.iter().all(|item| is_of_kind(kind, item)),
        (Kind::Object(fields), Json::Object(given)) => {
            let known = |name: &str| fields.iter().find(|field| field.name == name);
            given.iter().all(|(name, value)| known(name).is_some_and(|field| is_of_kind(&field.kind, value)))
                && fields.iter().filter(|field| field.required).all(|field| value.get(&field.name).is_some())
        }
        _ => false,
    }
}

/// Returns the word for a kind, for messages.
pub(super) fn kind_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Int => "Int",
        Kind::Float => "Float",
        Kind::Text => "String",
        Kind::Id => "ID",
        Kind::Boolean => "Boolean",
        Kind::Enum(_) => "the enum",
        Kind::Any => "the scalar",
        Kind::List(_) | Kind::Each(_) => "the list",
        Kind::Object(_) => "the input object",
    }
}

/// Reads the name of a type, as files write it.
pub(super) fn kind(cursor: &Cursor<'_>) -> Option<Kind> {
    let kinds = [
        ("int", Kind::Int),
        ("float", Kind::Float),
        ("string", Kind::Text),
        ("id", Kind::Id),
        ("boolean", Kind::Boolean),
        ("list", Kind::List(Box::new(Kind::Text))),
    ];
    cursor.choice(&kinds, "is not a type", "write int, float, string, id, boolean or list")
}
