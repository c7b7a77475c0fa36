//! A frame of `cutover canary watch`: the part of the status that fits a terminal.

use super::{
    checks::{checks, table},
    screen::{Line, fitted},
    sentence,
    status::{arms, heading, worries},
};
use crate::{output, terminal::Size};
use serde_json::Value;

/// Draws a status for a terminal. `note` is the last line.
pub(super) fn frame(status: &Value, note: Line, now: i64, size: Size) -> Vec<Line> {
    let state = output::text(status, "state");
    let [title, ladder] = heading(status);
    let mut lines = vec![Line::of_state(title, state), Line::plain(ladder)];
    let says = sentence::ending(status).or_else(|| sentence::next_move(status, now));
    lines.push(Line::plain(format!("  {}", says.unwrap_or_else(|| output::field(status, "reason")))));
    lines.extend(worries(status).into_iter().map(|worry| Line::warning(format!("  {worry}"))));
    if status.get("evidence").is_some() {
        lines.push(Line::plain(""));
        lines.extend(arms(status).lines().map(Line::plain));
        lines.push(Line::plain(""));
        lines.extend(table(&checks(status)).lines().map(Line::plain));
    }
    fitted(lines, note, size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn everything_that_matters_is_on_80_by_24() {
        let check = |test: &str, percent: f64| {
            let says = "more users get 404, 405 or 410 from the new backend than from the old one, and more";
            json!({ "test": test, "percent": percent, "says": says })
        };
        let mut tests: Vec<Value> = (0..30).map(|_| check("errors_above", 1.0)).collect();
        tests.extend((0..30).map(|_| check("errors_relative", 400.0)));
        let counts = json!({ "requests": 1_000, "errors": 9, "error_rate": 0.009 });
        let status = json!({
            "flag": "f", "run": "r1", "state": "running", "step": 1, "steps": [5.0, 50.0], "unknown_isolates": 2,
            "next": { "action": "hold", "reason": "not_proven", "message": "not proven yet" },
            "evidence": { "new": counts, "legacy": counts, "tests": tests },
        });
        let size = Size { columns: 80, rows: 24 };
        let lines = frame(&status, Line::plain("Ctrl-C stops watching"), 0, size);
        let text: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(text.len(), 24, "{text:#?}");
        assert!(text.iter().all(|line| line.chars().count() <= 80), "{text:#?}");
        assert_eq!(text[..3], ["f  run r1  running", "  5% > [50%] > bake", "  waiting: not proven yet"]);
        assert!(text[3].contains("2 isolates"), "{text:#?}");
        assert!(text.iter().any(|line| line.contains("BACKEND")), "{text:#?}");
        assert!(text.iter().any(|line| line.contains("##########")), "{text:#?}");
        assert_eq!(text[23], "Ctrl-C stops watching");
    }

    #[test]
    fn a_canary_without_a_run_is_told_how_it_gets_one() {
        let status = json!({ "flag": "f", "state": "not_started", "steps": [5.0], "plan": {} });
        let lines = frame(&status, Line::plain(""), 0, Size { columns: 80, rows: 24 });
        assert!(lines.iter().any(|line| line.text.contains("cutover canary start f")));
    }
}
