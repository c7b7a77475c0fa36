//! How answers look in a terminal.

use crate::output::{self, cell, pick};
use serde_json::Value;

/// Flags, one a row.
pub fn flags<'v>(flags: impl Iterator<Item = &'v Value>) {
    let rows: Vec<_> = flags
        .map(|flag| {
            pick(flag, &["name", "enabled", "rollout_percentage", "version", "updated_by", "description"])
        })
        .collect();
    output::table(&["FLAG", "ON", "PERCENT", "VERSION", "BY", "DESCRIPTION"], &rows);
}

/// The fields of an object, one a row.
pub fn fields(value: &Value) {
    let rows: Vec<_> = value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| vec![name.clone(), cell(value)])
        .collect();
    output::table(&["FIELD", "VALUE"], &rows);
}

/// How far a migration is.
pub fn status(answer: &Value) {
    let at = |pointer: &str| answer.pointer(pointer).map(cell).unwrap_or_else(|| "-".to_owned());
    let rows: Vec<_> = [
        ("phase", "/migration_progress/phase"),
        ("percent complete", "/migration_progress/completion_percentage"),
        ("active flags", "/migration_progress/active_flags"),
        ("health", "/health/status"),
        ("error rate", "/health/error_rate"),
        ("response time ms", "/health/avg_response_time"),
        ("requests, last 5 min", "/measurement/requests"),
        ("unknown isolates", "/measurement/unknown_isolates"),
        ("revision", "/revision"),
        ("published", "/published_revision"),
        ("emergency", "/emergency/reason"),
    ]
    .into_iter()
    .map(|(name, pointer)| vec![name.to_owned(), at(pointer)])
    .collect();
    output::table(&["MIGRATION", ""], &rows);
}

/// Records of the audit log, one a row.
pub fn audit(answer: &Value) {
    let rows: Vec<_> = answer
        .get("records")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|record| {
            let mut row = pick(record, &["revision", "at", "actor", "action", "reason"]);
            row.insert(
                4,
                shortened(record.get("objects").and_then(Value::as_array).map_or(&[], Vec::as_slice)),
            );
            row
        })
        .collect();
    output::table(&["REVISION", "AT", "BY", "ACTION", "OBJECTS", "REASON"], &rows);
}

/// The first few of many: a configuration file touches more objects than a line holds.
fn shortened(objects: &[Value]) -> String {
    let names: Vec<_> = objects.iter().take(2).map(cell).collect();
    match objects.len().saturating_sub(names.len()) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}
