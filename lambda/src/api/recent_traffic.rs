//! The traffic of a flag in the last minute that was counted to its end, for forecasts and warnings about slow plans.

use crate::store::{Cursor, Ledger};
use cutover_core::{
    FlagName, Timestamp,
    measurement::batch::{WINDOW_MS, window_of},
};
use std::fmt;

/// Longest period over which traffic is measured, in milliseconds. Isolates report once a minute at the latest, so a shorter one
/// may miss some of them.
const PERIOD_MS: i64 = 60_000;

/// Age beyond which the counts are those of another time, in milliseconds. Evaluation writes them once a minute.
const MAX_AGE_MS: i64 = 3 * 60_000;

/// Requests per second of a flag on both arms together, and the period in which they were counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct RecentTraffic {
    /// Requests per second.
    pub(super) per_second: f64,
    /// Length of the period, in milliseconds.
    period_ms: i64,
    /// End of the period.
    until: Timestamp,
}

impl RecentTraffic {
    /// Measures the last full minute that has been counted, or the time since the first count if that is shorter. Returns
    /// `None` if nothing was ever counted, or not lately. The cursor must have been read before the ledger.
    pub(super) fn of(flag: &FlagName, cursor: &Cursor, ledger: &Ledger, now: Timestamp) -> Option<Self> {
        let through = cursor.ledger_through(flag.as_str()).max(ledger.through);
        if now.millis().saturating_sub(through) > MAX_AGE_MS {
            return None;
        }
        let windows = ledger.recent.iter().map(|recent| recent.window);
        let (first, last) = (windows.clone().min()?, windows.max()?);
        // The window that is still open counts only if there is no other one.
        let open = window_of(through);
        let until = if first < open { open } else { last.saturating_add(WINDOW_MS) };
        let since = first.max(until.saturating_sub(PERIOD_MS));
        let counted = ledger.recent.iter().filter(|recent| (since..until).contains(&recent.window));
        let requests = counted.fold(0_u64, |sum, recent| sum.saturating_add(recent.requests));
        let period_ms = until.saturating_sub(since);
        let per_second = requests as f64 * 1_000.0 / period_ms as f64;
        Some(Self { per_second, period_ms, until: Timestamp::from_millis(until) })
    }
}

impl fmt::Display for RecentTraffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { per_second, period_ms, until } = self;
        write!(f, "{per_second:.1} a second in the {} s before {until}", period_ms / 1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Parked, WindowCounts};
    use cutover_core::Arm;

    /// A multiple of the length of a window.
    const START: i64 = 1_800_000_000_000;

    fn flag() -> FlagName {
        "checkout".parse().unwrap()
    }

    /// Returns a ledger with as many requests on each arm in every window of a period, in seconds after the start.
    fn ledger(since: i64, until: i64, requests: u64) -> Ledger {
        let starts = (since..until).step_by(10).map(|second| START + second * 1_000);
        let window = |window| {
            [Arm::New, Arm::Legacy].map(|arm| WindowCounts {
                window,
                arm,
                requests,
                errors: 0,
                duration_ms: 0,
            })
        };
        Ledger { recent: starts.flat_map(window).collect(), ..Ledger::default() }
    }

    /// Measures at a time, when the ledger is complete through another one, both in seconds after the start. Returns the
    /// requests per second, the length of the period and its end.
    fn measured(ledger: &Ledger, through: i64, now: i64) -> Option<(f64, i64, i64)> {
        let cursor = Cursor { through: START + through * 1_000, ..Cursor::default() };
        let found = RecentTraffic::of(&flag(), &cursor, ledger, Timestamp::from_millis(START + now * 1_000))?;
        let RecentTraffic { per_second, period_ms, until } = found;
        Some((per_second, period_ms / 1_000, (until.millis() - START) / 1_000))
    }

    #[test]
    fn traffic_that_stopped_minutes_ago_is_not_remembered() {
        let ledger = ledger(0, 450, 500);
        assert_eq!(measured(&ledger, 452, 455), Some((100.0, 60, 450)));
        assert_eq!(measured(&ledger, 483, 490), Some((50.0, 60, 480)), "the first half of the minute");
        assert_eq!(measured(&ledger, 580, 600), Some((0.0, 60, 580)), "2.5 minutes later");
    }

    #[test]
    fn traffic_that_has_just_begun_is_measured_since_then() {
        assert_eq!(measured(&ledger(0, 10, 500), 8, 12), Some((100.0, 10, 10)), "in the open window");
        assert_eq!(measured(&ledger(0, 30, 500), 30, 31), Some((100.0, 30, 30)));
        assert_eq!(measured(&ledger(0, 30, 500), 25, 31), Some((100.0, 20, 20)), "without the open window");
        assert_eq!(measured(&ledger(0, 90, 500), 90, 91), Some((100.0, 60, 90)));
    }

    #[test]
    fn traffic_that_nobody_counts_is_unknown() {
        let counted = ledger(0, 60, 500);
        assert_eq!(measured(&counted, 60, 240), Some((100.0, 60, 60)));
        assert_eq!(measured(&counted, 60, 241), None, "evaluation has stopped");
        assert_eq!(measured(&Ledger::default(), 60, 61), None);
        let parked = Parked { through: START, ..Parked::default() };
        let parked = [(flag().to_string(), parked)].into();
        let cursor = Cursor { through: START + 300_000, parked, ..Cursor::default() };
        let now = Timestamp::from_millis(START + 300_000);
        assert_eq!(RecentTraffic::of(&flag(), &cursor, &counted, now), None, "its ledger cannot be read");
        let written = Ledger { through: START + 290_000, ..counted };
        assert!(RecentTraffic::of(&flag(), &cursor, &written, now).is_some(), "it was written since");
    }

    #[test]
    fn the_period_is_told_with_its_length() {
        let cursor = Cursor { through: START + 60_000, ..Cursor::default() };
        let now = Timestamp::from_millis(START + 61_000);
        let found = RecentTraffic::of(&flag(), &cursor, &ledger(0, 60, 500), now).unwrap();
        assert_eq!(found.to_string(), "100.0 a second in the 60 s before 2027-01-15T08:01:00Z");
    }
}
