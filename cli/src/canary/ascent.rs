//! The users that a promotion, an approval or a resumed run moves, in words for a confirmation.

use super::ladder::share;
use crate::output;
use serde_json::Value;

/// Percentage at which all users are on the new backend.
const ALL: f64 = 100.0;

/// Describes whom a promotion moves to the step of a percentage, or without one to the step above. `None` if it moves no user,
/// also because the management API refuses it. A null status is unknown.
pub(super) fn of_promotion(status: &Value, to: Option<f64>) -> Option<String> {
    if matches!(output::text(status, "state"), "paused" | "rolled_back" | "completed" | "not_started") {
        return None;
    }
    let target = to.or_else(|| above(status))?;
    if status.get("percentage").and_then(Value::as_f64).is_some_and(|held| held >= target) {
        return None;
    }
    let all = if target >= ALL { ", which is all of them" } else { "" };
    Some(format!("{} -> {target}% of its users are on the new backend{all}", held(status)))
}

/// Describes whom the approval of the next step moves. `None` if there is no such step, or if the run is not under way. A null
/// status is unknown.
pub(super) fn of_approval(status: &Value) -> Option<String> {
    if status.is_null() {
        return Some("its status could not be read, and its evidence may move users".to_owned());
    }
    of_promotion(status, None).map(|moved| format!("{moved} once its evidence allows it"))
}

/// Describes whom a resumed run moves. `None` if the management API refuses it because the run is not paused. A null status is
/// unknown.
pub(super) fn of_resumption(status: &Value) -> Option<String> {
    if !status.is_null() && output::text(status, "state") != "paused" {
        return None;
    }
    let highest = output::list(status, "steps").last();
    let up = highest.map(|step| format!(", up to {}", share(step))).unwrap_or_default();
    Some(format!(
        "{} of its users are on the new backend, and its evidence moves more of them{up}",
        held(status)
    ))
}

/// Returns the percentage of the step above; `None` if there is none.
fn above(status: &Value) -> Option<f64> {
    let step = usize::try_from(status.get("step")?.as_u64()?).ok()?;
    output::list(status, "steps").nth(step + 1)?.as_f64()
}

fn held(status: &Value) -> String {
    status.get("percentage").map_or_else(|| "an unknown share".to_owned(), share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status(state: &str, step: u64, percentage: f64) -> Value {
        json!({ "flag": "f", "state": state, "step": step, "steps": [5.0, 50.0, 100.0], "percentage": percentage })
    }

    #[test]
    fn a_promotion_says_whom_it_moves() {
        let moved = |status: Value, to: Option<f64>| of_promotion(&status, to).unwrap_or_default();
        assert_eq!(moved(status("running", 0, 5.0), None), "5% -> 50% of its users are on the new backend");
        let all = "50% -> 100% of its users are on the new backend, which is all of them";
        assert_eq!(moved(status("running", 1, 50.0), None), all);
        assert_eq!(moved(status("running", 1, 50.0), Some(100.0)), all);
        assert_eq!(
            moved(Value::Null, Some(25.0)),
            "an unknown share -> 25% of its users are on the new backend"
        );
    }

    #[test]
    fn a_promotion_that_moves_nobody_is_not_asked_about() {
        for (status, to) in [
            (status("running", 2, 100.0), None),
            (status("baking", 3, 100.0), None),
            (status("running", 1, 50.0), Some(50.0)),
            (status("rolled_back", 1, 0.0), Some(100.0)),
            (status("paused", 0, 5.0), None),
            (json!({ "flag": "f", "state": "not_started" }), Some(5.0)),
        ] {
            assert_eq!(of_promotion(&status, to), None, "{status}");
        }
    }

    #[test]
    fn an_approval_says_whom_its_step_moves() {
        let moved = of_approval(&status("running", 0, 5.0));
        let sentence = "5% -> 50% of its users are on the new backend once its evidence allows it";
        assert_eq!(moved.as_deref(), Some(sentence));
        assert_eq!(of_approval(&status("paused", 0, 5.0)), None, "its resumption asks");
        assert_eq!(of_approval(&status("running", 2, 100.0)), None);
        assert!(of_approval(&Value::Null).is_some(), "a status that cannot be read");
    }

    #[test]
    fn a_resumed_run_says_how_far_it_goes() {
        let sentence =
            "5% of its users are on the new backend, and its evidence moves more of them, up to 100%";
        assert_eq!(of_resumption(&status("paused", 0, 5.0)).as_deref(), Some(sentence));
        assert_eq!(of_resumption(&status("running", 0, 5.0)), None);
        assert!(of_resumption(&Value::Null).is_some(), "a status that cannot be read");
    }
}
