//! Durations from seconds to days: parsed from arguments, and formatted in at most two units.

use std::time::Duration;

/// Units from the longest to the shortest: seconds, letter in arguments, name in sentences.
const UNITS: [(u64, char, &str); 4] =
    [(86_400, 'd', "d"), (3_600, 'h', "h"), (60, 'm', "min"), (1, 's', "s")];

/// Parses a duration such as 90s, 30m, 2h or 1d.
///
/// # Errors
///
/// Fails if the text is no whole number with a unit.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let malformed = || "use a whole number with s, m, h or d, such as 2h".to_owned();
    let unit = UNITS.iter().find_map(|(seconds, letter, _)| Some((*seconds, text.strip_suffix(*letter)?)));
    let (seconds, digits) = unit.ok_or_else(malformed)?;
    let number: u32 = digits.parse().map_err(|_| malformed())?;
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

/// Formats milliseconds in the two longest units that fit, rounded up to a second; a negative number is `0 s`.
pub(super) fn short(ms: i64) -> String {
    let mut rest = ms.max(0).unsigned_abs().div_ceil(1_000);
    let longest = UNITS.iter().position(|(unit, ..)| rest >= *unit);
    let Some(longest) = longest else { return "0 s".to_owned() };
    let mut parts: Vec<String> = Vec::new();
    for (unit, _, name) in UNITS.iter().skip(longest).take(2) {
        if rest >= *unit {
            parts.push(format!("{} {name}", rest / unit));
        }
        rest %= unit;
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_parsed_with_their_unit() {
        for (text, seconds) in [("0s", 0), ("90s", 90), ("30m", 1_800), ("2h", 7_200), ("1d", 86_400)] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for wrong in ["", "s", "2", "-1h", "1.5h", "2 h", "2min", "99999999999d"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_are_formatted_in_two_units() {
        for (ms, expected) in [
            (-5_000, "0 s"),
            (0, "0 s"),
            (1, "1 s"),
            (12_000, "12 s"),
            (60_000, "1 min"),
            (61_500, "1 min 2 s"),
            (3_600_000, "1 h"),
            (3_605_000, "1 h"),
            (7_500_000, "2 h 5 min"),
            (266_400_000, "3 d 2 h"),
        ] {
            assert_eq!(short(ms), expected, "{ms}");
        }
    }
}
