//! Bodies of requests that save an object: the fields of the server are left out, and merge patches are applied.

use crate::problem::Problem;
use serde_json::{Map, Value};

/// Fields of every response that the server maintains.
const KEPT_BY_THE_SERVER: [&str; 8] = [
    "version",
    "epoch",
    "updated_at",
    "updated_by",
    "revision",
    "published",
    "unpublished_because",
    "unchanged",
];

/// The object that a path names.
#[derive(Debug, Clone, Copy)]
pub(super) struct NamedObject<'n> {
    /// Kind of the object, such as `flag`.
    pub(super) kind: &'static str,
    /// Field of its name in responses.
    pub(super) field: &'static str,
    /// Its name in the path.
    pub(super) name: &'n str,
}

impl NamedObject<'_> {
    /// Returns a body without the fields that the server maintains, `computed` ones among them, and without its name,
    /// so that a response may be sent back.
    ///
    /// # Errors
    ///
    /// Returns the problem `invalid` with the field of the name if the body has the name of another object.
    pub(super) fn without_kept(self, computed: &[&str], mut body: Value) -> Result<Value, Problem> {
        let Self { kind, field, name } = self;
        let Some(fields) = body.as_object_mut() else { return Ok(body) };
        for kept_by_the_server in KEPT_BY_THE_SERVER.iter().chain(computed) {
            fields.remove(*kept_by_the_server);
        }
        match fields.remove(field).filter(|written| written != name) {
            None => Ok(body),
            Some(written) => {
                let detail = format!("the body names the {kind} {written}, the path names {name:?}");
                let hint = format!("leave {field} out of the body, or use the same name in both");
                Err(Problem::invalid(field, detail, hint))
            }
        }
    }
}

/// Applies a merge patch to a value (RFC 7396). A null in place of nothing stays there, so that a name which is no field is
/// refused with null too.
pub(super) fn merge(target: &mut Value, patch: Value) {
    let patch = match patch {
        Value::Object(patch) => patch,
        other => {
            *target = other;
            return;
        }
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(fields) = target.as_object_mut() else { return };
    for (name, value) in patch {
        if value.is_null() && fields.remove(&name).is_some() {
            continue;
        }
        merge(fields.entry(name).or_insert(Value::Null), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_merge_patch_replaces_adds_and_removes_fields() {
        for (target, patch, expected) in [
            (json!({ "a": "b" }), json!({ "a": "c" }), json!({ "a": "c" })),
            (json!({ "a": "b" }), json!({ "b": "c" }), json!({ "a": "b", "b": "c" })),
            (json!({ "a": "b" }), json!({ "a": null }), json!({})),
            (json!({ "a": "b", "b": "c" }), json!({ "a": null }), json!({ "b": "c" })),
            (json!({ "a": ["b"] }), json!({ "a": "c" }), json!({ "a": "c" })),
            (json!({ "a": "c" }), json!({ "a": ["b"] }), json!({ "a": ["b"] })),
            (
                json!({ "a": { "b": "c" } }),
                json!({ "a": { "b": "d", "c": null } }),
                json!({ "a": { "b": "d", "c": null } }),
            ),
            (json!({ "a": 1 }), json!(["c"]), json!(["c"])),
            (json!(["a"]), json!({ "b": 1 }), json!({ "b": 1 })),
            (json!({ "a": 1 }), Value::Null, Value::Null),
            (json!({ "a": 1 }), json!({}), json!({ "a": 1 })),
            (json!({ "a": 1 }), json!({ "b": null }), json!({ "a": 1, "b": null })),
        ] {
            let mut merged = target.clone();
            merge(&mut merged, patch.clone());
            assert_eq!(merged, expected, "{patch} on {target}");
        }
    }

    #[test]
    fn what_the_server_maintains_may_be_sent_back() {
        let object = |field, name| NamedObject { kind: "flag", field, name };
        let shown = json!({ "name": "f", "enabled": true, "version": 3, "revision": 4, "in_force": {} });
        let body = object("name", "f").without_kept(&["in_force"], shown.clone()).unwrap();
        assert_eq!(body, json!({ "enabled": true }));
        let other = object("name", "g").without_kept(&[], shown).unwrap_err();
        assert_eq!((other.code, other.field.as_deref()), ("invalid", Some("name")));
        assert_eq!(object("name", "f").without_kept(&[], json!([1])).unwrap(), json!([1]));
        // The name of an experiment is that of what it is shown as.
        let shown = json!({ "experiment": "e", "name": "Words" });
        let body = object("experiment", "e").without_kept(&[], shown.clone()).unwrap();
        assert_eq!(body, json!({ "name": "Words" }));
        let other = object("experiment", "f").without_kept(&[], shown).unwrap_err();
        assert_eq!(other.field.as_deref(), Some("experiment"));
    }
}
