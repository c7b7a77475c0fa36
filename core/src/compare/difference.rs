//! Differences between two responses.

use serde::{Deserialize, Serialize};

/// The kind of difference between two values at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// Only the old response has the value.
    Missing,
    /// Only the new response has the value.
    Extra,
    /// The values have different types.
    Type,
    /// The values are different strings or bools.
    Value,
    /// The lists have the same items in a different order.
    Order,
    /// The lists have different lengths.
    Length,
    /// The values are different numbers.
    Number,
}

impl DifferenceKind {
    /// Returns the name that documents use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Extra => "extra",
            Self::Type => "type",
            Self::Value => "value",
            Self::Order => "order",
            Self::Length => "length",
            Self::Number => "number",
        }
    }
}

/// A difference between two responses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The path in the body, with `[]` for any item of a list and `*` for a name that may be data;
    /// `(status)`, `header NAME` or `(body)` if the responses differ outside of their JSON; or
    /// `(adapter) PATH` for the place at which the new backend's response does not fit its adapter.
    /// No name of a field has a parenthesis.
    pub path: String,
    /// The kind of difference at the path.
    pub kind: DifferenceKind,
    /// The old and the new value, with every letter and digit masked; media types are not masked.
    pub example: (String, String),
}
