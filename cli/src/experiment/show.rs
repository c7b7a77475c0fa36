//! `cutover experiment list` and `get`, and an experiment after a change.

use super::path::path;
use crate::{
    client::Client,
    condition,
    failure::Failure,
    output::{self, Format},
    publication,
};
use serde_json::Value;

/// Fields of a response that say nothing about the experiment, or more than a person reads.
const HIDDEN: [&str; 4] = ["slices", "revision", "published", "unpublished_because"];

/// Lists all experiments.
pub(super) fn list(client: &Client, format: Format) -> Result<(), Failure> {
    let experiments = client.whole("/experiments", "experiments")?;
    output::show(format, &experiments, || table(output::list(&experiments, "experiments")));
    Ok(())
}

/// Shows every field of an experiment that a person reads.
pub(super) fn get(experiment: &str, client: &Client, format: Format) -> Result<(), Failure> {
    let response = client.get(&path(experiment, ""))?;
    output::show(format, &response, || output::fields(&in_words(&response)));
    Ok(())
}

/// Shows an experiment after a change.
pub(super) fn change(response: &Value, format: Format) {
    output::show_change(format, response, || {
        table(std::iter::once(response));
        println!("done; {}", publication::revision(response));
    });
}

fn table<'e>(experiments: impl Iterator<Item = &'e Value>) {
    let rows: Vec<Vec<String>> = experiments.map(row).collect();
    output::table(&["EXPERIMENT", "STATE", "TRAFFIC", "FLAG", "VARIANTS"], &rows);
}

fn row(experiment: &Value) -> Vec<String> {
    let mut row = output::pick(experiment, &["experiment", "state", "traffic_percentage", "flag"]);
    row.push(joined(experiment, weight));
    row
}

/// Describes the variants of an experiment, one after the other.
fn joined(experiment: &Value, describe: impl Fn(&Value) -> String) -> String {
    output::list(experiment, "variants").map(describe).collect::<Vec<_>>().join(", ")
}

/// Describes a variant by its key and its weight.
fn weight(variant: &Value) -> String {
    let weight = variant.get("traffic_percentage").and_then(Value::as_f64).unwrap_or_default();
    format!("{} {weight}%", output::text(variant, "key"))
}

/// Describes a variant by its key, its weight, and the backend that serves its users.
fn weight_and_arm(variant: &Value) -> String {
    match output::text(variant, "arm") {
        "" => weight(variant),
        arm => format!("{} on {arm}", weight(variant)),
    }
}

/// Returns an experiment for people: its conditions, variants, layer and outcome in words.
fn in_words(experiment: &Value) -> Value {
    let mut shown = experiment.clone();
    let Some(fields) = shown.as_object_mut() else { return shown };
    fields.retain(|name, _| !HIDDEN.contains(&name.as_str()));
    let mut say = |name: &str, words: String| {
        if let Some(field) = fields.get_mut(name).filter(|field| !field.is_null()) {
            *field = Value::String(words);
        }
    };
    let conditions: Vec<String> = output::list(experiment, "conditions").map(condition::words).collect();
    say("conditions", conditions.join(" and "));
    say("variants", joined(experiment, weight_and_arm));
    let part = |object: &str, name: &str| {
        experiment.get(object).map(|object| output::field(object, name)).unwrap_or_default()
    };
    say(
        "layer",
        format!("{} from {} to {}", part("layer", "name"), part("layer", "from"), part("layer", "to")),
    );
    let words = [part("outcome", "decision"), winner(&part("outcome", "winner"))];
    say("outcome", words.into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join("; "));
    shown
}

fn winner(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!("{key} won") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn experiment() -> Value {
        json!({
            "experiment": "checkout", "name": "Checkout", "state": "stopped", "phase": 2, "flag": "checkout",
            "traffic_percentage": 50.0, "layer": { "name": "l", "from": 0.0, "to": 25.0 }, "holdout": null,
            "conditions": [{ "type": "attribute", "name": "country", "op": "in", "values": ["NO"] }],
            "variants": [
                { "key": "control", "name": "C", "traffic_percentage": 60.0, "arm": "legacy" },
                { "key": "treatment", "name": "T", "traffic_percentage": 40.0 },
            ],
            "slices": [{ "from": 0.0, "to": 60.0, "variant": "control" }],
            "outcome": { "decision": "ship it", "winner": "treatment" }, "version": 9,
        })
    }

    #[test]
    fn an_experiment_is_a_row() {
        let expected = ["checkout", "stopped", "50.0", "checkout", "control 60%, treatment 40%"];
        assert_eq!(row(&experiment()), expected);
    }

    #[test]
    fn an_experiment_is_shown_in_words() {
        let shown = in_words(&experiment());
        for (name, expected) in [
            ("conditions", "country in NO"),
            ("layer", "l from 0.0 to 25.0"),
            ("variants", "control 60% on legacy, treatment 40%"),
            ("outcome", "ship it; treatment won"),
            ("holdout", "-"),
        ] {
            assert_eq!(output::field(&shown, name), expected, "{name}");
        }
        assert_eq!(shown.get("slices"), None);
        let mut open = experiment();
        open["outcome"] = Value::Null;
        assert_eq!(in_words(&open)["outcome"], Value::Null);
    }
}
