//! Conditions: typed questions about a request. All of a flag's conditions must hold.
//!
//! A condition that cannot be evaluated (the attribute is missing, the text is not a number, not a version,
//! not an address) does not hold, whatever its operator; also `not_equals` and `not_in`.

use crate::json::{float, read_names, read_text};
mod written;

use crate::{facts::Facts, identity::is_token, timestamp::Timestamp};
use ipnet::IpNet;
use semver::Version;
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, cmp::Ordering, fmt, net::IpAddr, str::FromStr};
use written::Written;

/// A condition as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum Condition {
    /// Holds from `start` on and before `end`; a side that is not written is open.
    TimeWindow {
        /// The first moment.
        start: Option<Timestamp>,
        /// The first moment after it.
        end: Option<Timestamp>,
    },
    /// Compares an attribute of the request.
    Attribute {
        /// Which attribute.
        name: Attribute,
        /// How it is compared.
        op: Operator,
        /// With what.
        values: Vec<String>,
    },
}

/// An attribute of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Attribute {
    /// A header, name in lower case.
    Header(Box<str>),
    /// A cookie.
    Cookie(Box<str>),
    /// The first query parameter of the name, decoded.
    Query(Box<str>),
    /// The path as it was sent.
    Path,
    /// The method.
    Method,
    /// The client's country, ISO 3166.
    Country,
    /// The client's address.
    Ip,
}

/// The text does not name an attribute.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an attribute; write header:NAME, cookie:NAME, query:NAME, path, method, country or ip")]
pub struct InvalidAttribute(String);

impl FromStr for Attribute {
    type Err = InvalidAttribute;
    fn from_str(text: &str) -> Result<Self, InvalidAttribute> {
        match text.split_once(':') {
            Some(("header", name)) if is_token(name) => Ok(Self::Header(name.to_ascii_lowercase().into())),
            Some(("cookie", name)) if is_token(name) => Ok(Self::Cookie(name.into())),
            Some(("query", name)) if !name.is_empty() => Ok(Self::Query(name.into())),
            None => match text {
                "path" => Ok(Self::Path),
                "method" => Ok(Self::Method),
                "country" => Ok(Self::Country),
                "ip" => Ok(Self::Ip),
                _ => Err(InvalidAttribute(text.to_owned())),
            },
            _ => Err(InvalidAttribute(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Attribute {
    type Error = InvalidAttribute;
    fn try_from(text: String) -> Result<Self, InvalidAttribute> {
        text.parse()
    }
}

impl From<Attribute> for String {
    fn from(attribute: Attribute) -> String {
        attribute.to_string()
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Query(name) => write!(f, "query:{name}"),
            Self::Path => f.write_str("path"),
            Self::Method => f.write_str("method"),
            Self::Country => f.write_str("country"),
            Self::Ip => f.write_str("ip"),
        }
    }
}

/// How an attribute is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the documentation; docs/configuration.md has the table")]
pub enum Operator {
    Equals,
    NotEquals,
    In,
    NotIn,
    Contains,
    StartsWith,
    EndsWith,
    Gt,
    Gte,
    Lt,
    Lte,
    SemverEquals,
    SemverGt,
    SemverGte,
    SemverLt,
    SemverLte,
    Cidr,
}

impl Operator {
    /// All operators by the name they are written with.
    pub const ALL: [(&'static str, Operator); 17] = [
        ("equals", Self::Equals),
        ("not_equals", Self::NotEquals),
        ("in", Self::In),
        ("not_in", Self::NotIn),
        ("contains", Self::Contains),
        ("starts_with", Self::StartsWith),
        ("ends_with", Self::EndsWith),
        ("gt", Self::Gt),
        ("gte", Self::Gte),
        ("lt", Self::Lt),
        ("lte", Self::Lte),
        ("semver_equals", Self::SemverEquals),
        ("semver_gt", Self::SemverGt),
        ("semver_gte", Self::SemverGte),
        ("semver_lt", Self::SemverLt),
        ("semver_lte", Self::SemverLte),
        ("cidr", Self::Cidr),
    ];
}

/// Why a condition cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCondition {
    /// The window ends before it starts.
    #[error("the time window ends at or before its start, so it never holds")]
    EmptyWindow,
    /// There is nothing to compare with.
    #[error("at least one value is needed to compare with")]
    NoValues,
    /// The operator compares with one value.
    #[error("this operator compares with exactly one value, not {0}")]
    OneValue(usize),
    /// The value is not a number.
    #[error("{0:?} is not a number")]
    Number(String),
    /// The value is not a version.
    #[error("{0:?} is not a semantic version such as 1.2.3")]
    Version(String),
    /// The value is not a network.
    #[error("{0:?} is not a network such as 10.0.0.0/8 or 2001:db8::/32")]
    Network(String),
}

/// A condition ready to be evaluated.
#[derive(Debug)]
pub enum CompiledCondition {
    /// See [`Condition::TimeWindow`].
    TimeWindow {
        /// The first moment.
        start: Timestamp,
        /// The first moment after it, if there is one.
        end: Option<Timestamp>,
    },
    /// See [`Condition::Attribute`].
    Attribute(Attribute, Test),
}

/// What is asked of the text of an attribute.
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

/// Which orderings satisfy a comparison.
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
    fn accepts(self, ordering: Ordering) -> bool {
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
    /// Prepares a condition for evaluation.
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

    /// Whether the condition holds for this request at this moment.
    pub fn holds(&self, facts: &Facts<'_>, now: Timestamp) -> bool {
        match self {
            Self::TimeWindow { start, end } => *start <= now && end.is_none_or(|end| now < end),
            Self::Attribute(attribute, test) => attribute.of(facts).is_some_and(|value| test.accepts(&value)),
        }
    }
}

impl Attribute {
    fn of<'a>(&self, facts: &Facts<'a>) -> Option<Cow<'a, str>> {
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
        let texts = || values.iter().map(|value| Box::from(value.as_str())).collect();
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
            Operator::Equals => single().map(|_| Self::OneOf(texts())),
            Operator::NotEquals => single().map(|_| Self::NoneOf(texts())),
            Operator::In => Ok(Self::OneOf(texts())),
            Operator::NotIn => Ok(Self::NoneOf(texts())),
            Operator::Contains => Ok(Self::Contains(texts())),
            Operator::StartsWith => Ok(Self::StartsWith(texts())),
            Operator::EndsWith => Ok(Self::EndsWith(texts())),
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

    fn accepts(&self, value: &str) -> bool {
        match self {
            Self::OneOf(texts) => texts.iter().any(|text| **text == *value),
            Self::NoneOf(texts) => texts.iter().all(|text| **text != *value),
            Self::Contains(texts) => texts.iter().any(|text| value.contains(&**text)),
            Self::StartsWith(texts) => texts.iter().any(|text| value.starts_with(&**text)),
            Self::EndsWith(texts) => texts.iter().any(|text| value.ends_with(&**text)),
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

fn parse_number(text: &str) -> Option<f64> {
    float(text.trim())
}

/// A network, or a single address as the network that holds only it.
fn parse_network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

read_text!(Attribute);
read_names!(Operator {
    "equals" => Equals,
    "not_equals" => NotEquals,
    "in" => In,
    "not_in" => NotIn,
    "contains" => Contains,
    "starts_with" => StartsWith,
    "ends_with" => EndsWith,
    "gt" => Gt,
    "gte" => Gte,
    "lt" => Lt,
    "lte" => Lte,
    "semver_equals" => SemverEquals,
    "semver_gt" => SemverGt,
    "semver_gte" => SemverGte,
    "semver_lt" => SemverLt,
    "semver_lte" => SemverLte,
    "cidr" => Cidr,
});
