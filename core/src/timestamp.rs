//! A moment, to the millisecond. It always comes in from outside: this crate has no clock.

use crate::json::read_text;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Milliseconds since 1970-01-01T00:00:00Z, written as RFC 3339 in documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(i64);

/// The years that RFC 3339 can write are 0000 to 9999.
const MIN_MS: i64 = -62_167_219_200_000;
const MAX_MS: i64 = 253_402_300_799_999;

/// The text is not an RFC 3339 time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an RFC 3339 time such as 2026-01-31T23:59:59Z")]
pub struct InvalidTimestamp(String);

impl Timestamp {
    /// The moment that lies this many milliseconds after the epoch, held inside the years 0000 to 9999.
    pub fn from_millis(ms: i64) -> Self {
        Self(ms.clamp(MIN_MS, MAX_MS))
    }

    /// Milliseconds since the epoch.
    pub fn millis(self) -> i64 {
        self.0
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    /// Reads RFC 3339. Digits finer than a millisecond are cut off.
    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        parse(text).map(Self).ok_or_else(|| InvalidTimestamp(text.to_owned()))
    }
}

/// Days from 1970-01-01 to a day of the Gregorian calendar, and back: Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", 2013. By hand because a library's reading and writing is 9 KB of the Worker; held against one in the tests.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// So many digits, and what follows them.
fn digits(text: &str, count: usize) -> Option<(i64, &str)> {
    let (number, rest) = text.split_at_checked(count)?;
    let all_digits = number.bytes().all(|byte| byte.is_ascii_digit());
    Some((number.parse().ok().filter(|_| all_digits)?, rest))
}

fn parse(text: &str) -> Option<i64> {
    let (year, rest) = digits(text, 4)?;
    let (month, rest) = digits(rest.strip_prefix('-')?, 2)?;
    let (day, rest) = digits(rest.strip_prefix('-')?, 2)?;
    let (hour, rest) = digits(rest.strip_prefix(['T', 't', ' '])?, 2)?;
    let (minute, rest) = digits(rest.strip_prefix(':')?, 2)?;
    let (second, mut rest) = digits(rest.strip_prefix(':')?, 2)?;
    let mut ms = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let length = fraction.bytes().take_while(u8::is_ascii_digit).count();
        let (finer, after) = fraction.split_at_checked(length).filter(|_| length > 0)?;
        ms = format!("{finer:0<3}").get(..3)?.parse().ok()?;
        rest = after;
    }
    let offset = match rest {
        "Z" | "z" => 0,
        _ => {
            let sign = if rest.starts_with('-') { -1 } else { 1 };
            let (hours, rest) = digits(rest.strip_prefix(['+', '-'])?, 2)?;
            let (minutes, rest) = digits(rest.strip_prefix(':')?, 2)?;
            (rest.is_empty() && hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))?
        }
    };
    let days = days_of(year, month, day);
    // A leap second counts as the second before it, and only stands where there can be one: before a month begins in UTC.
    let leap = second == 60;
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - i64::from(leap) - offset * 60;
    let next = seconds + 1;
    let is_last = next.rem_euclid(86_400) == 0 && date_of(next.div_euclid(86_400)).2 == 1;
    let fits =
        hour < 24 && minute < 60 && (second < 60 || (leap && is_last)) && date_of(days) == (year, month, day);
    if leap {
        ms = 999;
    }
    Some(seconds * 1_000 + ms).filter(|ms| fits && (MIN_MS..=MAX_MS).contains(ms))
}

impl TryFrom<String> for Timestamp {
    type Error = InvalidTimestamp;
    fn try_from(text: String) -> Result<Self, InvalidTimestamp> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(moment: Timestamp) -> String {
        moment.to_string()
    }
}

impl Timestamp {
    /// Appends it to a text. By hand because it is part of most answers that adapters make.
    pub fn write(self, out: &mut String) {
        let (days, of_day) = (self.0.div_euclid(86_400_000), self.0.rem_euclid(86_400_000));
        let (year, month, day) = date_of(days);
        let (seconds, ms) = (of_day / 1_000, of_day % 1_000);
        let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        for (number, count, after) in [
            (year, 4, '-'),
            (month, 2, '-'),
            (day, 2, 'T'),
            (hour, 2, ':'),
            (minute, 2, ':'),
            (second, 2, '.'),
        ] {
            push_digits(number, count, out);
            out.push(after);
        }
        push_digits(ms, 3, out);
        let length = out.trim_end_matches('0').trim_end_matches('.').len();
        out.truncate(length);
        out.push('Z');
    }
}

fn push_digits(number: i64, count: u32, out: &mut String) {
    for place in (0..count).rev() {
        let digit = number / 10_i64.pow(place) % 10;
        out.push(u32::try_from(digit).ok().and_then(|digit| char::from_digit(digit, 10)).unwrap_or('0'));
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write(&mut text);
        f.pad(&text)
    }
}

read_text!(Timestamp);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_rfc_3339() {
        let moment: Timestamp = "2024-12-31T23:59:59.1239+01:00".parse().unwrap();
        assert_eq!(moment.millis(), 1_735_685_999_123);
        assert_eq!(moment.to_string(), "2024-12-31T22:59:59.123Z");
        for bad in ["", "2024-12-31", "2024-12-31T23:59:59", "2024-13-01T00:00:00Z", "yesterday"] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_library_reads_and_writes_the_same(ms in MIN_MS..=MAX_MS, text in "[0-9]{4}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,9})?([Zz]|[+-][0-2][0-9]:[0-6][0-9])") {
            use time::{OffsetDateTime, format_description::well_known::Rfc3339};
            let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).unwrap();
            proptest::prop_assert_eq!(Timestamp(ms).to_string(), moment.format(&Rfc3339).unwrap());
            let read = OffsetDateTime::parse(&text, &Rfc3339)
                .ok()
                .map(|moment| i64::try_from(moment.unix_timestamp_nanos().div_euclid(1_000_000)).unwrap())
                .filter(|ms| (MIN_MS..=MAX_MS).contains(ms));
            proptest::prop_assert_eq!(text.parse::<Timestamp>().ok().map(Timestamp::millis), read, "{}", text);
        }

        #[test]
        fn every_moment_survives_its_text(ms in MIN_MS..=MAX_MS) {
            let moment = Timestamp::from_millis(ms);
            proptest::prop_assert_eq!(moment.to_string().parse::<Timestamp>(), Ok(moment));
        }
    }
}
