//! One flag with values, or one segment, in a document of its own.

use super::config;
use cutover_core::config::{segment_from_json, value_flag_from_json};
use serde_json::{Value, json};

const CONFIG: &str = "
feature_flags: { checkout: { enabled: true } }
segments: { staff: { include: [ann] } }
flags: { other: { type: boolean, variants: { yes: true, no: false }, default: yes, off: no } }
";

fn body(fields: &Value) -> Value {
    let mut body = json!({
        "type": "string", "variants": { "blue": "B", "green": "G" }, "default": "blue", "off": "blue",
    });
    let more = fields.as_object().cloned().unwrap_or_default();
    body.as_object_mut().unwrap().extend(more);
    body
}

#[test]
fn a_flag_refers_to_what_is_live() {
    let live = config(CONFIG);
    let name = "f".parse().unwrap();
    let read = |fields: Value| value_flag_from_json(&name, &body(&fields), &live);
    let full = json!({
        "rules": [{ "segment": "staff", "variant": "green" }],
        "prerequisites": [{ "flag": "other", "variant": "yes" }, { "flag": "checkout", "variant": "new" }],
    });
    let flag = read(full).unwrap();
    assert_eq!((flag.rules.len(), flag.prerequisites.len(), flag.enabled), (1, 2, false));
    assert_eq!(
        read(json!({ "salt": "f" })).unwrap().salt.as_deref(),
        Some("f"),
        "the flag may have another one"
    );
    for (fields, field, message) in [
        (json!({ "colour": 1 }), "colour", "colour"),
        (json!({ "default": "red" }), "default", "there is no variant \"red\""),
        (
            json!({ "rules": [{ "segment": "stuff", "variant": "green" }] }),
            "rules[0].segment",
            "there is no segment \"stuff\"",
        ),
        (
            json!({ "prerequisites": [{ "flag": "missing", "variant": "yes" }] }),
            "prerequisites[0].flag",
            "there is no flag \"missing\"",
        ),
        (json!({ "variants": { "blue": 1, "green": "G" } }), "variants.blue", "a string"),
    ] {
        let problems = read(fields.clone()).unwrap_err();
        assert_eq!(problems.len(), 1, "{fields}: {problems:?}");
        assert_eq!(problems[0].field, field, "{fields}");
        assert!(problems[0].message.contains(message), "{fields}: {}", problems[0].message);
    }
}

#[test]
fn a_segment_stands_alone() {
    assert_eq!(segment_from_json(&json!({ "include": ["ann"] })).unwrap().include, ["ann"]);
    for (body, field) in [(json!({}), ""), (json!({ "include": ["ann"], "users": [] }), "users")] {
        let problems = segment_from_json(&body).unwrap_err();
        assert_eq!((problems.len(), problems[0].field.as_str()), (1, field), "{body}: {problems:?}");
    }
}
