//! Lines about a run, one for each change: for logs of pipelines.

use super::{ladder, sentence};
use crate::output;
use cutover_core::Timestamp;
use serde_json::Value;

/// The last state of a run that had a line.
#[derive(Debug, Default)]
pub(super) struct Progress {
    last: String,
}

impl Progress {
    /// Returns a line if the run, its state, its step or its next move has changed since the last line.
    pub(super) fn line(&mut self, status: &Value, now: i64) -> Option<String> {
        let names = ["run", "state", "step", "reason"];
        let mut key = output::pick(status, &names).join(" ");
        for field in ["/next/action", "/next/reason"] {
            key.push_str(status.pointer(field).and_then(Value::as_str).unwrap_or_default());
        }
        if key == self.last {
            return None;
        }
        self.last = key;
        let at = Timestamp::from_millis(now - now.rem_euclid(1_000));
        let says = sentence::ending(status).or_else(|| sentence::next_move(status, now));
        let says = says.unwrap_or_else(|| output::field(status, "reason"));
        Some(format!("{at}  {:<11}  {:<5}  {says}", output::text(status, "state"), ladder::position(status)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn there_is_a_line_for_each_change() {
        let mut progress = Progress::default();
        let status = |step: u64, reason: &str, percent: u64| {
            json!({
                "run": "r1", "state": "running", "step": step, "steps": [5.0, 50.0], "reason": "started",
                "next": { "action": "hold", "reason": reason, "message": reason },
                "evidence": { "tests": [{ "percent": percent }] },
            })
        };
        let first = progress.line(&status(0, "not_proven", 1), 1_500).unwrap();
        assert_eq!(first, "1970-01-01T00:00:01Z  running      5%     waiting: not_proven");
        assert_eq!(progress.line(&status(0, "not_proven", 2), 3_500), None, "evidence alone is no change");
        assert!(progress.line(&status(0, "freeze", 2), 5_500).unwrap().contains("freeze"));
        assert!(progress.line(&status(1, "freeze", 2), 7_500).unwrap().contains("50%"));
    }
}
