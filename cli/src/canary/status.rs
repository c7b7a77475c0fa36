//! `cutover canary status`: step, evidence and next move of a canary.

use crate::{
    client::Client,
    failure::Failure,
    output::{self, Format, cell},
};
use serde_json::Value;
use std::fmt::Write;

/// Shows the canary at a path of the management API.
///
/// # Errors
///
/// Fails if the management API refuses the request or cannot be reached.
pub(super) fn run(client: &Client, path: &str, format: Format) -> Result<(), Failure> {
    let status = client.get(path)?;
    output::show(format, &status, || print!("{}", describe(&status)));
    Ok(())
}

/// Formats the status of a canary for people.
pub(super) fn describe(status: &Value) -> String {
    let mut text = String::new();
    let value = |pointer: &str| status.pointer(pointer).map_or_else(|| "-".to_owned(), cell);
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{}  run {}  {}", value("/flag"), value("/run"), value("/state"));
    let _ = writeln!(text, "  {}", ladder(status));
    let _ = writeln!(text, "  {}", value("/reason"));
    if let Some(breach) = status.get("breach").filter(|breach| !breach.is_null()) {
        // One sentence with the counts; the reason repeats it unless an operator gave another one.
        let message = output::field(breach, "sentence");
        if message != value("/reason") {
            let _ = writeln!(text, "  {message}");
        }
    }
    if let Some(worse) = status.pointer("/evidence/worse").filter(|worse| !worse.is_null()) {
        let _ = writeln!(text, "  worse than legacy: {}", cell(worse));
    }
    if let Some(next) = status.get("next").filter(|next| !next.is_null()) {
        let _ = writeln!(text, "  {}", next_move(next));
    }
    if status.get("evidence").is_some() {
        text.push('\n');
        text.push_str(&arms(status));
        text.push_str(&routes(status));
        text.push_str(&users(status));
        text.push('\n');
        text.push_str(&tests(status));
    }
    let unknown = status["unknown_isolates"].as_u64().unwrap_or_default();
    if unknown > 0 {
        let _ = writeln!(
            text,
            "\n  {unknown} isolates fell silent in the last hour; their last counts are unknown"
        );
    }
    text
}

/// Formats the steps, with the current one in brackets.
fn ladder(status: &Value) -> String {
    let step = status.get("step").and_then(Value::as_u64);
    let bracketed = |name: String, is_current| if is_current { format!("[{name}]") } else { name };
    let mut rungs: Vec<String> = output::list(status, "steps")
        .zip(0_u64..)
        .map(|(share, index)| bracketed(format!("{}%", cell(share)), step == Some(index)))
        .collect();
    let bake = u64::try_from(rungs.len()).ok();
    rungs.push(bracketed("bake".to_owned(), step == bake));
    rungs.join(" > ")
}

/// Formats the next decision: the reason for waiting, or the move and its reason.
fn next_move(next: &Value) -> String {
    let (action, message) = (output::field(next, "action"), output::field(next, "message"));
    let mut text =
        if action == "hold" { format!("waiting: {message}") } else { format!("next: {action} ({message})") };
    for (name, field) in [("not before", "not_before"), ("since", "waiting_since")] {
        if next.get(field).is_some_and(|time| !time.is_null()) {
            text.push_str(&format!("; {name} {}", output::field(next, field)));
        }
    }
    text
}

fn arms(status: &Value) -> String {
    let rows: Vec<Vec<String>> = ["new", "legacy"]
        .iter()
        .map(|arm| {
            let field = |name: &str| status.pointer(&format!("/evidence/{arm}/{name}"));
            let value = |name: &str| field(name).map_or_else(|| "-".to_owned(), cell);
            let rate = field("error_rate").and_then(Value::as_f64);
            let rate = rate.map_or_else(|| "unknown".to_owned(), |rate| format!("{:.2} %", rate * 100.0));
            vec![
                format!("  {arm}"),
                value("requests"),
                value("errors"),
                rate,
                value("p50_ms"),
                value("p95_ms"),
            ]
        })
        .collect();
    output::format_table(&["  BACKEND", "REQUESTS", "ERRORS", "RATE", "P50 MS", "P95 MS"], &rows)
}

/// Formats the counts of the routes with criteria of their own; empty if there are none.
fn routes(status: &Value) -> String {
    let routes = status.pointer("/evidence/routes").and_then(Value::as_object).into_iter().flatten();
    let rows: Vec<Vec<String>> = routes
        .flat_map(|(route, counts)| {
            ["new", "legacy"].map(|arm| {
                let count = |name: &str| {
                    counts.pointer(&format!("/{arm}/{name}")).map_or_else(|| "-".to_owned(), cell)
                };
                vec![
                    format!("  {route}"),
                    arm.to_owned(),
                    count("requests"),
                    count("errors"),
                    count("slow_success"),
                    count("slow_rollback"),
                ]
            })
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    output::format_table(&["  ROUTE", "BACKEND", "REQUESTS", "ERRORS", "SLOW", "SLOW (ROLLBACK)"], &rows)
}

/// Formats the distinct users of both arms, and those with an event of each kind.
fn users(status: &Value) -> String {
    let rows: Vec<Vec<String>> = ["new", "legacy"]
        .iter()
        .map(|arm| {
            let kinds = ["seen", "errors", "slow", "unauthorized", "not_found", "client_errors"];
            let count = |kind: &&str| {
                status.pointer(&format!("/evidence/users/{kind}/{arm}")).map_or_else(|| "-".to_owned(), cell)
            };
            std::iter::once(format!("  {arm}")).chain(kinds.iter().map(count)).collect()
        })
        .collect();
    let heading = ["  USERS", "SEEN", "WITH ERRORS", "SLOW", "401/403", "404/405/410", "OTHER 4XX"];
    output::format_table(&heading, &rows)
}

/// Progress in percent below which a test is left out, unless it is needed to advance.
const NOTEWORTHY: f64 = 0.5;

fn tests(status: &Value) -> String {
    let tests = status.pointer("/evidence/tests").and_then(Value::as_array).into_iter().flatten();
    let is_shown = |test: &&Value| {
        output::text(test, "test").ends_with("_below")
            || test.get("percent").and_then(Value::as_f64).is_some_and(|percent| percent >= NOTEWORTHY)
    };
    let rows: Vec<Vec<String>> = tests
        .filter(is_shown)
        .map(|test| {
            let percent = test.get("percent").and_then(Value::as_f64).unwrap_or_default();
            let progress = format!("{:.0} %", percent.min(999.0));
            let says = output::field(test, "says");
            let check = match test.get("route").and_then(Value::as_str) {
                Some(route) => format!("{route}: {says}"),
                None => says,
            };
            vec![format!("  {}", bar(percent)), progress, check]
        })
        .collect();
    output::format_table(&["  PROGRESS", "", "CHECK"], &rows)
}

/// Draws a percentage as a bar of ten characters.
fn bar(percent: f64) -> String {
    let filled = (percent.clamp(0.0, 100.0) / 10.0) as usize;
    format!("{}{}", "#".repeat(filled), ".".repeat(10 - filled))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_ladder_shows_the_current_step() {
        let at = |step: u64| ladder(&json!({ "step": step, "steps": [1.0, 50.0, 100.0] }));
        assert_eq!(at(1), "1.0% > [50.0%] > 100.0% > bake");
        assert_eq!(at(3), "1.0% > 50.0% > 100.0% > [bake]");
        assert_eq!(bar(0.0), "..........");
        assert_eq!(bar(55.0), "#####.....");
        assert_eq!(bar(1e9), "##########");
    }

    #[test]
    fn b2_a_rollback_is_explained_by_its_counts() {
        let sentence = "Rolled back from 50 %: 9 of 640 users on new had errors (1.4 %), 0 of 655 on legacy.";
        let status = json!({
            "flag": "f", "run": "r1", "state": "rolled_back", "steps": [50.0], "step": 0, "reason": sentence,
            "breach": { "test": "errors_relative", "step": 0, "sentence": sentence },
            "evidence": {
                "new": { "requests": 1_000, "errors": 9 }, "legacy": { "requests": 1_000, "errors": 0 },
                "users": { "seen": { "new": 640, "legacy": 655 }, "errors": { "new": 9, "legacy": 0 } },
                "tests": [
                    { "test": "errors_relative", "percent": 120.0, "says": "more errors" },
                    { "test": "slow_relative", "percent": 0.0, "says": "slower" },
                    { "test": "slow_below", "percent": 0.0, "says": "fast" },
                ],
            },
        });
        let text = describe(&status);
        assert_eq!(text.matches(sentence).count(), 1, "{text}");
        assert!(text.contains("640") && text.contains("more errors") && text.contains("fast"), "{text}");
        assert!(!text.contains("slower"), "a test without evidence is noise: {text}");
        let manual = json!({ "reason": "rolled back by alice", "breach": { "sentence": sentence } });
        assert!(describe(&manual).contains(sentence));
    }

    #[test]
    fn routes_with_criteria_of_their_own_are_shown() {
        let counts = json!({ "requests": 12, "errors": 3, "slow_success": 2, "slow_rollback": 1 });
        let status = json!({
            "evidence": {
                "routes": { "reviews.search": { "new": counts, "legacy": counts } },
                "tests": [
                    { "test": "errors_below", "percent": 1.0, "says": "good" },
                    { "test": "errors_below", "route": "reviews.search", "percent": 0.0, "says": "good" },
                ],
            },
        });
        let text = describe(&status);
        assert_eq!(text.matches("reviews.search").count(), 3, "{text}");
        assert!(text.contains("reviews.search: good"), "{text}");
        assert!(!describe(&json!({ "evidence": { "routes": {} } })).contains("ROUTE"));
    }

    #[test]
    fn the_next_move_names_its_reason() {
        let hold = json!({ "action": "hold", "message": "a freeze window is open", "not_before": null });
        assert_eq!(next_move(&hold), "waiting: a freeze window is open");
        let advance = json!({ "action": "advance", "message": "proven", "waiting_since": "noon" });
        assert_eq!(next_move(&advance), "next: advance (proven); since noon");
    }
}
