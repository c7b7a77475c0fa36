//! Equality of values after normalisation.

use crate::{
    json::{Decimal, value::Json},
    vocabulary::timestamp::Timestamp,
};

pub(crate) fn same_number(a: &str, b: &str, tolerance: Option<f64>) -> bool {
    match (Decimal::parse(a), Decimal::parse(b)) {
        (Some(a), Some(b)) => {
            a == b || tolerance.is_some_and(|tolerance| (a.as_f64() - b.as_f64()).abs() <= tolerance)
        }
        _ => false,
    }
}

/// Returns the milliseconds since 1970 of a timestamp: an RFC 3339 string, or a number of seconds,
/// or of milliseconds if it is 10^11 or more (as seconds, the year 5138).
pub(crate) fn moment(value: &Json<'_>) -> Option<i64> {
    match value {
        Json::Text(text) => text.parse::<Timestamp>().ok().map(Timestamp::millis),
        Json::Number(digits) => {
            let number = Decimal::parse(digits)?.as_i64()?;
            if number.abs() < 100_000_000_000 { number.checked_mul(1000) } else { Some(number) }
        }
        _ => None,
    }
}

pub(crate) fn digits<'j>(value: &'j Json<'_>) -> Option<&'j str> {
    match value {
        Json::Text(text) => Some(text.trim()),
        Json::Number(digits) => Some(digits),
        _ => None,
    }
}
