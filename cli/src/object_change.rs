//! Changes of objects, as lines for people.

use crate::{
    difference,
    output::{self, cell},
};
use cutover_core::config::COMPILED;
use serde_json::{Map, Value};

/// Describes the change of one object: its name with a sign, and below it its fields, also those of a new object. Changes
/// outside the configuration, such as the emergency, have no sign.
///
/// ```text
/// ~ feature_flags/checkout
///     rollout_percentage: 100.0 -> 25.0
/// + origins/new
///     + url: "https://new.example"
/// - routes/checkout.read
/// ```
pub fn describe(change: &Value) -> String {
    let action = output::text(change, "action");
    let sign = match action {
        "create" => "+ ",
        "delete" => "- ",
        "update" => "~ ",
        _ => "",
    };
    let mut text = String::new();
    if let (Some(section), Some(name)) = (change.get("section"), change.get("name")) {
        text.push_str(&format!("{sign}{}/{}\n", cell(section), cell(name)));
    }
    if action == "delete" {
        return text;
    }
    if let Some(enabled) = change.get("enables_through_others") {
        return enabled_through_others(enabled);
    }
    let lines = lines(&without_compiled(change));
    for line in &lines {
        text.push_str(&format!("    {line}\n"));
    }
    if action == "update" && lines.is_empty() {
        text.push_str("    compiled anew from the same source\n");
    }
    text
}

/// Describes the flags with values that a change enables through others, if there are too many to list them all.
///
/// ```text
/// flags that are enabled through others: 862
///     banner
///     button
///     and 860 more, digest 9f86d081884c7d65
/// ```
fn enabled_through_others(enabled: &Value) -> String {
    let count = enabled.get("count").and_then(Value::as_u64).unwrap_or_default();
    let first: Vec<String> = output::list(enabled, "first").map(cell).collect();
    let left = count.saturating_sub(first.len() as u64);
    let digest: String = output::text(enabled, "digest").chars().take(16).collect();
    let names: String = first.iter().map(|name| format!("    {name}\n")).collect();
    format!("flags that are enabled through others: {count}\n{names}    and {left} more, digest {digest}\n")
}

/// Returns the change of a new adapter without its compiled form, which follows from its source.
fn without_compiled(change: &Value) -> Value {
    let mut change = change.clone();
    let whole = change.pointer_mut("/fields/").and_then(|pair| pair.get_mut(1));
    if let Some(fields) = whole.and_then(Value::as_object_mut) {
        fields.remove(COMPILED);
    }
    change
}

/// Describes one change of a record or of a pending change: each field with its value before and after, and fields that
/// have one value.
pub fn lines(change: &Value) -> Vec<String> {
    if let Some(fields) = change.get("fields").and_then(Value::as_object) {
        return difference::lines(fields);
    }
    let (mut pairs, mut lines) = (Map::new(), Vec::new());
    for (name, value) in change.as_object().into_iter().flatten() {
        match value {
            Value::Array(pair) if pair.len() == 2 => {
                pairs.insert(name.clone(), value.clone());
            }
            Value::Null => {}
            _ if ["section", "name"].contains(&name.as_str()) => {}
            _ => lines.push(format!("{name}: {}", cell(value))),
        }
    }
    lines.extend(difference::lines(&pairs));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_object_is_named_with_what_becomes_of_it() {
        let change = |action: &str, fields: Value| {
            describe(&json!({ "action": action, "section": "adapters", "name": "a", "fields": fields }))
        };
        let routes = |location: &str| json!([{ "id": "r", "headers": { "location": location } }]);
        let fields = json!({ "routes": [routes("/a/{id}"), routes("/b/{id}")], "shapes": [null, {}] });
        let lines =
            "~ adapters/a\n    routes[r].headers.location: \"/a/{id}\" -> \"/b/{id}\"\n    + shapes: {}\n";
        assert_eq!(change("update", fields), lines);
        assert_eq!(change("update", json!({})), "~ adapters/a\n    compiled anew from the same source\n");
        let whole = json!({ "routes": [{ "id": "r" }], "shapes": { "s": "n" }, COMPILED: { "x": 1 } });
        assert_eq!(
            change("create", json!({ "": [null, whole] })),
            "+ adapters/a\n    + routes[r].id: \"r\"\n    + shapes.s: \"n\"\n"
        );
        assert_eq!(change("delete", json!({ "": [whole, null] })), "- adapters/a\n");
    }

    #[test]
    fn changes_beside_the_configuration_are_described_too() {
        let run = json!({ "section": "canary_runs", "name": "f", "run": "r2", "state": "running", "step": 0, "salt": null });
        assert_eq!(describe(&run), "canary_runs/f\n    run: r2\n    state: running\n    step: 0\n");
        let behind = json!({ "section": "flags", "name": "f", "enables": { "rules": [] }, "through": "g" });
        let lines = "flags/f\n    enables: {\"rules\":[]}\n    through: g\n";
        assert_eq!(describe(&behind), lines);
        let many = json!({ "count": 814, "first": ["a", "b"], "digest": "0123456789abcdef0123" });
        let lines = "flags that are enabled through others: 814\n    a\n    b\n    \
                     and 812 more, digest 0123456789abcdef\n";
        assert_eq!(describe(&json!({ "section": "flags", "enables_through_others": many })), lines);
        let emergency = json!({ "emergency": [{ "reason": "drill" }, null] });
        assert_eq!(describe(&emergency), "    - emergency.reason: \"drill\"\n");
    }
}
