//! The interval between two reports of an isolate. It grows with the fleet, so that the number of batches per second does
//! not, and depends on nothing that was counted.

/// Batches per second that a deployment takes.
const BATCHES_PER_SECOND: u64 = 250;

/// Shortest and longest interval, in milliseconds.
const SHORTEST_MS: u64 = 5_000;
const LONGEST_MS: u64 = 60_000;

/// Time for which a longer interval must be wanted, in milliseconds.
const PATIENCE_MS: i64 = 5 * 60_000;

/// The interval in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Milliseconds between two reports of an isolate.
    pub interval_ms: u64,
    /// Time since which a longer one is wanted, in milliseconds since 1970; 0 if none is.
    pub wanted_since: i64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { interval_ms: SHORTEST_MS, wanted_since: 0 }
    }
}

impl Pace {
    /// Returns the pace at `now` for a fleet of this size. It changes by a quarter at least: to a shorter interval at once, to
    /// a longer one when it was wanted for five minutes.
    pub fn next(self, isolates: u64, now: i64) -> Self {
        let wanted = (isolates.saturating_mul(1_000) / BATCHES_PER_SECOND).clamp(SHORTEST_MS, LONGEST_MS);
        if wanted.saturating_mul(4) <= self.interval_ms.saturating_mul(3) {
            return Self { interval_ms: wanted, wanted_since: 0 };
        }
        if wanted.saturating_mul(4) < self.interval_ms.saturating_mul(5) {
            return Self { wanted_since: 0, ..self };
        }
        match self.wanted_since {
            0 => Self { wanted_since: now, ..self },
            since if now.saturating_sub(since) >= PATIENCE_MS => {
                Self { interval_ms: wanted, wanted_since: 0 }
            }
            _ => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_grows_slowly_and_shrinks_at_once() {
        let pace = Pace::default();
        assert_eq!(pace.next(500, 1), pace);
        assert_eq!(pace.next(1_300, 1), pace, "less than a quarter");
        let waiting = pace.next(5_000, 1);
        assert_eq!(waiting, Pace { interval_ms: 5_000, wanted_since: 1 });
        assert_eq!(waiting.next(5_000, PATIENCE_MS), waiting);
        assert_eq!(waiting.next(500, PATIENCE_MS), pace, "the fleet was small in between");
        let longer = waiting.next(5_000, PATIENCE_MS + 1);
        assert_eq!(longer, Pace { interval_ms: 20_000, wanted_since: 0 });
        assert_eq!(longer.next(30_000_000, 2).next(30_000_000, 2 + PATIENCE_MS).interval_ms, 60_000);
        assert_eq!(longer.next(3_000, 2).interval_ms, 12_000);
        assert_eq!(longer.next(4_000, 2).interval_ms, 20_000, "less than a quarter");
    }
}
