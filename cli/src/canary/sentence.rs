//! Sentences about a canary: its next move while it runs, and its end.

use super::ladder;
use crate::{duration, output};
use cutover_core::{Timestamp, canary::plan::CanaryPlan};
use serde_json::Value;

/// Returns true while the run controls its flag: running, paused, or watched after the last step.
pub(super) fn is_active(status: &Value) -> bool {
    matches!(output::text(status, "state"), "running" | "paused" | "baking")
}

/// Returns the next move of an active run, with times relative to `now` (in milliseconds): the move and its reason, or the
/// reason for waiting. `None` if the run is over.
pub(super) fn next_move(status: &Value, now: i64) -> Option<String> {
    let next = status.get("next").filter(|next| !next.is_null())?;
    let (action, message) = (output::text(next, "action"), output::text(next, "message"));
    if action != "hold" {
        return Some(format!("next: {} ({message})", named(action, next)));
    }
    let remaining = time(next, "not_before").map(|earliest| duration::short(earliest - now));
    let since = time(next, "waiting_since").map(|since| duration::short(now - since));
    Some(match (output::text(next, "reason"), remaining, since) {
        ("step_time", Some(remaining), _) => {
            format!(
                "next step in {remaining} (needs >= {} per step)",
                planned(status, |plan| plan.step_duration_minutes)
            )
        }
        ("baking", Some(remaining), _) => format!(
            "completes in {remaining} (is watched for {} after the last step)",
            planned(status, |plan| plan.options.bake_minutes)
        ),
        (_, Some(remaining), _) => format!("waiting: {message}; for {remaining} more at least"),
        (_, None, Some(since)) => format!("waiting: {message}; for {since} so far"),
        (_, None, None) => format!("waiting: {message}"),
    })
}

/// Returns one sentence about the end of a run, with the counts that caused a rollback. `None` while the run is active.
pub(super) fn ending(status: &Value) -> Option<String> {
    let (flag, reason) = (output::text(status, "flag"), output::text(status, "reason"));
    match output::text(status, "state") {
        "rolled_back" => Some(match status.pointer("/breach/sentence").and_then(Value::as_str) {
            Some(sentence) => sentence.to_owned(),
            None => {
                let from = ladder::position(status);
                match reason.strip_prefix("rolled back ") {
                    Some(by) => format!("Rolled back from {from} {by}."),
                    None => format!("Rolled back from {from}: {reason}."),
                }
            }
        }),
        "completed" => {
            let share = ladder::share(status.get("percentage").unwrap_or(&Value::Null));
            Some(format!("Completed at {share}: {reason}."))
        }
        "not_started" => Some(format!("No run of {flag} yet; begin one with cutover canary start {flag}.")),
        _ => None,
    }
}

/// Returns an action in words.
fn named(action: &str, next: &Value) -> String {
    match (action, next.get("percentage").filter(|share| !share.is_null())) {
        ("advance", Some(share)) => format!("advance to {}", ladder::share(share)),
        ("roll_back", _) => "roll back".to_owned(),
        (other, _) => other.to_owned(),
    }
}

/// Returns a duration of the run's plan, in which it is a number of minutes.
fn planned(status: &Value, minutes: impl FnOnce(&CanaryPlan) -> f64) -> String {
    let plan = status.get("plan").and_then(|plan| serde_json::from_value(plan.clone()).ok());
    plan.map_or_else(
        || "?".to_owned(),
        |plan: CanaryPlan| duration::short((minutes(&plan) * 60_000.0).round() as i64),
    )
}

fn time(value: &Value, name: &str) -> Option<i64> {
    let time: Timestamp = output::text(value, name).parse().ok()?;
    Some(time.millis())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn move_of(next: Value) -> String {
        let limits = json!({ "max_error_rate": 0.05, "max_response_time_p95": 500.0 });
        // Without `bake_minutes`, whose default is an hour.
        let plan = json!({
            "initial_percentage": 5.0, "promotion_steps": [], "step_duration_minutes": 0.2,
            "success_criteria": limits, "rollback_criteria": limits,
        });
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        next_move(&json!({ "plan": plan, "next": next }), now.millis()).unwrap()
    }

    #[test]
    fn the_next_move_has_relative_times() {
        let hold = |reason: &str, not_before: Option<&str>, since: Option<&str>| {
            move_of(json!({
                "action": "hold", "reason": reason, "message": "a freeze window is open",
                "not_before": not_before, "waiting_since": since,
            }))
        };
        let soon = Some("2026-11-21T12:00:07.878Z");
        assert_eq!(hold("step_time", soon, None), "next step in 8 s (needs >= 12 s per step)");
        assert_eq!(hold("baking", soon, None), "completes in 8 s (is watched for 1 h after the last step)");
        assert_eq!(hold("freeze", soon, None), "waiting: a freeze window is open; for 8 s more at least");
        let earlier = Some("2026-11-21T10:00:00Z");
        assert_eq!(hold("freeze", None, earlier), "waiting: a freeze window is open; for 2 h so far");
        assert_eq!(hold("freeze", None, None), "waiting: a freeze window is open");
    }

    #[test]
    fn the_next_move_names_its_reason() {
        let advance = json!({ "action": "advance", "message": "proven", "percentage": 25.0 });
        assert_eq!(move_of(advance), "next: advance to 25% (proven)");
        let back = json!({ "action": "roll_back", "message": "a criterion is exceeded", "percentage": 0.0 });
        assert_eq!(move_of(back), "next: roll back (a criterion is exceeded)");
        assert_eq!(next_move(&json!({ "next": null }), 0), None);
    }

    #[test]
    fn the_end_of_a_run_is_one_sentence() {
        let sentence = "Rolled back from 50 %: 9 of 640 users on new had errors (1.4 %), 0 of 655 on legacy.";
        let run = |state: &str, reason: &str, breach: Value| {
            ending(&json!({
                "flag": "f", "state": state, "reason": reason, "breach": breach, "step": 1, "steps": [5.0, 50.0],
                "percentage": 50.0,
            }))
        };
        let breach = json!({ "sentence": sentence });
        assert_eq!(run("rolled_back", sentence, breach).as_deref(), Some(sentence));
        let by_hand = run("rolled_back", "rolled back by ann: too slow", Value::Null);
        assert_eq!(by_hand.as_deref(), Some("Rolled back from 50% by ann: too slow."));
        let completed = run("completed", "the watch is over", Value::Null);
        assert_eq!(completed.as_deref(), Some("Completed at 50%: the watch is over."));
        assert!(run("not_started", "", Value::Null).unwrap().contains("cutover canary start f"));
        assert_eq!(run("paused", "paused by ann", Value::Null), None);
    }
}
