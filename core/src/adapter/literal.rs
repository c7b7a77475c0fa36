//! Constant JSON values in compiled adapters, stored as strings so that digits and field order
//! survive.

use crate::json::value::Json;
use serde::{Deserialize, Serialize};

/// Most levels of a constant: as many as serde_json reads in the source of an adapter.
const MAX_LEVELS: usize = 127;

/// A constant JSON value. Documents store it as a string of JSON, so that its digits and the order
/// of its fields survive.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Literal(pub Json<'static>);

impl Literal {
    /// Returns true if a value is written like this one: as a string, number, bool or null, a string
    /// without its quotes. Lists and objects have to be equal.
    pub(crate) fn is_alike(&self, value: &Json<'_>) -> bool {
        match (self.0.scalar(), value.scalar()) {
            (Some(written), Some(value)) => written == value,
            _ => self.0 == *value,
        }
    }
}

impl TryFrom<String> for Literal {
    type Error = crate::json::Malformed;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Json::parse_within(&text, MAX_LEVELS).map(|value| Self(value.into_owned()))
    }
}

impl From<Literal> for String {
    fn from(literal: Literal) -> String {
        literal.0.to_string()
    }
}
