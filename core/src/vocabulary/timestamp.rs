//! Timestamps with millisecond precision. They are always arguments: this crate has no clock.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, time::UNIX_EPOCH};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Milliseconds since 1970-01-01T00:00:00Z, written as RFC 3339 in documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(i64);

/// First millisecond of the year 0000. RFC 3339 represents the years 0000 to 9999.
const MIN_MS: i64 = -62_167_219_200_000;

const MAX_MS: i64 = 253_402_300_799_999;

/// Length of an HTTP date, in bytes.
const HTTP_DATE: usize = "Sun, 06 Nov 1994 08:49:37 GMT".len();

/// Error for a string that is not an RFC 3339 timestamp.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an RFC 3339 time such as 2026-01-31T23:59:59Z")]
pub struct InvalidTimestamp(String);

impl Timestamp {
    /// Creates a timestamp from milliseconds since the epoch, clamped to the years 0000 to 9999.
    pub fn from_millis(ms: i64) -> Self {
        Self(ms.clamp(MIN_MS, MAX_MS))
    }

    /// Parses an HTTP date (RFC 9110, 5.6.7) from 1970 on, such as `Sun, 06 Nov 1994 08:49:37 GMT`. The
    /// two obsolete forms are not parsed.
    pub fn from_http_date(text: &str) -> Option<Self> {
        if text.len() != HTTP_DATE || !text.ends_with(" GMT") {
            return None;
        }
        let since = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
        i64::try_from(since.as_millis()).ok().map(Self)
    }

    /// Returns the milliseconds since the epoch.
    pub fn millis(self) -> i64 {
        self.0
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    /// Parses RFC 3339. Digits beyond the millisecond are truncated.
    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        parse(text).map(Self).ok_or_else(|| InvalidTimestamp(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<i64> {
    // The library takes any character between date and time.
    if !matches!(text.as_bytes().get(10), Some(b'T' | b't' | b' ')) {
        return None;
    }
    let nanoseconds = OffsetDateTime::parse(text, &Rfc3339).ok()?.unix_timestamp_nanos();
    let ms = i64::try_from(nanoseconds.div_euclid(1_000_000)).ok()?;
    (MIN_MS..=MAX_MS).contains(&ms).then_some(ms)
}

impl TryFrom<String> for Timestamp {
    type Error = InvalidTimestamp;
    fn try_from(text: String) -> Result<Self, InvalidTimestamp> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(timestamp: Timestamp) -> String {
        timestamp.to_string()
    }
}

impl Timestamp {
    /// Appends the timestamp to a string as RFC 3339, in UTC.
    pub fn write(self, out: &mut String) {
        // Neither step fails for a year from 0000 to 9999, which `from_millis` and `parse` ensure.
        let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000);
        if let Some(text) = time.ok().and_then(|time| time.format(&Rfc3339).ok()) {
            out.push_str(&text);
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write(&mut text);
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_rfc_3339() {
        let timestamp: Timestamp = "2024-12-31T23:59:59.1239+01:00".parse().unwrap();
        assert_eq!(timestamp.millis(), 1_735_685_999_123);
        assert_eq!(timestamp.to_string(), "2024-12-31T22:59:59.123Z");
        for (text, written) in [
            ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
            ("2024-02-29t12:00:00.5000z", "2024-02-29T12:00:00.5Z"),
            // A leap second counts as the last millisecond before it.
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), written);
        }
        for bad in [
            "",
            "2024-12-31",
            "2024-12-31T23:59:59",
            "2024-13-01T00:00:00Z",
            "2024-12-31X23:59:59Z",
            "2024-12-31/23:59:59Z",
            "2024-12-31T24:00:00Z",
            "2024-12-30T23:59:60Z",
            "2024-12-31T23:59:59+24:00",
            "2024-12-31T23:59:59.Z",
            "24-12-31T23:59:59Z",
            "2024-12-31T23:59:59Z ",
            "9999-12-31T23:59:59-01:00",
            "yesterday",
        ] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad}");
        }
    }

    #[test]
    fn reads_http_dates() {
        for (text, written) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37Z"),
            ("Thu, 01 Jan 1970 00:00:00 GMT", "1970-01-01T00:00:00Z"),
            ("Thu, 29 Feb 2024 23:59:59 GMT", "2024-02-29T23:59:59Z"),
        ] {
            assert_eq!(Timestamp::from_http_date(text).unwrap().to_string(), written);
        }
        for bad in [
            "",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06 Nov 1994 08:49:37 EST",
            "Sun, 32 Jan 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "1994-11-06T08:49:37Z",
            "(((((((((((((((((((((((((((((",
            "((((((((((((((((((((((((( GMT",
        ] {
            assert_eq!(Timestamp::from_http_date(bad), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_timestamp_survives_its_string(ms in MIN_MS..=MAX_MS) {
            let timestamp = Timestamp::from_millis(ms);
            proptest::prop_assert_eq!(timestamp.to_string().parse::<Timestamp>(), Ok(timestamp));
        }
    }
}
