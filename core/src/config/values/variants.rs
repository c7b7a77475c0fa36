//! Reads the variants of a flag with values: a list, or a map by their keys.

use crate::{
    config::reading::{Cursor, EntryCursor, Fields, Value},
    values::document::{ValueType, ValueVariant},
    vocabulary::names::VariantKey,
};

const VARIANTS_HINT: &str = "write one entry per variant, such as blue: \"#00f\"";
const VARIANT_HINT: &str = "write { key, value }";

/// Reads the variants in the order of the file. Returns `None` if one of them has a mistake.
pub(super) fn read(fields: &mut Fields<'_>, kind: Option<ValueType>) -> Option<Vec<ValueVariant>> {
    let cursor = fields.required("variants", VARIANTS_HINT)?;
    let written: Vec<Option<ValueVariant>> = match cursor.value() {
        Value::List(_) => cursor.items().iter().map(|item| listed(item, kind)).collect(),
        _ => cursor.entries(VARIANTS_HINT).iter().map(|entry| keyed(entry, kind)).collect(),
    };
    let variants: Vec<ValueVariant> = written.into_iter().collect::<Option<_>>()?;
    if variants.is_empty() {
        return cursor.refuse("a flag has at least one variant", VARIANTS_HINT);
    }
    for (index, variant) in variants.iter().enumerate() {
        if variants.iter().take(index).any(|earlier| earlier.key == variant.key) {
            let message = format!("the variant {} is there twice", variant.key);
            return cursor.refuse(message, "give each variant a key of its own");
        }
    }
    Some(variants)
}

/// Reads a variant of a list, which has its key inside.
fn listed(cursor: &Cursor<'_>, kind: Option<ValueType>) -> Option<ValueVariant> {
    let mut fields = cursor.fields(VARIANT_HINT)?;
    let key: Option<VariantKey> =
        fields.require("key", VARIANT_HINT, |cursor| cursor.parse("write a name, such as blue"));
    let value = fields.required("value", VARIANT_HINT).and_then(|cursor| value(&cursor, kind));
    fields.finish();
    Some(ValueVariant { key: key?, value: value? })
}

fn keyed(entry: &EntryCursor<'_>, kind: Option<ValueType>) -> Option<ValueVariant> {
    let key: Option<VariantKey> = entry.parse_key();
    let value = value(&entry.value, kind);
    Some(ValueVariant { key: key?, value: value? })
}

/// Reads a value, which must have the type of the flag, if that is known.
fn value(cursor: &Cursor<'_>, kind: Option<ValueType>) -> Option<serde_json::Value> {
    let value = cursor.value().to_json();
    let Some(kind) = kind.filter(|kind| !kind.has(&value)) else { return Some(value) };
    let (wanted, hint) = match kind {
        ValueType::Boolean => ("true or false", "write true or false, without quotes"),
        ValueType::String => ("a string", "put the value between quotes"),
        ValueType::Number => ("a number", "write a number, without quotes"),
        ValueType::Object => ("a map", "write fields below the variant"),
    };
    cursor.expected(&format!("{wanted}, because the flag has the type {}", kind.as_str()), hint)
}
