//! Conditions with their values parsed once, and their evaluation on a request.

use crate::{
    json::float,
    request::facts::Facts,
    rules::condition::document::{Attribute, Condition, Operator},
    vocabulary::timestamp::Timestamp,
};
use ipnet::IpNet;
use semver::Version;
use std::{borrow::Cow, cmp::Ordering, net::IpAddr};

/// Error for a condition that cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCondition {
    /// The window ends at or before its start.
    #[error("the time window ends at or before its start, so it never holds")]
    EmptyWindow,
    /// The list of values is empty.
    #[error("at least one value is needed to compare with")]
    NoValues,
    /// The operator takes exactly one value, but has this many.
    #[error("this operator takes exactly one value, not {0}")]
    OneValue(usize),
    /// The value is not a number.
    #[error("{0:?} is not a number")]
    Number(String),
    /// The value is not a version.
    #[error("{0:?} is not a semantic version such as 1.2.3")]
    Version(String),
    /// The value is neither a network nor an IP address.
    #[error("{0:?} is not a network such as 10.0.0.0/8 or 2001:db8::/32")]
    Network(String),
}

/// Error for a list with an invalid condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("condition {position}: {error}")]
pub struct InvalidConditions {
    /// Index of the condition in its list.
    pub position: usize,
    /// The error of the condition.
    pub error: InvalidCondition,
}

/// A condition ready to be evaluated.
#[derive(Debug)]
pub enum CompiledCondition {
    /// See [`Condition::TimeWindow`].
    TimeWindow {
        /// Start of the window, inclusive.
        start: Timestamp,
        /// End of the window, exclusive; open if `None`.
        end: Option<Timestamp>,
    },
    /// See [`Condition::Attribute`].
    Attribute(Attribute, Test),
}

/// Test of an attribute's value: an operator with its parsed values.
#[derive(Debug)]
#[expect(missing_docs, reason = "one variant per group of operators")]
pub enum Test {
    OneOf(Vec<Box<str>>),
    NoneOf(Vec<Box<str>>),
    Contains(Vec<Box<str>>),
    StartsWith(Vec<Box<str>>),
    EndsWith(Vec<Box<str>>),
    Number(Comparison, f64),
    Version(Comparison, Version),
    Networks(Vec<IpNet>),
}

/// The orderings that satisfy a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Comparison {
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Comparison {
    pub(crate) fn accepts(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
        }
    }
}

impl CompiledCondition {
    /// Compiles a condition: checks and parses its values once.
    ///
    /// # Errors
    ///
    /// Fails if a time window is empty, the number of values does not suit the operator, or a value
    /// does not have the operator's type.
    pub fn new(condition: &Condition) -> Result<Self, InvalidCondition> {
        match condition {
            Condition::TimeWindow { start, end } => {
                let start = start.unwrap_or(Timestamp::from_millis(i64::MIN));
                match end {
                    Some(end) if *end <= start => Err(InvalidCondition::EmptyWindow),
                    end => Ok(Self::TimeWindow { start, end: *end }),
                }
            }
            Condition::Attribute { name, op, values } => {
                Ok(Self::Attribute(name.clone(), Test::new(*op, values)?))
            }
        }
    }

    /// Compiles the conditions of a list.
    ///
    /// # Errors
    ///
    /// Fails at the first condition that is invalid.
    pub fn all(conditions: &[Condition]) -> Result<Vec<Self>, InvalidConditions> {
        let compile = |(position, condition)| {
            Self::new(condition).map_err(|error| InvalidConditions { position, error })
        };
        conditions.iter().enumerate().map(compile).collect()
    }

    /// Returns true if the value of a cookie decides the condition.
    pub(crate) fn reads_cookies(&self) -> bool {
        match self {
            Self::Attribute(Attribute::Cookie(_), _) => true,
            Self::Attribute(Attribute::Header(name), _) => **name == *"cookie",
            _ => false,
        }
    }

    /// Returns true if the condition holds for the request at time `now`.
    pub fn holds(&self, facts: &Facts<'_>, now: Timestamp) -> bool {
        match self {
            Self::TimeWindow { start, end } => *start <= now && end.is_none_or(|end| now < end),
            Self::Attribute(attribute, test) => attribute.of(facts).is_some_and(|value| test.accepts(&value)),
        }
    }
}

impl Attribute {
    pub(super) fn of<'a>(&self, facts: &Facts<'a>) -> Option<Cow<'a, str>> {
        match self {
            Self::Header(name) => facts.header(name).map(Cow::Borrowed),
            Self::Cookie(name) => facts.cookie(name).map(Cow::Borrowed),
            Self::Query(name) => facts.query_parameter(name),
            Self::Path => Some(Cow::Borrowed(facts.path)),
            Self::Method => Some(Cow::Borrowed(facts.method)),
            Self::Country => facts.country.map(Cow::Borrowed),
            Self::Ip => facts.ip.map(Cow::Borrowed),
        }
    }
}

impl Test {
    fn new(op: Operator, values: &[String]) -> Result<Self, InvalidCondition> {
        let strings = || values.iter().map(|value| Box::from(value.as_str())).collect();
        let [first, rest @ ..] = values else { return Err(InvalidCondition::NoValues) };
        let single =
            || if rest.is_empty() { Ok(first) } else { Err(InvalidCondition::OneValue(values.len())) };
        let number = |comparison| {
            let text = single()?;
            parse_number(text)
                .map(|number| Self::Number(comparison, number))
                .ok_or_else(|| InvalidCondition::Number(text.clone()))
        };
        let version = |comparison| {
            let text = single()?;
            Version::parse(text)
                .map(|version| Self::Version(comparison, version))
                .map_err(|_| InvalidCondition::Version(text.clone()))
        };
        match op {
            Operator::Equals => single().map(|_| Self::OneOf(strings())),
            Operator::NotEquals => single().map(|_| Self::NoneOf(strings())),
            Operator::In => Ok(Self::OneOf(strings())),
            Operator::NotIn => Ok(Self::NoneOf(strings())),
            Operator::Contains => Ok(Self::Contains(strings())),
            Operator::StartsWith => Ok(Self::StartsWith(strings())),
            Operator::EndsWith => Ok(Self::EndsWith(strings())),
            Operator::Gt => number(Comparison::Greater),
            Operator::Gte => number(Comparison::GreaterOrEqual),
            Operator::Lt => number(Comparison::Less),
            Operator::Lte => number(Comparison::LessOrEqual),
            Operator::SemverEquals => version(Comparison::Equal),
            Operator::SemverGt => version(Comparison::Greater),
            Operator::SemverGte => version(Comparison::GreaterOrEqual),
            Operator::SemverLt => version(Comparison::Less),
            Operator::SemverLte => version(Comparison::LessOrEqual),
            Operator::Cidr => values
                .iter()
                .map(|text| parse_network(text).ok_or_else(|| InvalidCondition::Network(text.clone())))
                .collect::<Result<_, _>>()
                .map(Self::Networks),
        }
    }

    pub(crate) fn accepts(&self, value: &str) -> bool {
        match self {
            Self::OneOf(strings) => strings.iter().any(|text| **text == *value),
            Self::NoneOf(strings) => strings.iter().all(|text| **text != *value),
            Self::Contains(strings) => strings.iter().any(|text| value.contains(&**text)),
            Self::StartsWith(strings) => strings.iter().any(|text| value.starts_with(&**text)),
            Self::EndsWith(strings) => strings.iter().any(|text| value.ends_with(&**text)),
            Self::Number(comparison, limit) => parse_number(value)
                .and_then(|number| number.partial_cmp(limit))
                .is_some_and(|ordering| comparison.accepts(ordering)),
            Self::Version(comparison, limit) => Version::parse(value.trim())
                .is_ok_and(|version| comparison.accepts(version.cmp_precedence(limit))),
            Self::Networks(networks) => value.trim().parse::<IpAddr>().is_ok_and(|address| {
                let address = address.to_canonical();
                networks.iter().any(|network| network.contains(&address))
            }),
        }
    }
}

pub(super) fn parse_number(text: &str) -> Option<f64> {
    float(text.trim())
}

/// Parses a network, or a single address as the network that contains only this address.
fn parse_network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}
