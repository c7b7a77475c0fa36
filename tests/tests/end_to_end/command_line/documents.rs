//! The documents of commands with `--json`, and the times in them.

use cutover_core::Timestamp;
use serde_json::{Deserializer, Value};

/// Shortest time of RFC 3339: `2026-01-31T12:00:00Z`.
const SHORTEST_TIME: usize = 20;

/// Returns the faults of an output that is to be one JSON document or several, in which every time is in UTC, with no more
/// digits than it needs.
pub fn faults(output: &str) -> Vec<String> {
    let (mut found, mut count) = (Vec::new(), 0);
    for document in Deserializer::from_str(output).into_iter::<Value>() {
        match document {
            Ok(document) => of_times(&document, &mut found),
            Err(error) => found.push(format!("prints no JSON: {error}: {output}")),
        }
        count += 1;
    }
    if count == 0 {
        found.push("prints no document".to_owned());
    }
    found
}

fn of_times(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| of_times(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| of_times(field, found)),
        Value::String(text) if is_time(text) => {
            let is_exact = text.parse::<Timestamp>().is_ok_and(|time| time.to_string() == *text);
            if !is_exact {
                found.push(format!("{text} is not written as times are"));
            }
        }
        _ => {}
    }
}

/// Returns true for a string that begins as times do, and has no words.
fn is_time(text: &str) -> bool {
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':')];
    let has_marks = marks.iter().all(|(index, mark)| text.as_bytes().get(*index) == Some(mark));
    text.len() >= SHORTEST_TIME && has_marks && !text.contains(' ')
}

#[test]
fn every_time_of_a_document_is_found_and_read() {
    for (output, expected) in [
        (r#"{"at":"2026-01-31T12:00:00Z","more":[{"now":"2026-01-31T12:00:00.28Z"}]}"#, 0),
        ("{}\n{}\n", 0),
        ("", 1),
        ("not JSON", 1),
        (r#"{"at":"2026-01-31T12:00:00.280Z"}"#, 1),
        (r#"[{"at":"2026-01-31T12:00:00+01:00"}]"#, 1),
        (r#"{"why":"2026-01-31T12:00 was too late"}"#, 0),
    ] {
        assert_eq!(faults(output).len(), expected, "{output}: {:?}", faults(output));
    }
}
