//! The reason for which a condition does not hold for a request, in words for operators.

use crate::{
    request::facts::Facts,
    rules::condition::{
        compiled::{Comparison, CompiledCondition, InvalidCondition, Test, parse_number},
        document::{Attribute, Condition},
    },
    vocabulary::timestamp::Timestamp,
};
use semver::Version;
use std::{borrow::Cow, fmt, net::IpAddr};

/// Most values of a condition that a reason names.
const NAMED: usize = 5;

/// Reason for which a condition does not hold for a request.
#[derive(Debug)]
pub enum ConditionFailure {
    /// The condition holds for no request.
    Invalid(InvalidCondition),
    /// The time window begins later.
    NotBegun(Timestamp),
    /// The time window is over.
    Ended(Timestamp),
    /// The request lacks the attribute.
    Missing(Attribute),
    /// The value of the attribute is not of the type that the operator compares.
    Unreadable {
        /// The attribute.
        attribute: Attribute,
        /// Its value.
        value: String,
        /// The type, with its article.
        expected: &'static str,
    },
    /// The value of the attribute is another one.
    Refused {
        /// The attribute.
        attribute: Attribute,
        /// Its value.
        value: String,
        /// The test that does not accept it.
        test: Test,
    },
}

impl Condition {
    /// Returns the reason for which the condition does not hold for the request at time `now`; `None` if it holds.
    pub fn failure(&self, facts: &Facts<'_>, now: Timestamp) -> Option<ConditionFailure> {
        let compiled = match CompiledCondition::new(self) {
            Ok(compiled) if compiled.holds(facts, now) => return None,
            Ok(compiled) => compiled,
            Err(invalid) => return Some(ConditionFailure::Invalid(invalid)),
        };
        Some(match compiled {
            CompiledCondition::TimeWindow { end: Some(end), .. } if end <= now => {
                ConditionFailure::Ended(end)
            }
            CompiledCondition::TimeWindow { start, .. } => ConditionFailure::NotBegun(start),
            CompiledCondition::Attribute(attribute, test) => match attribute.of(facts).map(Cow::into_owned) {
                None => ConditionFailure::Missing(attribute),
                Some(value) => match type_missed(&test, &value) {
                    Some(expected) => ConditionFailure::Unreadable { attribute, value, expected },
                    None => ConditionFailure::Refused { attribute, value, test },
                },
            },
        })
    }
}

/// Returns the type that a test compares, if a value is not of that type.
fn type_missed(test: &Test, value: &str) -> Option<&'static str> {
    let (is_read, expected) = match test {
        Test::Number(..) => (parse_number(value).is_some(), "a number"),
        Test::Version(..) => (Version::parse(value.trim()).is_ok(), "a semantic version such as 1.2.3"),
        Test::Networks(_) => (value.trim().parse::<IpAddr>().is_ok(), "an IP address"),
        Test::OneOf(_) | Test::NoneOf(_) | Test::Contains(_) | Test::StartsWith(_) | Test::EndsWith(_) => {
            return None;
        }
    };
    (!is_read).then_some(expected)
}

/// Describes a value that a test does not accept, as a relative clause.
fn refusal(test: &Test) -> String {
    match test {
        Test::OneOf(values) => format!("which is not {}", any_of(&quoted(values))),
        Test::NoneOf(_) => "which is excluded".to_owned(),
        Test::Contains(values) => format!("which does not contain {}", any_of(&quoted(values))),
        Test::StartsWith(values) => format!("which does not start with {}", any_of(&quoted(values))),
        Test::EndsWith(values) => format!("which does not end with {}", any_of(&quoted(values))),
        Test::Number(comparison, limit) => format!("which is not {} {limit}", words(*comparison)),
        Test::Version(comparison, limit) => format!("which is not {} {limit}", words(*comparison)),
        Test::Networks(networks) => {
            let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
            format!("which is not in {}", any_of(&networks))
        }
    }
}

fn words(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => "equal to",
        Comparison::Greater => "greater than",
        Comparison::GreaterOrEqual => "at least",
        Comparison::Less => "less than",
        Comparison::LessOrEqual => "at most",
    }
}

fn quoted(values: &[Box<str>]) -> Vec<String> {
    values.iter().map(|value| format!("{value:?}")).collect()
}

/// Lists values, the first ones of many.
fn any_of(values: &[String]) -> String {
    let named: Vec<&str> = values.iter().take(NAMED).map(String::as_str).collect();
    let named = named.join(", ");
    match (values.len(), values.len().saturating_sub(NAMED)) {
        (0 | 1, _) => named,
        (_, 0) => format!("any of {named}"),
        (_, others) => format!("any of {named} and {others} more"),
    }
}

impl fmt::Display for ConditionFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(invalid) => write!(f, "{invalid}"),
            Self::NotBegun(start) => write!(f, "the time window begins at {start}"),
            Self::Ended(end) => write!(f, "the time window ended at {end}"),
            Self::Missing(attribute) => write!(f, "the request has no {attribute}"),
            Self::Unreadable { attribute, value, expected } => {
                write!(f, "{attribute} is {value:?}, which is not {expected}")
            }
            Self::Refused { attribute, value, test } => {
                write!(f, "{attribute} is {value:?}, {}", refusal(test))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn attribute(name: &str, op: &str, values: &[&str]) -> Condition {
        let condition = json!({ "type": "attribute", "name": name, "op": op, "values": values });
        serde_json::from_value(condition).unwrap()
    }

    fn window(start: Option<&str>, end: Option<&str>) -> Condition {
        let time = |text: Option<&str>| text.map(|text| text.parse().unwrap());
        Condition::TimeWindow { start: time(start), end: time(end) }
    }

    /// Returns the reason for a request from Germany with a few headers, in the middle of 2026.
    fn reason(condition: &Condition) -> String {
        let facts = Facts {
            country: Some("DE"),
            ip: Some("192.0.2.1"),
            headers: &[("x-version", "2.1"), ("x-build", "7"), ("x-quote", "a\"b\n")],
            ..Facts::default()
        };
        let failure = condition.failure(&facts, "2026-06-01T00:00:00Z".parse().unwrap());
        failure.map(|failure| failure.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_condition_that_does_not_hold_says_why() {
        let (start, end) = ("2024-01-01T00:00:00Z", "2024-12-31T23:59:59Z");
        for (condition, expected) in [
            (window(Some(start), Some(end)), "the time window ended at 2024-12-31T23:59:59Z"),
            (window(None, Some(end)), "the time window ended at 2024-12-31T23:59:59Z"),
            (window(Some("2027-01-01T00:00:00Z"), None), "the time window begins at 2027-01-01T00:00:00Z"),
            (
                window(Some(end), Some(start)),
                "the time window ends at or before its start, so it never holds",
            ),
            (attribute("cookie:beta", "equals", &["yes"]), "the request has no cookie:beta"),
            (
                attribute("header:x-version", "semver_gte", &["2.0.0"]),
                "header:x-version is \"2.1\", which is not a semantic version such as 1.2.3",
            ),
            (attribute("country", "gt", &["7"]), "country is \"DE\", which is not a number"),
            (attribute("country", "cidr", &["10.0.0.0/8"]), "country is \"DE\", which is not an IP address"),
            (
                attribute("country", "in", &["FR", "IT"]),
                "country is \"DE\", which is not any of \"FR\", \"IT\"",
            ),
            (
                attribute("country", "in", &["a", "b", "c", "d", "e", "f", "g"]),
                "country is \"DE\", which is not any of \"a\", \"b\", \"c\", \"d\", \"e\" and 2 more",
            ),
            (attribute("country", "equals", &["FR"]), "country is \"DE\", which is not \"FR\""),
            (attribute("country", "not_in", &["DE", "FR"]), "country is \"DE\", which is excluded"),
            (
                attribute("country", "starts_with", &["F"]),
                "country is \"DE\", which does not start with \"F\"",
            ),
            (
                attribute("header:x-quote", "contains", &["c"]),
                "header:x-quote is \"a\\\"b\\n\", which does not contain \"c\"",
            ),
            (
                attribute("header:x-build", "gt", &["7"]),
                "header:x-build is \"7\", which is not greater than 7",
            ),
            (
                attribute("header:x-build", "lte", &["6.5"]),
                "header:x-build is \"7\", which is not at most 6.5",
            ),
            (
                attribute("ip", "cidr", &["10.0.0.0/8", "2001:db8::/32"]),
                "ip is \"192.0.2.1\", which is not in any of 10.0.0.0/8, 2001:db8::/32",
            ),
        ] {
            assert_eq!(reason(&condition), expected);
        }
    }

    #[test]
    fn a_condition_that_holds_has_no_reason() {
        for condition in [window(Some("2026-01-01T00:00:00Z"), None), attribute("country", "in", &["DE"])] {
            assert_eq!(reason(&condition), "");
        }
    }
}
