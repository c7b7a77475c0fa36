//! Times as operators give them to `cutover audit`.

use crate::{clock, duration};
use cutover_core::Timestamp;

/// Length of a day, in milliseconds.
const DAY_MS: i64 = 86_400_000;

/// Parses a time: RFC 3339, a day, or a duration before now.
///
/// # Errors
///
/// Fails if the text is none of these.
pub(super) fn parse(text: &str) -> Result<Timestamp, String> {
    parse_at(text, clock::now())
}

/// Parses a time, where `now` is in milliseconds since 1970. Days begin at midnight in UTC.
fn parse_at(text: &str, now: i64) -> Result<Timestamp, String> {
    let today = now.div_euclid(DAY_MS) * DAY_MS;
    match text {
        "now" => return Ok(Timestamp::from_millis(now)),
        "today" => return Ok(Timestamp::from_millis(today)),
        "yesterday" => return Ok(Timestamp::from_millis(today - DAY_MS)),
        _ => {}
    }
    let before = text.strip_suffix(" ago").unwrap_or(text);
    if let Ok(duration) = duration::parse(before) {
        let ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        return Ok(Timestamp::from_millis(now.saturating_sub(ms)));
    }
    let day = || format!("{text}T00:00:00Z").parse::<Timestamp>();
    text.parse::<Timestamp>().or_else(|_| day()).map_err(|_| {
        "use a duration before now such as 90m, 2h or 1d, today, yesterday, a date, or an RFC 3339 time"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_given_as_people_say_them() {
        let now: Timestamp = "2026-03-01T12:30:00Z".parse().unwrap();
        for (text, expected) in [
            ("now", "2026-03-01T12:30:00Z"),
            ("1h", "2026-03-01T11:30:00Z"),
            ("90m", "2026-03-01T11:00:00Z"),
            ("2d", "2026-02-27T12:30:00Z"),
            ("2h ago", "2026-03-01T10:30:00Z"),
            ("today", "2026-03-01T00:00:00Z"),
            ("yesterday", "2026-02-28T00:00:00Z"),
            ("2026-02-01", "2026-02-01T00:00:00Z"),
            ("2026-02-01T08:00:00+01:00", "2026-02-01T07:00:00Z"),
        ] {
            assert_eq!(parse_at(text, now.millis()).unwrap().to_string(), expected, "{text}");
        }
        for wrong in ["", "tomorrow", "1 fortnight", "2026-13-01", "h", "08:00"] {
            assert!(parse_at(wrong, now.millis()).is_err(), "{wrong}");
        }
    }
}
