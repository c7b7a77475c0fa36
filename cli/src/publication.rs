//! The part of each change's report that says whether it has reached Workers KV.

use crate::output;
use serde_json::Value;

/// Returns the suffix that says whether a change is published.
pub fn note(response: &Value) -> String {
    if response.get("published").and_then(Value::as_bool).unwrap_or_default() {
        return ", published".to_owned();
    }
    match output::text(response, "unpublished_because") {
        "" => ", not published yet; retried within a minute".to_owned(),
        reason => format!(", not published yet ({reason}); retried within a minute"),
    }
}

/// Returns the revision of a change, and whether it is published.
pub fn revision(response: &Value) -> String {
    format!("revision {}{}", output::field(response, "revision"), note(response))
}
