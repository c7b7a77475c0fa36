//! Times as people read them: with all digits, and with their distance from now.

use crate::clock;
use cutover_core::Timestamp;

/// Length of a time with milliseconds: `2026-01-31T23:59:59.000Z`.
const TIME_CHARS: usize = 24;

/// Mark before a time that is over.
pub const EXPIRED: &str = "expired ";

/// Units of relative times with their lengths in milliseconds, the largest first.
const UNITS: [(i64, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")];

/// Returns a time with its distance from now, such as `2026-01-31T23:59:59.000Z (5 min ago)`; any other text as it is.
pub fn time(text: &str) -> String {
    match text.parse::<Timestamp>() {
        Ok(time) => format!("{} ({})", fixed(text), relative(time.millis(), clock::now())),
        Err(_) => text.to_owned(),
    }
}

/// Gives a time all digits of its milliseconds, so that columns of times are aligned and sorted. Any other text is returned
/// as it is.
pub fn fixed(text: &str) -> String {
    let Some(start) = text.strip_suffix('Z').filter(|_| is_time(text)) else { return text.to_owned() };
    let (seconds, fraction) = start.split_once('.').unwrap_or((start, ""));
    format!("{seconds}.{fraction:0<3}Z")
}

/// Returns the distance from now alone for a cell that is a time, with its distance, a mark or neither; `None` for any other
/// cell.
pub fn distance(cell: &str) -> Option<String> {
    let (mark, rest) = cell.strip_prefix(EXPIRED).map_or(("", cell), |rest| (EXPIRED, rest));
    let (text, after) = rest.split_once(' ').unwrap_or((rest, "()"));
    let is_alone = after.starts_with('(') && after.ends_with(')');
    let time: Timestamp = text.parse().ok().filter(|_| is_alone && is_time(text))?;
    Some(format!("{mark}{}", relative(time.millis(), clock::now())))
}

fn is_time(text: &str) -> bool {
    text.ends_with('Z') && text.len() <= TIME_CHARS && text.parse::<Timestamp>().is_ok()
}

/// Returns the distance of a time from now, in its largest unit.
fn relative(time: i64, now: i64) -> String {
    let distance = time.saturating_sub(now);
    let length = distance.saturating_abs();
    match UNITS.iter().find(|(unit, _)| length >= *unit) {
        None => "now".to_owned(),
        Some((unit, name)) if distance > 0 => format!("in {} {name}", length / unit),
        Some((unit, name)) => format!("{} {name} ago", length / unit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_all_their_digits() {
        for (text, expected) in [
            ("2026-11-21T14:51:42Z", "2026-11-21T14:51:42.000Z"),
            ("2026-11-21T14:51:42.1Z", "2026-11-21T14:51:42.100Z"),
            ("2026-11-21T15:08:05.87Z", "2026-11-21T15:08:05.870Z"),
            ("2026-11-21T15:08:05.866Z", "2026-11-21T15:08:05.866Z"),
            ("quiz", "quiz"),
            ("Z", "Z"),
        ] {
            assert_eq!(fixed(text), expected);
        }
    }

    #[test]
    fn times_are_also_given_as_a_distance() {
        for (distance, expected) in [
            (0, "now"),
            (-999, "now"),
            (-1_000, "1 s ago"),
            (-119_999, "1 min ago"),
            (7_200_000, "in 2 h"),
            (90 * 86_400_000, "in 90 d"),
        ] {
            assert_eq!(relative(1_000_000 + distance, 1_000_000), expected);
        }
        assert_eq!(time("-"), "-", "no time");
        assert!(time("2001-01-01T00:00:00Z").starts_with("2001-01-01T00:00:00.000Z ("));
    }

    #[test]
    fn a_cell_with_a_time_has_its_distance_alone() {
        let text = "2001-01-01T00:00:00Z";
        let expected = distance(text).unwrap();
        assert!(expected.ends_with(" d ago"), "{expected}");
        assert_eq!(distance(&time(text)), Some(expected.clone()));
        assert_eq!(distance(&format!("expired {}", time(text))), Some(format!("expired {expected}")));
        for other in ["-", "", "expired", "running", "2001-01-01T00:00:00Z was the first day", "2001-01-01"] {
            assert_eq!(distance(other), None, "{other}");
        }
    }
}
