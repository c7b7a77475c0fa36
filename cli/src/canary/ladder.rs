//! The steps of a run's plan as one line, with the position of the run.

use crate::output;
use serde_json::Value;

/// Name of the watch after the last step.
const BAKE: &str = "bake";

/// Formats a percentage of the management API without needless decimals.
pub(super) fn share(percentage: &Value) -> String {
    percentage.as_f64().map_or_else(|| "-".to_owned(), |percent| format!("{percent}%"))
}

/// Returns the name of the run's step, such as `50%`, or `bake` after the last one; `-` without a run.
pub(super) fn position(status: &Value) -> String {
    let step = step(status);
    step.and_then(|step| names(status).into_iter().nth(step)).unwrap_or_else(|| "-".to_owned())
}

/// Formats the steps: the current one in brackets, and after a rollback the one that the run fell back from in
/// parentheses.
pub(super) fn ladder(status: &Value) -> String {
    let is_rolled_back = output::text(status, "state") == "rolled_back";
    let current = step(status);
    let rungs: Vec<String> = names(status)
        .into_iter()
        .enumerate()
        .map(|(index, name)| match (current == Some(index), is_rolled_back) {
            (false, _) => name,
            (true, false) => format!("[{name}]"),
            (true, true) => format!("({name})"),
        })
        .collect();
    let line = rungs.join(" > ");
    if is_rolled_back { format!("{line}   fell back from {} to 0%", position(status)) } else { line }
}

fn step(status: &Value) -> Option<usize> {
    usize::try_from(status.get("step")?.as_u64()?).ok()
}

fn names(status: &Value) -> Vec<String> {
    output::list(status, "steps").map(share).chain([BAKE.to_owned()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_ladder_shows_the_current_step() {
        let at = |state: &str, step: u64| {
            ladder(&json!({ "state": state, "step": step, "steps": [1.0, 12.5, 100.0] }))
        };
        assert_eq!(at("running", 1), "1% > [12.5%] > 100% > bake");
        assert_eq!(at("baking", 3), "1% > 12.5% > 100% > [bake]");
        assert_eq!(ladder(&json!({ "state": "not_started", "steps": [1.0] })), "1% > bake");
    }

    /// The flag is at 0 then: brackets around the step would say that it is still there.
    #[test]
    fn after_a_rollback_the_ladder_marks_the_step_that_was_left() {
        let status = json!({ "state": "rolled_back", "step": 1, "steps": [1.0, 50.0] });
        assert_eq!(ladder(&status), "1% > (50%) > bake   fell back from 50% to 0%");
        assert_eq!(position(&status), "50%");
    }
}
