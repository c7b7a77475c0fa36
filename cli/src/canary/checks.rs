//! The tests of a step, each with its progress towards the amount of evidence at which it acts, and its action then.

use crate::output;
use serde_json::Value;

/// Progress in percent below which a test against the new backend is left out.
const NOTEWORTHY: f64 = 25.0;

/// A test, as it is shown.
pub(super) struct Check {
    percent: f64,
    effect: &'static str,
    says: String,
}

/// Returns the checks that matter: those with noteworthy evidence against the new backend, the strongest first, and those
/// that the next step needs.
pub(super) fn checks(status: &Value) -> Vec<Check> {
    let policy = status.pointer("/plan/relative").and_then(Value::as_str).unwrap_or("hold");
    let tests = status.pointer("/evidence/tests").and_then(Value::as_array).into_iter().flatten();
    let (mut against, mut needed) = (Vec::new(), Vec::new());
    for test in tests {
        let name = output::text(test, "test");
        let percent = test.get("percent").and_then(Value::as_f64).unwrap_or_default();
        let says = output::field(test, "says");
        let says = match test.get("route").and_then(Value::as_str) {
            Some(route) => format!("{route}: {says}"),
            None => says,
        };
        let check = Check { percent, effect: effect(name, policy), says };
        if name.ends_with("_below") {
            needed.push(check);
        } else if percent >= NOTEWORTHY {
            against.push(check);
        }
    }
    against.sort_by(|a, b| b.percent.total_cmp(&a.percent));
    against.extend(needed);
    against
}

/// Formats checks as a table; empty if there are none.
pub(super) fn table(checks: &[Check]) -> String {
    if checks.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> = checks
        .iter()
        .map(|Check { percent, effect, says }| {
            let progress = format!("{:.0} %", percent.min(999.0));
            vec![format!("  {}", bar(*percent)), progress, (*effect).to_owned(), says.clone()]
        })
        .collect();
    output::format_table(&["  PROGRESS", "", "AT 100 %", "CHECK"], &rows)
}

/// Returns the action that a test leads to. `policy` is that of the plan for a new backend that is worse than the old one.
fn effect(test: &str, policy: &str) -> &'static str {
    match (test, policy) {
        (test, _) if test.ends_with("_below") => "advance",
        (test, _) if test.ends_with("_above") || test.ends_with("_detector") => "roll back",
        (test, "ignore") if test.ends_with("_relative") => "report",
        ("errors_relative" | "slow_relative", "hold") => "hold or roll back",
        (test, _) if test.ends_with("_relative") => "roll back",
        _ => "hold",
    }
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

    fn shown(tests: Value) -> String {
        table(&checks(&json!({ "plan": {}, "evidence": { "tests": tests } })))
    }

    #[test]
    fn a_bar_has_ten_characters() {
        for (percent, expected) in [(0.0, ".........."), (55.0, "#####....."), (1e9, "##########")] {
            assert_eq!(bar(percent), expected);
        }
    }

    #[test]
    fn a_healthy_run_shows_the_checks_that_it_needs() {
        let text = shown(json!([
            { "test": "slow_relative", "percent": 3.0, "says": "slower" },
            { "test": "errors_below", "percent": 56.0, "says": "few errors" },
        ]));
        let expected = "  PROGRESS          AT 100 %  CHECK\n  #####.....  56 %  advance   few errors\n";
        assert_eq!(text, expected);
        assert_eq!(shown(json!([])), "");
    }

    #[test]
    fn the_strongest_evidence_against_the_new_backend_comes_first() {
        let text = shown(json!([
            { "test": "errors_below", "percent": 0.0, "says": "needed" },
            { "test": "slow_above", "percent": 30.0, "says": "second" },
            { "test": "errors_relative", "percent": 587.0, "says": "first" },
        ]));
        let rows: Vec<&str> = text.lines().skip(1).collect();
        assert!(rows[0].ends_with("hold or roll back  first"), "{text}");
        assert!(rows[1].contains("roll back") && rows[1].ends_with("second"), "{text}");
        assert!(rows[2].ends_with("needed"), "{text}");
    }

    #[test]
    fn the_action_follows_the_plan() {
        for (test, policy, expected) in [
            ("slow_below", "hold", "advance"),
            ("errors_detector", "ignore", "roll back"),
            ("errors_relative", "rollback", "roll back"),
            ("errors_relative", "ignore", "report"),
            ("unauthorized_relative", "hold", "roll back"),
            ("sample_ratio", "rollback", "hold"),
            ("errors_doubt", "hold", "hold"),
        ] {
            assert_eq!(effect(test, policy), expected, "{test} {policy}");
        }
    }
}
