//! `cutover status`: progress and health of the migration.

use crate::{
    banner,
    client::Client,
    failure::Failure,
    output::{self, Format, cell, field},
};
use serde_json::Value;

/// Number of flags that the table names.
const NAMED_FLAGS: usize = 3;

/// Number of revisions of isolates that the table names.
const NAMED_REVISIONS: usize = 3;

/// Rows of the table, each with the JSON pointer of its value.
const ROWS: [(&str, &str); 11] = [
    ("phase", "/migration_progress/phase"),
    ("percent complete", "/migration_progress/completion_percentage"),
    ("active flags", "/migration_progress/active_flags"),
    ("health", "/health/status"),
    ("error rate", "/measurement/error_rate"),
    ("response time ms", "/measurement/avg_response_time_ms"),
    ("requests, last 5 min", "/measurement/requests"),
    ("unknown isolates, last hour", "/measurement/unknown_isolates"),
    ("revision", "/revision"),
    ("published revision", "/published_revision"),
    ("emergency", "/emergency/reason"),
];

/// Name of the row with the flags that an emergency holds.
const HELD: &str = "held on legacy";

/// Shows the status.
///
/// # Errors
///
/// Fails if the management API refuses the request or cannot be reached.
pub fn run(client: &Client, format: Format) -> Result<(), Failure> {
    let status = client.get("/status")?;
    output::show(format, &status, || {
        let value = |pointer: &str| status.pointer(pointer).map_or_else(|| "-".to_owned(), shown);
        let mut rows = Vec::from(ROWS.map(|(name, pointer)| vec![name.to_owned(), value(pointer)]));
        rows.push(vec!["isolates, last minute".to_owned(), isolates(&status)]);
        rows.extend(held(&status).map(|flags| vec![HELD.to_owned(), flags]));
        output::table(&["MIGRATION", ""], &rows);
        let declared = banner::declarations(status.get("emergency").unwrap_or(&Value::Null));
        if !declared.is_empty() {
            println!();
            output::table(&["EMERGENCY DECLARED", "BY", "FLAGS", "REASON"], &declared);
        }
    });
    Ok(())
}

/// Names the newest revisions that isolates hold, each with the number of its isolates.
fn isolates(status: &Value) -> String {
    let Some(fleet) = status.get("isolates").filter(|fleet| fleet.is_object()) else { return "-".to_owned() };
    let held = output::list(fleet, "revisions").take(NAMED_REVISIONS);
    let held =
        held.map(|count| format!("{} on revision {}", field(count, "isolates"), field(count, "revision")));
    let held: Vec<String> = held.collect();
    match output::list(fleet, "revisions").count().saturating_sub(NAMED_REVISIONS) {
        _ if held.is_empty() => "none reported".to_owned(),
        0 => held.join(", "),
        _ => format!("{}, others on older ones", held.join(", ")),
    }
}

/// Names the flags that the emergency in force holds; after a partial clear these are fewer than were declared. Returns
/// `None` if there is no emergency.
fn held(status: &Value) -> Option<String> {
    status.get("emergency").filter(|emergency| !emergency.is_null())?;
    let names = output::list(status, "held_flags").filter_map(|flag| flag.get("name").cloned());
    Some(shown(&names.collect()))
}

/// Formats a value of the status; a long list by its first names and the number of the others.
fn shown(value: &Value) -> String {
    let names = value.as_array().map(Vec::as_slice).unwrap_or_default();
    if names.len() <= NAMED_FLAGS {
        return cell(value);
    }
    let first: Vec<String> = names.iter().take(NAMED_FLAGS).map(cell).collect();
    format!("{} and {} more", first.join(", "), names.len() - NAMED_FLAGS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_partial_clear_leaves_the_flags_that_are_still_held() {
        let held_flags = json!([{ "name": "a", "returns_to": 5.0 }, { "name": "b", "returns_to": 0.0 }]);
        let declared = json!([{ "by": "ann", "reason": "r", "since": "2001-01-01T00:00:00Z" }]);
        let emergency = json!({ "reason": "r", "flags": ["a", "b"], "declarations": declared });
        let status = json!({ "emergency": emergency, "held_flags": held_flags });
        assert_eq!(held(&status).as_deref(), Some("a, b"), "all were declared");
        assert_eq!(held(&json!({ "emergency": null, "held_flags": [] })), None);
    }

    #[test]
    fn many_active_flags_are_named_in_part() {
        for (value, expected) in [
            (json!(["a", "b", "c"]), "a, b, c"),
            (json!(["a", "b", "c", "d", "e"]), "a, b, c and 2 more"),
            (json!([]), ""),
            (json!(null), "-"),
            (json!(0.02), "0.02"),
            (json!("read_operations"), "read_operations"),
        ] {
            assert_eq!(shown(&value), expected);
        }
    }

    #[test]
    fn isolates_are_shown_by_the_newest_revisions_that_they_hold() {
        let count = |revision: u64, isolates: u64| json!({ "revision": revision, "isolates": isolates });
        let two = vec![count(31, 12), count(30, 2)];
        let many = [two.clone(), vec![count(29, 1), count(28, 5)]].concat();
        for (isolates_field, expected) in [
            (json!({ "reporting": 14, "revisions": two }), "12 on revision 31, 2 on revision 30"),
            (
                json!({ "reporting": 20, "revisions": many }),
                "12 on revision 31, 2 on revision 30, 1 on revision 29, others on older ones",
            ),
            (json!({ "reporting": 0, "revisions": [] }), "none reported"),
            (json!(null), "-"),
        ] {
            assert_eq!(isolates(&json!({ "isolates": isolates_field })), expected);
        }
    }
}
