//! Events that backends report in a response header: names, and values in thousandths.
//!
//! ```
//! use cutover_core::request::event::read_header;
//!
//! let read = read_header("purchase;value=12.5, signup");
//! let [purchase, signup] = read.events.as_slice() else { panic!() };
//! assert_eq!((purchase.name, purchase.value), ("purchase", Some(12_500)));
//! assert_eq!((signup.name, signup.value), ("signup", None));
//! assert_eq!(read.malformed, 0);
//! ```

/// Most events in one header.
pub const MAX_EVENTS: usize = 8;

/// Longest name of an event, in bytes.
pub const MAX_NAME: usize = 128;

/// Largest value of an event, in thousandths: twelve digits before the decimal point and three behind it.
pub const MAX_VALUE: u64 = 999_999_999_999_999;

const MAX_WHOLE_DIGITS: usize = 12;
const MAX_FRACTION_DIGITS: usize = 3;

/// An event of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportedEvent<'h> {
    /// Name of the event.
    pub name: &'h str,
    /// Value, in thousandths.
    pub value: Option<u64>,
}

/// Events of a header.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderEvents<'h> {
    /// The first [`MAX_EVENTS`] events, in their order.
    pub events: Vec<ReportedEvent<'h>>,
    /// Number of entries that are left out: those that are not understood, and those beyond [`MAX_EVENTS`].
    pub malformed: usize,
}

/// Reads a header of entries `NAME` or `NAME;value=DECIMAL`, separated by commas. A decimal has no sign, and up to three digits
/// behind the point. Empty entries are no entries.
pub fn read_header(header: &str) -> HeaderEvents<'_> {
    let mut read = HeaderEvents::default();
    for entry in header.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        match read_entry(entry) {
            Some(event) if read.events.len() < MAX_EVENTS => read.events.push(event),
            _ => read.malformed += 1,
        }
    }
    read
}

fn read_entry(entry: &str) -> Option<ReportedEvent<'_>> {
    let (name, parameter) = match entry.split_once(';') {
        Some((name, parameter)) => (name.trim_end(), Some(parameter.trim_start())),
        None => (entry, None),
    };
    let value = match parameter {
        Some(parameter) => Some(read_value(parameter.strip_prefix("value=")?)?),
        None => None,
    };
    // The runtime hands headers over byte by byte: any other name would never be that of a metric.
    (name.is_ascii() && is_event_name(name)).then_some(ReportedEvent { name, value })
}

/// Returns true for a string of 1 to [`MAX_NAME`] bytes without control characters and without spaces around it.
pub fn is_event_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && name.trim() == name && !name.chars().any(char::is_control)
}

fn read_value(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if !is_number(whole, MAX_WHOLE_DIGITS) || !is_number(fraction, MAX_FRACTION_DIGITS) {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let fraction: u64 = format!("{fraction:0<3}").parse().ok()?;
    Some(whole * 1_000 + fraction)
}

fn is_number(digits: &str, most: usize) -> bool {
    (1..=most).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(header: &str, events: &[(&str, Option<u64>)], malformed: usize) {
        let read = read_header(header);
        let found: Vec<_> = read.events.iter().map(|event| (event.name, event.value)).collect();
        assert_eq!((found.as_slice(), read.malformed), (events, malformed), "{header:?}");
    }

    #[test]
    fn reads_names_and_decimals() {
        check("purchase", &[("purchase", None)], 0);
        check("purchase;value=12.5", &[("purchase", Some(12_500))], 0);
        check(
            " a ; value=0 ,b;value=0.001,\tc;value=7.25 ",
            &[("a", Some(0)), ("b", Some(1)), ("c", Some(7_250))],
            0,
        );
        check("a;value=999999999999.999", &[("a", Some(MAX_VALUE))], 0);
        check("Sign up=now", &[("Sign up=now", None)], 0);
        check("a, ,a,", &[("a", None), ("a", None)], 0);
        check("", &[], 0);
    }

    #[test]
    fn leaves_out_what_is_malformed_and_keeps_the_rest() {
        for wrong in [
            ";value=1",
            "a;",
            "a;value=",
            "a;value=.5",
            "a;value=1.",
            "a;value=1.2345",
            "a;value=-1",
            "a;value=+1",
            "a;value=1e3",
            "a;value=0x1",
            "a;value= 1",
            "a;value=1;value=2",
            "a;value=1000000000000",
            "a;price=1",
            "a;VALUE=1",
            "\u{e9}t\u{e9}",
            "a\tb",
        ] {
            check(wrong, &[], 1);
            check(&format!("b, {wrong} ,c;value=1"), &[("b", None), ("c", Some(1_000))], 1);
        }
        check(&"n".repeat(MAX_NAME + 1), &[], 1);
        let name = "n".repeat(MAX_NAME);
        check(&name, &[(&name, None)], 0);
    }

    #[test]
    fn reads_the_first_eight_events() {
        let header = ["a"; MAX_EVENTS + 3].join(",");
        check(&header, &[("a", None); MAX_EVENTS], 3);
    }

    proptest! {
        #[test]
        fn any_header_is_read(header in "\\PC*|[a-c;=,. 0-9value]{0,80}") {
            let HeaderEvents { events, malformed } = read_header(&header);
            let entries = header.split(',').filter(|entry| !entry.trim().is_empty()).count();
            prop_assert_eq!(events.len() + malformed, entries);
            prop_assert!(events.len() <= MAX_EVENTS);
            for event in events {
                prop_assert!(is_event_name(event.name));
                prop_assert!(event.value.unwrap_or_default() <= MAX_VALUE);
            }
        }

        #[test]
        fn every_value_is_read_to_its_thousandth(value in 0..=MAX_VALUE) {
            let header = format!("a;value={}.{:03}", value / 1_000, value % 1_000);
            let expected = [ReportedEvent { name: "a", value: Some(value) }];
            prop_assert_eq!(read_header(&header).events, expected);
        }
    }
}
