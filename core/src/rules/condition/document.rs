//! Conditions: typed predicates on a request. All of a flag's conditions must hold.
//!
//! ```json
//! [
//!   { "type": "time_window", "start": "2026-01-31T22:00:00Z", "end": "2026-02-01T06:00:00Z" },
//!   { "type": "attribute", "name": "header:x-client", "op": "in", "values": ["ios", "android"] },
//!   { "type": "attribute", "name": "header:x-version", "op": "semver_gte", "values": ["4.2.0"] },
//!   { "type": "attribute", "name": "ip", "op": "cidr", "values": ["10.0.0.0/8", "2001:db8::/32"] }
//! ]
//! ```
//!
//! A condition that cannot be evaluated (the attribute is missing, or its value is not a number,
//! version or address) does not hold, whatever its operator; this includes `not_equals` and
//! `not_in`.

use crate::{request::token::is_token, vocabulary::timestamp::Timestamp};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A condition as operators write it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
// A condition with a field that this reader does not know is refused: without it, it would hold for more requests.
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Condition {
    /// Holds from `start` on and before `end`; a missing side is open.
    TimeWindow {
        /// Start of the window, inclusive.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        start: Option<Timestamp>,
        /// End of the window, exclusive.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        end: Option<Timestamp>,
    },
    /// Compares an attribute of the request with given values.
    Attribute {
        /// The attribute to compare.
        name: Attribute,
        /// The comparison.
        op: Operator,
        /// The values to compare with.
        values: Vec<String>,
    },
}

/// An attribute of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Attribute {
    /// A header; its name in lower case.
    Header(Box<str>),
    /// A cookie, by name.
    Cookie(Box<str>),
    /// The first query parameter with this name, decoded.
    Query(Box<str>),
    /// The path as it was sent, still percent-encoded.
    Path,
    /// The method, in upper case.
    Method,
    /// The client's country as an ISO 3166 code.
    Country,
    /// The client's IP address.
    Ip,
}

/// Error for a string that does not name an attribute.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an attribute; write header:NAME, cookie:NAME, query:NAME, path, method, country or ip")]
pub struct InvalidAttribute(String);

impl Attribute {
    /// Reads the name of an attribute; `None` if the string names none.
    pub(crate) fn read(text: &str) -> Option<Self> {
        match text.split_once(':') {
            Some(("header", name)) if is_token(name) => Some(Self::Header(name.to_ascii_lowercase().into())),
            Some(("cookie", name)) if is_token(name) => Some(Self::Cookie(name.into())),
            Some(("query", name)) if !name.is_empty() => Some(Self::Query(name.into())),
            None => match text {
                "path" => Some(Self::Path),
                "method" => Some(Self::Method),
                "country" => Some(Self::Country),
                "ip" => Some(Self::Ip),
                _ => None,
            },
            _ => None,
        }
    }
}

impl FromStr for Attribute {
    type Err = InvalidAttribute;
    fn from_str(text: &str) -> Result<Self, InvalidAttribute> {
        Self::read(text).ok_or_else(|| InvalidAttribute(text.to_owned()))
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

/// Comparison of an attribute with the values of a condition.
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
    /// All operators with their names in documents.
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
