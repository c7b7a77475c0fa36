//! Recurring windows: times of the week, in UTC.

use crate::vocabulary::{timestamp::Timestamp, weekday::Weekday};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

const MINUTE_MS: i64 = 60_000;
const DAY_MINUTES: i64 = 24 * 60;

/// Days from a Monday to 1970-01-01, which was a Thursday.
const FIRST_WEEKDAY: i64 = 3;

/// A time of the week in UTC. A window that ends at or before its start goes past midnight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Days on which the window begins; all of them if the list is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<Weekday>,
    /// Time at which it opens.
    pub from: TimeOfDay,
    /// Time from which on it is closed.
    pub to: TimeOfDay,
}

/// A minute of a day, from 00:00 to 23:59.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeOfDay(u16);

/// Error for a string that is not a time of day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a time of day such as 09:30")]
pub struct InvalidTimeOfDay(String);

impl FromStr for TimeOfDay {
    type Err = InvalidTimeOfDay;
    fn from_str(text: &str) -> Result<Self, InvalidTimeOfDay> {
        let below = |digits: &str, limit: u16| -> Option<u16> {
            let is_plain = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|number| is_plain && *number < limit)
        };
        let parsed = text.split_once(':').and_then(|(hours, minutes)| {
            let hours = below(hours, 24)?;
            Some(Self(hours * 60 + below(minutes, 60)?))
        });
        parsed.ok_or_else(|| InvalidTimeOfDay(text.to_owned()))
    }
}

impl TryFrom<String> for TimeOfDay {
    type Error = InvalidTimeOfDay;
    fn try_from(text: String) -> Result<Self, InvalidTimeOfDay> {
        text.parse()
    }
}

impl From<TimeOfDay> for String {
    fn from(time: TimeOfDay) -> String {
        time.to_string()
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

/// A [`Window`] compiled for evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompiledWindow {
    /// One bit per day, that of Monday the lowest.
    days: u8,
    from: i64,
    to: i64,
}

impl CompiledWindow {
    /// Compiles a window.
    pub fn new(window: &Window) -> Self {
        let days = window.days.iter().fold(0_u8, |days, day| days | (1_u8 << *day as u8));
        let days = if window.days.is_empty() { u8::MAX } else { days };
        Self { days, from: i64::from(window.from.0), to: i64::from(window.to.0) }
    }

    /// Returns true if the window is open at `now`.
    pub fn is_open(self, now: Timestamp) -> bool {
        let minutes = now.millis().div_euclid(MINUTE_MS);
        let (day, minute) = (minutes.div_euclid(DAY_MINUTES), minutes.rem_euclid(DAY_MINUTES));
        let begins_on = |day: i64| (self.days >> (day + FIRST_WEEKDAY).rem_euclid(7)) & 1 == 1;
        if self.from < self.to {
            return begins_on(day) && self.from <= minute && minute < self.to;
        }
        // Past midnight: it began today, or yesterday and has not ended yet.
        (begins_on(day) && self.from <= minute) || (begins_on(day - 1) && minute < self.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_recurs_on_its_days_and_goes_past_midnight() {
        let window = |days: &[Weekday], from: &str, to: &str| {
            CompiledWindow::new(&Window {
                days: days.to_vec(),
                from: from.parse().unwrap(),
                to: to.parse().unwrap(),
            })
        };
        // 2026-07-03 is a Friday.
        let office = window(&[Weekday::Mon, Weekday::Fri], "09:00", "17:30");
        let night = window(&[Weekday::Fri], "22:00", "06:00");
        let always = window(&[], "00:00", "00:00");
        for (time, is_office, is_night) in [
            ("2026-07-03T08:59:59.999Z", false, false),
            ("2026-07-03T09:00:00Z", true, false),
            ("2026-07-03T17:29:59.999Z", true, false),
            ("2026-07-03T17:30:00Z", false, false),
            ("2026-07-03T22:00:00Z", false, true),
            ("2026-07-04T05:59:59.999Z", false, true),
            ("2026-07-04T06:00:00Z", false, false),
            ("2026-07-04T10:00:00Z", false, false),
            ("2026-07-05T02:00:00Z", false, false),
            ("2026-07-06T12:00:00Z", true, false),
            // A Friday before 1970.
            ("1969-12-26T10:00:00Z", true, false),
        ] {
            let now = time.parse().unwrap();
            assert_eq!((office.is_open(now), night.is_open(now)), (is_office, is_night), "{time}");
            assert!(always.is_open(now), "{time}");
        }
    }

    #[test]
    fn a_time_of_day_has_two_digits_each() {
        for text in ["00:00", "09:05", "23:59"] {
            assert_eq!(text.parse::<TimeOfDay>().unwrap().to_string(), text);
        }
        for bad in ["", "9:00", "24:00", "23:60", "+9:00", "09:0", "09", "09:00:00", "ab:cd"] {
            assert!(bad.parse::<TimeOfDay>().is_err(), "{bad}");
        }
    }
}
