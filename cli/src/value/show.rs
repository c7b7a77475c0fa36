//! `cutover value list` and `get`, and a flag with values after a change.

use super::path::path;
use crate::{
    client::Client,
    condition,
    failure::Failure,
    output::{self, Format},
    publication,
};
use serde_json::{Value, json};

/// Fields of a response that say nothing about the flag.
const HIDDEN: [&str; 3] = ["revision", "published", "unpublished_because"];

/// Lists all flags with values.
pub(super) fn list(client: &Client, format: Format) -> Result<(), Failure> {
    let flags = client.whole("/value-flags", "value_flags")?;
    output::show(format, &flags, || table(output::list(&flags, "value_flags")));
    Ok(())
}

/// Shows every field of a flag.
pub(super) fn get(flag: &str, client: &Client, format: Format) -> Result<(), Failure> {
    let response = client.get(&path(flag, ""))?;
    output::show(format, &response, || output::fields(&in_words(&response)));
    Ok(())
}

/// Shows a flag after a change.
pub(super) fn change(response: &Value, format: Format) {
    output::show_change(format, response, || {
        table(std::iter::once(response));
        if let Some(until) = until(response) {
            println!("{until}");
        }
        let is_unchanged = response.get("unchanged").and_then(Value::as_bool).unwrap_or_default();
        if is_unchanged {
            println!("unchanged; revision {}", output::field(response, "revision"));
        } else {
            println!("done; {}", publication::revision(response));
        }
    });
}

fn table<'f>(flags: impl Iterator<Item = &'f Value>) {
    let rows: Vec<Vec<String>> = flags.map(row).collect();
    output::table(&["FLAG", "TYPE", "ON", "DEFAULT", "VERSION", "STALE", "DESCRIPTION"], &rows);
}

/// Returns the row of a flag, by the state of its schedule if the response has it.
fn row(flag: &Value) -> Vec<String> {
    let state = flag.get("in_force").unwrap_or(flag);
    let mut row = output::pick(flag, &["name", "type"]);
    row.extend(output::pick(state, &["enabled"]));
    row.push(served(state.get("default").unwrap_or(&Value::Null)));
    row.extend(output::pick(flag, &["version"]));
    row.push(stale(flag));
    row.extend(output::pick(flag, &["description"]));
    row
}

/// Tells when the schedule of a flag changes the state that is in force; `None` if no change is ahead.
fn until(flag: &Value) -> Option<String> {
    let until = flag.get("in_force")?.get("until").filter(|until| !until.is_null())?;
    Some(format!("until {}, by its schedule", output::cell(until)))
}

/// Describes the reason for which a flag is stale; a dash for one that is not.
fn stale(flag: &Value) -> String {
    match flag.get("stale").filter(|stale| stale.is_object()) {
        Some(stale) => format!("{} {} d", output::text(stale, "reason"), output::field(stale, "days")),
        None => "-".to_owned(),
    }
}

/// Describes one variant, or several with their weights.
fn served(served: &Value) -> String {
    let weights = served.get("weights").and_then(Value::as_object);
    let share = |(key, share): (&String, &Value)| format!("{key} {}%", share.as_f64().unwrap_or_default());
    match weights {
        Some(weights) => weights.iter().map(share).collect::<Vec<_>>().join(", "),
        None => output::text(served, "variant").to_owned(),
    }
}

/// Returns a flag for people: variants, rules, prerequisites and schedule in words.
fn in_words(flag: &Value) -> Value {
    let mut shown = flag.clone();
    let Some(fields) = shown.as_object_mut() else { return shown };
    fields.retain(|name, value| !(HIDDEN.contains(&name.as_str()) || name == "stale" && value.is_null()));
    let joined = |list: &str, describe: fn(&Value) -> String| -> Value {
        json!(output::list(flag, list).map(describe).collect::<Vec<_>>().join("; "))
    };
    let part = |name: &str| flag.get(name).unwrap_or(&Value::Null);
    let is_scheduled = part("schedule").as_array().is_some_and(|schedule| !schedule.is_empty());
    for (name, words) in [
        ("variants", joined("variants", variant)),
        ("default", json!(served(part("default")))),
        ("rules", joined("rules", rule)),
        ("prerequisites", joined("prerequisites", prerequisite)),
        ("schedule", joined("schedule", scheduled)),
        ("in_force", json!(in_force(part("in_force")))),
        ("stale", json!(stale(flag))),
    ] {
        if let Some(field) = fields.get_mut(name) {
            *field = words;
        }
    }
    if !is_scheduled {
        // It is what the fields say.
        fields.remove("in_force");
    }
    shown
}

fn variant(variant: &Value) -> String {
    let value = variant.get("value").unwrap_or(&Value::Null);
    format!("{} = {value}", output::text(variant, "key"))
}

fn prerequisite(needed: &Value) -> String {
    format!("{} of {}", output::text(needed, "variant"), output::text(needed, "flag"))
}

/// Describes a rule by its segment, conditions and windows, and the variants of users for whom they match.
fn rule(rule: &Value) -> String {
    let segment = rule.get("segment").map(|name| format!("segment {}", output::cell(name)));
    let conditions = output::list(rule, "conditions").map(condition::words);
    let windows: Vec<String> = output::list(rule, "windows").map(window).collect();
    let windows = (!windows.is_empty()).then(|| windows.join(" or "));
    let parts: Vec<String> = segment.into_iter().chain(conditions).chain(windows).collect();
    format!("{}: {}", parts.join(" and "), served(rule))
}

/// Describes a window by its days, all of them if none are named, and its times.
fn window(window: &Value) -> String {
    let days = output::list(window, "days").map(output::cell).collect::<Vec<_>>().join(", ");
    let days = if days.is_empty() { "every day".to_owned() } else { days };
    format!("{days} {} to {} UTC", output::text(window, "from"), output::text(window, "to"))
}

fn scheduled(change: &Value) -> String {
    let set = change.get("set").unwrap_or(&Value::Null);
    let enabled = set.get("enabled").and_then(Value::as_bool);
    let enabled = enabled.map(|enabled| if enabled { "enabled" } else { "disabled" }.to_owned());
    let default = set.get("default").map(|default| format!("default {}", served(default)));
    let words: Vec<String> = enabled.into_iter().chain(default).collect();
    format!("{}: {}", output::field(change, "at"), words.join(", "))
}

fn in_force(state: &Value) -> String {
    let is_on = state.get("enabled").and_then(Value::as_bool).unwrap_or_default();
    let on = if is_on { "enabled" } else { "disabled" };
    let time = |name: &str, word: &str| {
        let time = state.get(name).filter(|time| !time.is_null());
        time.map(|time| format!(", {word} {}", output::cell(time))).unwrap_or_default()
    };
    let default = served(state.get("default").unwrap_or(&Value::Null));
    format!("{on}, default {default}{}{}", time("since", "since"), time("until", "until"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flag() -> Value {
        json!({
            "name": "button", "type": "string", "description": "Colour", "enabled": false,
            "variants": [{ "key": "blue", "value": "#00f" }, { "key": "green", "value": "#0f0" }],
            "default": { "weights": { "blue": 90.0, "green": 10.0 } }, "off": "blue",
            "rules": [
                { "segment": "staff", "variant": "green" },
                { "conditions": [{ "type": "attribute", "name": "country", "op": "in", "values": ["NO"] }],
                  "windows": [{ "days": ["sat", "sun"], "from": "09:00", "to": "17:00" }, { "from": "00:00", "to": "01:00" }],
                  "weights": { "blue": 50.0, "green": 50.0 } },
            ],
            "prerequisites": [{ "flag": "checkout", "variant": "new" }],
            "schedule": [{ "at": "2027-01-31T08:00:00Z", "set": { "enabled": true, "default": { "variant": "green" } } }],
            "permanent": false, "salt": "button",
            "in_force": { "enabled": true, "default": { "variant": "green" }, "since": "2027-01-31T08:00:00Z", "until": null },
            "stale": { "reason": "settled", "variant": "green", "days": 9 }, "version": 7,
        })
    }

    #[test]
    fn a_flag_is_a_row_of_what_is_in_force() {
        assert_eq!(row(&flag()), ["button", "string", "yes", "green", "7", "settled 9 d", "Colour"]);
        let mut changed = flag();
        for computed in ["in_force", "stale"] {
            changed.as_object_mut().unwrap().remove(computed);
        }
        assert_eq!(row(&changed), ["button", "string", "no", "blue 90%, green 10%", "7", "-", "Colour"]);
    }

    #[test]
    fn a_changed_flag_tells_when_its_schedule_changes_it_again() {
        assert_eq!(until(&flag()), None);
        let mut scheduled = flag();
        scheduled["in_force"]["until"] = json!("2027-02-28T08:00:00Z");
        let expected = "until 2027-02-28T08:00:00.000Z, by its schedule";
        assert_eq!(until(&scheduled).as_deref(), Some(expected));
        // An API of the version before tells no state in force.
        scheduled.as_object_mut().unwrap().remove("in_force");
        assert_eq!(until(&scheduled), None);
    }

    #[test]
    fn a_flag_is_shown_in_words() {
        let shown = in_words(&flag());
        for (name, expected) in [
            ("variants", "blue = \"#00f\"; green = \"#0f0\""),
            ("default", "blue 90%, green 10%"),
            (
                "rules",
                "segment staff: green; country in NO and sat, sun 09:00 to 17:00 UTC or every day 00:00 to 01:00 UTC: blue 50%, \
                 green 50%",
            ),
            ("prerequisites", "new of checkout"),
            ("schedule", "2027-01-31T08:00:00.000Z: enabled, default green"),
            ("in_force", "enabled, default green, since 2027-01-31T08:00:00.000Z"),
            ("stale", "settled 9 d"),
        ] {
            assert_eq!(output::field(&shown, name), expected, "{name}");
        }
        let mut plain = flag();
        plain["schedule"] = json!([]);
        plain["stale"] = Value::Null;
        let shown = in_words(&plain);
        assert_eq!((shown.get("in_force"), shown.get("stale")), (None, None));
    }
}
