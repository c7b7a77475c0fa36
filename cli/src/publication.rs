//! The part of each change's report that says whether it has reached Workers KV.

use crate::output;
use serde_json::Value;

/// Time within which a published change is in force: isolates ask for news every 4.8 s.
const IN_FORCE: &str = "; in force within about 6 s";

/// Returns the suffix that says whether a change is published.
pub fn note(response: &Value) -> String {
    if is_published(response) {
        return ", published".to_owned();
    }
    match output::text(response, "unpublished_because") {
        "" => ", not published yet; retried within a minute".to_owned(),
        reason => format!(", not published yet ({reason}); retried within a minute"),
    }
}

/// Returns the revision of a change, and when it is in force.
pub fn revision(response: &Value) -> String {
    let in_force = if is_published(response) { IN_FORCE } else { "" };
    format!("revision {}{}{in_force}", output::field(response, "revision"), note(response))
}

/// Returns the revision of an emergency or of its end, and when it is in force: isolates hear of it in the answers of the
/// control plane, also while Workers KV takes no writes.
pub fn of_emergency(response: &Value) -> String {
    if is_published(response) {
        return revision(response);
    }
    let why = match output::text(response, "unpublished_because") {
        "" => String::new(),
        reason => format!(" ({reason})"),
    };
    format!("revision {}{IN_FORCE}; Workers KV follows{why}", output::field(response, "revision"))
}

fn is_published(response: &Value) -> bool {
    response.get("published").and_then(Value::as_bool).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_a_published_change_says_when_it_is_in_force() {
        let published = json!({ "revision": 7, "published": true });
        assert_eq!(revision(&published), "revision 7, published; in force within about 6 s");
        let waiting = json!({ "revision": 7, "published": false, "unpublished_because": "KV is down" });
        assert_eq!(revision(&waiting), "revision 7, not published yet (KV is down); retried within a minute");
    }

    #[test]
    fn an_emergency_is_in_force_before_workers_kv_has_it() {
        let published = json!({ "revision": 7, "published": true });
        assert_eq!(of_emergency(&published), revision(&published));
        let waiting = json!({ "revision": 7, "published": false, "unpublished_because": "KV is down" });
        let says = "revision 7; in force within about 6 s; Workers KV follows (KV is down)";
        assert_eq!(of_emergency(&waiting), says);
        let bare = json!({ "revision": 7, "published": false });
        assert_eq!(of_emergency(&bare), "revision 7; in force within about 6 s; Workers KV follows");
    }
}
