//! `cutover canary status`: step, evidence and next move of a canary.

use super::{
    checks::{checks, table},
    ladder::ladder,
    path::path,
    sentence,
};
use crate::{
    client::Client,
    clock,
    failure::Failure,
    output::{self, Format, cell},
};
use serde_json::Value;
use std::fmt::Write;

/// Shows the canary of a flag.
///
/// # Errors
///
/// Fails if the management API refuses the request or cannot be reached.
pub(super) fn run(client: &Client, flag: &str, format: Format) -> Result<(), Failure> {
    let status = client.get(&path(flag, ""))?;
    output::show(format, &status, || print!("{}", describe(&status, clock::now())));
    Ok(())
}

/// Formats the status of a canary for people, with times relative to `now` (in milliseconds).
fn describe(status: &Value, now: i64) -> String {
    let mut text = String::new();
    let [title, ladder] = heading(status);
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{title}\n{ladder}");
    let (reason, ending) = (output::field(status, "reason"), sentence::ending(status));
    // The end tells the reason, unless it is that of a test and an operator gave another one.
    let is_told = ending.is_some() && status.pointer("/breach/sentence").is_none();
    if !reason.is_empty() && !is_told {
        let _ = writeln!(text, "  {reason}");
    }
    if let Some(says) = ending.or_else(|| sentence::next_move(status, now)).filter(|says| *says != reason) {
        let _ = writeln!(text, "  {says}");
    }
    for worry in worries(status) {
        let _ = writeln!(text, "  {worry}");
    }
    if status.get("evidence").is_some() {
        text.push('\n');
        text.push_str(&arms(status));
        text.push_str(&routes(status));
        text.push_str(&users(status));
        text.push('\n');
        text.push_str(&table(&checks(status)));
    }
    text
}

/// Formats the flag, its run and its state, and the steps.
pub(super) fn heading(status: &Value) -> [String; 2] {
    let value = |name: &str| status.get(name).map_or_else(|| "-".to_owned(), cell);
    [format!("{}  run {}  {}", value("flag"), value("run"), value("state")), format!("  {}", ladder(status))]
}

/// Returns sentences on findings that an operator should know of.
pub(super) fn worries(status: &Value) -> Vec<String> {
    let mut worries = Vec::new();
    if let Some(worse) = status.pointer("/evidence/worse").filter(|worse| !worse.is_null()) {
        worries.push(format!("worse than legacy: {}", cell(worse)));
    }
    let unknown = status.get("unknown_isolates").and_then(Value::as_u64).unwrap_or_default();
    if unknown > 0 {
        worries
            .push(format!("{unknown} isolates fell silent in the last hour; their last counts are unknown"));
    }
    worries
}

/// Formats the counts of both arms.
pub(super) fn arms(status: &Value) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
        let text = describe(&status, 0);
        assert_eq!(text.matches(sentence).count(), 1, "{text}");
        assert!(text.contains("640") && text.contains("more errors") && text.contains("fast"), "{text}");
        assert!(!text.contains("slower"), "a test without evidence is noise: {text}");
        assert!(text.contains("  (50%) > bake   fell back from 50% to 0%\n"), "{text}");
        let manual = json!({
            "state": "rolled_back", "reason": "rolled back by alice", "breach": { "sentence": sentence },
        });
        let text = describe(&manual, 0);
        assert!(text.contains(sentence) && text.contains("rolled back by alice"), "{text}");
    }

    #[test]
    fn a_rollback_by_hand_is_told_once() {
        let status = json!({
            "flag": "f", "run": "r1", "state": "rolled_back", "steps": [50.0], "step": 0,
            "reason": "rolled back by alice", "breach": null,
        });
        assert!(describe(&status, 0).ends_with("\n  Rolled back from 50% by alice.\n"));
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
        let text = describe(&status, 0);
        assert_eq!(text.matches("reviews.search").count(), 3, "{text}");
        assert!(text.contains("reviews.search: good"), "{text}");
        assert!(!describe(&json!({ "evidence": { "routes": {} } }), 0).contains("ROUTE"));
    }
}
