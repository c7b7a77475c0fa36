//! `cutover experiment status` and `watch`: the judgement of an experiment, once or until it is over.

use super::path::path;
use crate::{
    client::Client,
    clock,
    failure::Failure,
    notice, number,
    output::{self, Format},
    poll::Poll,
};
use clap::Args;
use serde_json::Value;
use std::thread;

/// Arguments of `cutover experiment watch`.
#[derive(Debug, Args)]
pub struct Watch {
    /// Name of the experiment.
    experiment: String,
    /// Seconds between two reads.
    #[arg(long, default_value_t = 10, value_parser = number::whole::<u64>)]
    every: u64,
}

/// Shows the judgement of an experiment.
pub(super) fn status(experiment: &str, client: &Client, format: Format) -> Result<(), Failure> {
    let results = client.get(&path(experiment, "/results"))?;
    output::show(format, &results, || show(&results));
    Ok(())
}

/// Follows an experiment until it is neither running nor paused: a line for each change. Failed reads are repeated.
pub(super) fn watch(options: &Watch, client: &Client, format: Format) -> Result<(), Failure> {
    let mut poll = Poll::new(client, path(&options.experiment, "/results"), options.every);
    let mut last = None;
    loop {
        match poll.read(clock::now())? {
            Some(results) => {
                let line = line(&results);
                if last.as_ref() != Some(&line) {
                    output::show(format, &results, || println!("{line}"));
                }
                if !is_open(&results) {
                    return Ok(());
                }
                if last.replace(line).is_none() {
                    notice::print("Ctrl-C stops watching, not the experiment");
                }
            }
            None if poll.has_just_failed() => notice::print(&poll.outage().unwrap_or_default()),
            None => {}
        }
        thread::sleep(poll.pause());
    }
}

/// Returns true while an experiment may count users.
fn is_open(results: &Value) -> bool {
    ["running", "paused"].contains(&output::text(results, "state"))
}

/// Describes an experiment in a line that changes with its conclusion and its users.
fn line(results: &Value) -> String {
    let users = output::list(results, "variants")
        .map(|variant| format!("{} {}", output::text(variant, "variant"), output::field(variant, "users")));
    let users = users.collect::<Vec<_>>().join(", ");
    let (state, says) = (output::text(results, "state"), conclusion(results));
    if users.is_empty() { format!("{state}: {says}") } else { format!("{state}: {says} ({users})") }
}

/// Returns the conclusion in words: the harm, if a guardrail has fired.
fn conclusion(results: &Value) -> &str {
    match output::text(results, "harm") {
        "" => output::text(results, "says"),
        harm => harm,
    }
}

fn show(results: &Value) {
    let (name, state) = (output::text(results, "experiment"), output::text(results, "state"));
    match output::text(results, "began") {
        "" => println!("{name} is {state}"),
        began => println!("{name} is {state}, phase {} since {began}", output::field(results, "phase")),
    }
    println!("{}", conclusion(results));
    if let Some(lost) = results.get("unknown_isolates").and_then(Value::as_u64).filter(|lost| *lost > 0) {
        println!("isolates that fell silent in the last hour, whose last counts are unknown: {lost}");
    }
    let tables = [
        (vec!["VARIANT", "WEIGHT", "USERS", "FINAL"], rows(results, "variants", variant)),
        (vec!["METRIC", "ROLE", "VARIANT", "WITH EVENT", "RATE"], metrics(results)),
        (vec!["TEST", "VARIANT", "METRIC", "EVIDENCE", "FIRES"], rows(results, "tests", test)),
        (vec!["METRIC", "VARIANT", "RELATIVE EFFECT"], rows(results, "effects", effect)),
    ];
    for (heading, rows) in tables.iter().filter(|(_, rows)| !rows.is_empty()) {
        println!();
        output::table(heading, rows);
    }
}

fn rows(results: &Value, list: &str, row: impl Fn(&Value) -> Vec<String>) -> Vec<Vec<String>> {
    output::list(results, list).map(row).collect()
}

fn variant(variant: &Value) -> Vec<String> {
    output::pick(variant, &["variant", "weight", "users", "matured_users"])
}

/// Returns a row for each metric and variant.
fn metrics(results: &Value) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for metric in output::list(results, "metrics") {
        for variant in output::list(metric, "variants") {
            let mut row = output::pick(metric, &["metric", "role"]);
            row.extend(output::pick(variant, &["variant", "users_with_event"]));
            row.push(percent(variant.get("rate").and_then(Value::as_f64).map(|rate| 100.0 * rate)));
            rows.push(row);
        }
    }
    rows
}

fn test(test: &Value) -> Vec<String> {
    let mut row = output::pick(test, &["kind", "variant", "metric"]);
    row.push(percent(test.get("percent").and_then(Value::as_f64)));
    row.extend(output::pick(test, &["fires"]));
    row
}

fn effect(effect: &Value) -> Vec<String> {
    let mut row = output::pick(effect, &["metric", "variant"]);
    let range = effect.get("relative");
    let end = |name: &str| range.and_then(|range| range.get(name)).and_then(Value::as_f64);
    let range = match (end("low"), end("difference"), end("high")) {
        (Some(low), Some(difference), Some(high)) => {
            let [low, difference, high] =
                [low, difference, high].map(|part| format!("{:+.1}%", 100.0 * part));
            format!("{difference} ({low} to {high})")
        }
        _ => "too few users or events".to_owned(),
    };
    row.push(range);
    row
}

fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}%"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_server;
    use serde_json::json;

    fn results(state: &str) -> Value {
        json!({
            "experiment": "e", "state": state, "phase": 2, "began": "2026-01-31T12:00:00Z", "harm": null,
            "says": "no difference is found so far",
            "variants": [
                { "variant": "control", "weight": 50.0, "users": 30, "matured_users": 4 },
                { "variant": "treatment", "weight": 50.0, "users": 28, "matured_users": 3 },
            ],
            "metrics": [{ "metric": "order", "role": "primary", "variants": [
                { "variant": "control", "users_with_event": 3, "rate": 0.1 },
                { "variant": "treatment", "users_with_event": 0, "rate": null },
            ] }],
            "tests": [{ "kind": "primary", "variant": "treatment", "metric": "order", "percent": 12.34, "fires": false }],
            "effects": [
                { "variant": "treatment", "metric": "order", "relative": null },
                { "variant": "treatment", "metric": "order", "relative": { "low": -0.021, "difference": 0.05, "high": 0.12 } },
            ],
        })
    }

    #[test]
    fn results_are_rows() {
        let shown = results("running");
        assert_eq!(line(&shown), "running: no difference is found so far (control 30, treatment 28)");
        assert_eq!(
            metrics(&shown),
            [["order", "primary", "control", "3", "10.0%"], ["order", "primary", "treatment", "0", "-"],]
        );
        assert_eq!(rows(&shown, "tests", test), [["primary", "treatment", "order", "12.3%", "no"]]);
        assert_eq!(
            rows(&shown, "effects", effect),
            [
                ["order", "treatment", "too few users or events"],
                ["order", "treatment", "+5.0% (-2.1% to +12.0%)"],
            ]
        );
        let mut off = shown.clone();
        off["harm"] = json!("the guardrail fired");
        assert_eq!(conclusion(&off), "the guardrail fired");
    }

    #[test]
    fn the_end_of_an_experiment_ends_the_watch() {
        assert!(is_open(&results("running")) && is_open(&results("paused")));
        let body =
            r#"{ "experiment": "e", "state": "stopped", "says": "nobody has been counted", "variants": [] }"#;
        let (url, paths) = fake_server::answering(200, body);
        let client = Client::new(&url, "token", None).unwrap();
        let options = Watch { experiment: "e".to_owned(), every: 1 };
        watch(&options, &client, Format::Json).unwrap();
        assert_eq!(*paths.lock().unwrap(), ["/api/migration/experiments/e/results"]);
    }
}
