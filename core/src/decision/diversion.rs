//! Diversion: an isolate in which the new origin keeps failing sends nobody there for some seconds.

/// Failures in a row after which requests are diverted.
pub const FAILURES_IN_A_ROW: u32 = 5;

/// Milliseconds of the first diversion. Each one that follows without a success between them is twice as long.
const FIRST_MS: i64 = 5_000;

/// Milliseconds of the longest diversion.
const LONGEST_MS: i64 = 40_000;

/// Failures in a row of one origin, and the time until which its requests are diverted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Diversion {
    failures: u32,
    length_ms: i64,
    until: i64,
}

impl Diversion {
    /// Takes in a failure: no connection, no response in time, or a status of 502 to 504. Once a diversion has ended, a
    /// single failure begins the next one.
    pub fn failed(&mut self, now: i64) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES_IN_A_ROW && !self.is_on(now) {
            self.length_ms = (self.length_ms * 2).clamp(FIRST_MS, LONGEST_MS);
            self.until = now + self.length_ms;
        }
    }

    /// Takes in a response of the origin, and returns true if it ends the row of failures. A request that was begun
    /// before a diversion does not.
    pub fn succeeded(&mut self, now: i64) -> bool {
        let ends = !self.is_on(now);
        if ends {
            *self = Self::default();
        }
        ends
    }

    /// Returns true while requests are diverted.
    pub fn is_on(&self, now: i64) -> bool {
        now < self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_divert_and_one_success_between_them_does_not() {
        let mut diversion = Diversion::default();
        for _ in 1..FAILURES_IN_A_ROW {
            diversion.failed(0);
        }
        diversion.succeeded(0);
        for _ in 1..FAILURES_IN_A_ROW {
            diversion.failed(1);
            assert!(!diversion.is_on(1));
        }
        diversion.failed(1);
        assert!(diversion.is_on(1) && diversion.is_on(5_000) && !diversion.is_on(5_001));
    }

    #[test]
    fn an_origin_that_stays_down_is_tried_less_and_less_often() {
        let mut diversion = Diversion::default();
        let mut now = 0;
        let mut lengths = Vec::new();
        for _ in 0..6 {
            while !diversion.is_on(now) {
                diversion.failed(now);
            }
            // Late failures of requests under way do not make it longer.
            (0..100).for_each(|_| diversion.failed(now + 1));
            let begun = now;
            while diversion.is_on(now) {
                now += 1_000;
            }
            lengths.push(now - begun);
        }
        assert_eq!(lengths, [5_000, 10_000, 20_000, 40_000, 40_000, 40_000]);
        assert!(diversion.succeeded(now));
        assert_eq!(diversion, Diversion::default());
    }

    #[test]
    fn a_success_during_a_diversion_does_not_count_as_one_after_it() {
        let mut diversion = Diversion::default();
        (0..FAILURES_IN_A_ROW).for_each(|_| diversion.failed(0));
        assert!(!diversion.succeeded(1_000), "it was begun before");
        assert!(diversion.succeeded(6_000));
        diversion.failed(7_000);
        assert!(!diversion.is_on(7_000));
    }
}
