//! Freeze windows: times of the week, each in its own time zone, in which a canary does not
//! advance.

use crate::{
    canary::plan::{FreezeWindow, Weekday},
    vocabulary::timestamp::Timestamp,
};
use jiff::{ToSpan, Zoned, civil::Time, tz::TimeZone};

/// Checks the time zone and the times of a freeze window.
///
/// # Errors
///
/// Fails with a message for operators if the time zone is unknown or a time is not of the form
/// `HH:MM`.
pub fn check(window: &FreezeWindow) -> Result<(), String> {
    zone(&window.timezone)
        .ok_or_else(|| format!("{:?} is not an IANA time zone such as Europe/Oslo", window.timezone))?;
    for text in [&window.start, &window.end] {
        time(text).ok_or_else(|| format!("{text:?} is not a time of day such as 16:30"))?;
    }
    Ok(())
}

/// Returns true if `now` is inside any of the windows. A malformed window always counts as open,
/// because not advancing is the safe side.
pub fn is_frozen(windows: &[FreezeWindow], now: Timestamp) -> bool {
    windows.iter().any(|window| holds(window, now).unwrap_or(true))
}

fn holds(window: &FreezeWindow, now: Timestamp) -> Option<bool> {
    let local = jiff::Timestamp::from_millisecond(now.millis()).ok()?.to_zoned(zone(&window.timezone)?);
    let (start, end) = (time(&window.start)?, time(&window.end)?);
    let begins_on = |day: &Zoned| window.days.iter().any(|name| weekday(*name) == day.weekday());
    let clock = local.time();
    if start < end {
        return Some(begins_on(&local) && start <= clock && clock < end);
    }
    // Past midnight: the window began today, or yesterday and has not ended yet.
    let yesterday = local.checked_sub(1.day()).ok()?;
    Some((begins_on(&local) && start <= clock) || (begins_on(&yesterday) && clock < end))
}

fn zone(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok()
}

fn time(text: &str) -> Option<Time> {
    let (hours, minutes) = text.split_once(':')?;
    Time::new(hours.parse().ok()?, minutes.parse().ok()?, 0, 0).ok()
}

fn weekday(name: Weekday) -> jiff::civil::Weekday {
    match name {
        Weekday::Mon => jiff::civil::Weekday::Monday,
        Weekday::Tue => jiff::civil::Weekday::Tuesday,
        Weekday::Wed => jiff::civil::Weekday::Wednesday,
        Weekday::Thu => jiff::civil::Weekday::Thursday,
        Weekday::Fri => jiff::civil::Weekday::Friday,
        Weekday::Sat => jiff::civil::Weekday::Saturday,
        Weekday::Sun => jiff::civil::Weekday::Sunday,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_meant_in_their_own_zone() {
        let window = FreezeWindow {
            timezone: "Europe/Oslo".to_owned(),
            days: vec![Weekday::Fri],
            start: "16:00".to_owned(),
            end: "08:00".to_owned(),
        };
        assert_eq!(check(&window), Ok(()));
        // 2026-07-03 is a Friday; Oslo is two hours ahead in summer, one in winter.
        for (time, frozen) in [
            ("2026-07-03T13:59:59Z", false),
            ("2026-07-03T14:00:00Z", true),
            ("2026-07-04T05:59:59Z", true),
            ("2026-07-04T06:00:00Z", false),
            ("2026-01-02T14:30:00Z", false),
            ("2026-01-02T15:00:00Z", true),
            ("2026-07-05T20:00:00Z", false),
        ] {
            assert_eq!(is_frozen(std::slice::from_ref(&window), time.parse().unwrap()), frozen, "{time}");
        }
        for broken in [
            FreezeWindow { timezone: "Mars/Olympus".to_owned(), ..window.clone() },
            FreezeWindow { start: "25:00".to_owned(), ..window.clone() },
        ] {
            assert!(check(&broken).is_err());
            assert!(is_frozen(&[broken], "2026-07-05T20:00:00Z".parse().unwrap()), "malformed is frozen");
        }
    }
}
