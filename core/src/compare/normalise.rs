//! Equality of values after normalisation.

use crate::{
    compare::policy::{Normalise, Rule},
    json::{Decimal, value::Json},
    vocabulary::timestamp::Timestamp,
};

fn same_number(a: &str, b: &str, tolerance: Option<f64>) -> bool {
    match (Decimal::parse(a), Decimal::parse(b)) {
        (Some(a), Some(b)) => {
            a == b || tolerance.is_some_and(|tolerance| (a.as_f64() - b.as_f64()).abs() <= tolerance)
        }
        _ => false,
    }
}

/// Returns the milliseconds since 1970 of a timestamp: an RFC 3339 string, an HTTP date, or a number
/// of seconds, or of milliseconds if it is 10^11 or more (as seconds, the year 5138).
fn moment(value: &Json<'_>) -> Option<i64> {
    match value {
        Json::Text(text) => {
            let timestamp = text.parse::<Timestamp>().ok().or_else(|| Timestamp::from_http_date(text));
            timestamp.map(Timestamp::millis)
        }
        Json::Number(digits) => {
            let number = Decimal::parse(digits)?.as_i64()?;
            if number.abs() < 100_000_000_000 { number.checked_mul(1000) } else { Some(number) }
        }
        _ => None,
    }
}

fn digits<'j>(value: &'j Json<'_>) -> Option<&'j str> {
    match value {
        Json::Text(text) => Some(text.trim()),
        Json::Number(digits) => Some(digits),
        _ => None,
    }
}

impl Rule {
    /// Returns true if two values are equal by the rule's normalisation.
    pub(super) fn makes_equal(&self, old: &Json<'_>, new: &Json<'_>) -> bool {
        let texts = old.as_text().zip(new.as_text());
        match self.normalise {
            Some(Normalise::Lowercase) => texts.is_some_and(|(a, b)| a.eq_ignore_ascii_case(b)),
            Some(Normalise::Whitespace) => {
                texts.is_some_and(|(a, b)| a.split_ascii_whitespace().eq(b.split_ascii_whitespace()))
            }
            Some(Normalise::Date) => match (moment(old), moment(new)) {
                (Some(a), Some(b)) => a == b,
                _ => false,
            },
            Some(Normalise::Number) => match (digits(old), digits(new)) {
                (Some(a), Some(b)) => same_number(a, b, self.tolerance),
                _ => false,
            },
            None => false,
        }
    }

    /// Returns true if two numbers are equal: by their digits if the rule is exact, by their value
    /// and within the tolerance otherwise.
    pub(super) fn makes_equal_numbers(&self, old: &str, new: &str) -> bool {
        old == new || (!self.exact && same_number(old, new, self.tolerance))
    }
}

/// Returns the form that a value shares with all values that a normalisation makes equal to it;
/// `None` if the normalisation does not apply to the value.
pub(super) fn normalised(normalise: Normalise, value: &Json<'_>) -> Option<String> {
    match normalise {
        Normalise::Lowercase => Some(Json::text(value.as_text()?.to_ascii_lowercase()).to_string()),
        Normalise::Whitespace => {
            let words: Vec<&str> = value.as_text()?.split_ascii_whitespace().collect();
            Some(Json::text(words.join(" ")).to_string())
        }
        Normalise::Date => moment(value).map(|ms| format!("@{ms}")),
        Normalise::Number => {
            let digits = digits(value)?;
            Decimal::parse(digits).map(|_| number_form(digits))
        }
    }
}

/// Returns the form that a number shares with all numbers of the same value.
pub(super) fn number_form(digits: &str) -> String {
    match Decimal::parse(digits) {
        // Equal decimals have equal fields, so their debug output is a canonical form.
        Some(decimal) => format!("#{decimal:?}"),
        None => digits.to_owned(),
    }
}
