//! Entity tags of the API's objects, as `If-Match` takes them.

use cutover_core::{Epoch, Revision, Stamp};
use serde_json::Value;

/// Returns the tag of an object whose version is in a field, beside its epoch; `None` if it has no version.
pub fn of(object: &Value, version: &str) -> Option<String> {
    let number = |name: &str| object.get(name).and_then(Value::as_u64);
    let epoch = Epoch(number("epoch").unwrap_or_default());
    let stamp = Stamp { epoch, revision: Revision(number(version)?) };
    Some(format!("\"{stamp}\""))
}

/// Returns the `If-Match` by which a change is made to an object as it was read: its tag, or any if it has none.
pub fn as_read(object: &Value, version: &str) -> String {
    of(object, version).unwrap_or_else(|| "*".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_tag_has_the_epoch_after_a_restore() {
        assert_eq!(of(&json!({ "version": 480 }), "version").as_deref(), Some("\"480\""));
        let restored = json!({ "revision": 480, "epoch": 1_767_225_600 });
        assert_eq!(of(&restored, "revision").as_deref(), Some("\"480e1767225600\""));
        assert_eq!(of(&json!({ "revision": 480 }), "version"), None);
    }
}
