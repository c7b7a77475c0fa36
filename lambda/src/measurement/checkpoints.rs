//! The times at which evaluation writes all ledgers and the cursor: every minute, and sooner if flags are behind.

use std::time::{Duration, Instant};

/// Time after which all ledgers and the cursor are written.
const CHECKPOINT: Duration = Duration::from_secs(60);

/// Time after which flags that stay behind are tried again. It doubles with each time, up to the longest.
const FIRST_RETRY: Duration = Duration::from_secs(2);
const LONGEST_RETRY: Duration = Duration::from_secs(10);

/// Most times that it is doubled.
const MAX_DOUBLINGS: u32 = 8;

/// The last checkpoint, and what it left behind.
#[derive(Debug)]
pub(super) struct Checkpoints {
    written: Instant,
    /// Flags that were behind after it.
    behind: Vec<String>,
    /// Checkpoints in a row after which flags were behind.
    failures: u32,
}

impl Checkpoints {
    /// Begins at `now`, as if everything had been written.
    pub(super) fn begin(now: Instant) -> Self {
        Self { written: now, behind: Vec::new(), failures: 0 }
    }

    /// Returns true if a checkpoint is due at `now`, while these flags are behind. A flag that has just fallen behind is tried
    /// again at once: it may be in the middle of its rollback, and most failures pass.
    pub(super) fn is_due(&self, behind: &[String], now: Instant) -> bool {
        let is_new = behind.iter().any(|name| !self.behind.contains(name));
        let period = if behind.is_empty() { CHECKPOINT } else { self.retry() };
        is_new || now.saturating_duration_since(self.written) >= period
    }

    /// Notes a checkpoint at `now`, after which these flags are behind.
    pub(super) fn wrote(&mut self, behind: Vec<String>, now: Instant) {
        self.failures = if behind.is_empty() { 0 } else { self.failures.saturating_add(1) };
        (self.behind, self.written) = (behind, now);
    }

    fn retry(&self) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(MAX_DOUBLINGS);
        FIRST_RETRY.saturating_mul(1 << doublings).min(LONGEST_RETRY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(flags: &[&str]) -> Vec<String> {
        flags.iter().map(|name| (*name).to_owned()).collect()
    }

    /// Returns the seconds after a checkpoint in which none is due, while these flags are behind.
    fn pause(checkpoints: &Checkpoints, behind: &[&str]) -> u64 {
        let is_due = |seconds: &u64| {
            checkpoints.is_due(&names(behind), checkpoints.written + Duration::from_secs(*seconds))
        };
        (0..100).find(is_due).unwrap()
    }

    #[test]
    fn a_flag_that_has_just_fallen_behind_is_tried_at_once_and_repeated_failures_are_paced() {
        let now = Instant::now();
        let mut checkpoints = Checkpoints::begin(now);
        assert_eq!(pause(&checkpoints, &[]), 60);
        assert_eq!(pause(&checkpoints, &["one"]), 0, "the first failure");
        let mut pauses = Vec::new();
        for _ in 0..5 {
            checkpoints.wrote(names(&["one"]), now);
            pauses.push(pause(&checkpoints, &["one"]));
        }
        assert_eq!(pauses, [2, 4, 8, 10, 10]);
        assert_eq!(pause(&checkpoints, &["one", "two"]), 0, "another flag does not wait for it");
        checkpoints.wrote(Vec::new(), now);
        assert_eq!((pause(&checkpoints, &[]), pause(&checkpoints, &["one"])), (60, 0));
    }
}
