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
