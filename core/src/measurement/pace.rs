//! The interval between two reports of an isolate. It grows with the fleet, so that the number of batches per second does
//! not, and depends on nothing that was counted.

/// Batches per second that a deployment takes.
const BATCHES_PER_SECOND: u64 = 250;

/// Shortest and longest interval, in milliseconds.
const SHORTEST_MS: u64 = 5_000;
const LONGEST_MS: u64 = 60_000;

/// Time from a report to its arrival in memory of the evaluation, in milliseconds.
const DELIVERY_MS: u64 = 3_000;

/// Time after a change for which isolates may keep the interval before, in milliseconds: until they have asked.
const KEPT_MS: i64 = 60_000;

/// Time for which a longer interval must be wanted, in milliseconds.
const PATIENCE_MS: i64 = 5 * 60_000;

/// The interval in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Milliseconds between two reports of an isolate.
    pub interval_ms: u64,
    /// Time since which a longer one is wanted, in milliseconds since 1970; 0 if none is.
    pub wanted_since: i64,
    /// The interval before.
    pub before_ms: u64,
    /// Time at which it was changed, in milliseconds since 1970; 0 if never.
    pub changed_at: i64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { interval_ms: SHORTEST_MS, wanted_since: 0, before_ms: SHORTEST_MS, changed_at: 0 }
    }
}

impl Pace {
    /// Returns the pace at `now` for a fleet of this size. It changes by a quarter at least: to a shorter interval at once, to
    /// a longer one when it was wanted for five minutes.
    pub fn next(self, isolates: u64, now: i64) -> Self {
        let wanted = (isolates.saturating_mul(1_000) / BATCHES_PER_SECOND).clamp(SHORTEST_MS, LONGEST_MS);
        if wanted.saturating_mul(4) <= self.interval_ms.saturating_mul(3) {
            return self.changed(wanted, now);
        }
        if wanted.saturating_mul(4) < self.interval_ms.saturating_mul(5) {
            return Self { wanted_since: 0, ..self };
        }
        match self.wanted_since {
            0 => Self { wanted_since: now, ..self },
            since if now.saturating_sub(since) >= PATIENCE_MS => self.changed(wanted, now),
            _ => self,
        }
    }

    /// Returns the pace at `now` for at least so many isolates. It is not lowered: there may be more.
    pub fn next_for_part(self, isolates: u64, now: i64) -> Self {
        let next = self.next(isolates, now);
        if next.interval_ms < self.interval_ms { self } else { next }
    }

    fn changed(self, interval_ms: u64, now: i64) -> Self {
        Self { interval_ms, wanted_since: 0, before_ms: self.interval_ms, changed_at: now }
    }

    /// Returns the longest time from an outcome to the arrival of the report that holds it, in milliseconds: an interval, and
    /// its delivery. For a while after a change it is that of the longer one of the two intervals, because not every isolate
    /// has heard of the other.
    pub fn report_ms(self, now: i64) -> u64 {
        let is_new = now.saturating_sub(self.changed_at) < KEPT_MS;
        let kept = if is_new { self.before_ms } else { self.interval_ms };
        self.interval_ms.max(kept).saturating_add(DELIVERY_MS)
    }
}

/// Returns the milliseconds for which a report is waited for, by the time that it takes according to [`Pace::report_ms`]: no
/// less than with the shortest interval, and no more than with the longest.
pub fn report_time(report_ms: u64) -> i64 {
    let waited = report_ms.clamp(SHORTEST_MS + DELIVERY_MS, LONGEST_MS + DELIVERY_MS);
    i64::try_from(waited).unwrap_or(i64::MAX)
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
        assert_eq!(waiting, Pace { wanted_since: 1, ..pace });
        assert_eq!(waiting.next(5_000, PATIENCE_MS), waiting);
        assert_eq!(waiting.next(500, PATIENCE_MS), pace, "the fleet was small in between");
        let longer = waiting.next(5_000, PATIENCE_MS + 1);
        assert_eq!((longer.interval_ms, longer.wanted_since), (20_000, 0));
        assert_eq!(longer.next(30_000_000, 2).next(30_000_000, 2 + PATIENCE_MS).interval_ms, 60_000);
        assert_eq!(longer.next(3_000, 2).interval_ms, 12_000);
        assert_eq!(longer.next(4_000, 2).interval_ms, 20_000, "less than a quarter");
    }

    #[test]
    fn a_part_of_a_fleet_shortens_no_interval() {
        let long = Pace { interval_ms: LONGEST_MS, before_ms: LONGEST_MS, ..Pace::default() };
        assert_eq!(long.next(0, 7).interval_ms, SHORTEST_MS);
        assert_eq!(long.next_for_part(0, 7), long);
        let waiting = Pace::default().next_for_part(5_000, 1);
        assert_eq!(waiting.wanted_since, 1);
        assert_eq!(waiting.next_for_part(5_000, 1 + PATIENCE_MS).interval_ms, 20_000, "it may be longer");
    }

    #[test]
    fn a_report_takes_an_interval_and_its_delivery_also_when_the_interval_was_just_shortened() {
        let pace = Pace::default();
        assert_eq!(pace.report_ms(0), 8_000);
        let long = Pace { interval_ms: LONGEST_MS, ..pace };
        assert_eq!(long.report_ms(0), 63_000);
        let now = 1_000_000;
        let shorter = long.next(3_000, now);
        assert_eq!((shorter.interval_ms, shorter.report_ms(now + KEPT_MS - 1)), (12_000, 63_000));
        assert_eq!(shorter.report_ms(now + KEPT_MS), 15_000);
        let longer = Pace { wanted_since: 1, ..pace }.next(5_000, now);
        assert_eq!((longer.interval_ms, longer.report_ms(now)), (20_000, 23_000));
    }

    #[test]
    fn a_report_is_waited_for_within_bounds() {
        assert_eq!([0, 8_000, 23_000, u64::MAX].map(report_time), [8_000, 8_000, 23_000, 63_000]);
    }
}
