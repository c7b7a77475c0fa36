//! A constant of a mapping.

use crate::json::FromJson;
use crate::json::Json;
use serde::{Deserialize, Serialize};

/// A JSON value, held as it was written.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Literal(pub Json<'static>);

impl TryFrom<String> for Literal {
    type Error = crate::json::Malformed;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Json::parse(&text).map(|value| Self(value.into_owned()))
    }
}

impl From<Literal> for String {
    fn from(literal: Literal) -> String {
        literal.0.to_string()
    }
}

impl FromJson for Literal {
    #[inline]
    fn from_json(json: &Json<'_>) -> Option<Self> {
        Self::try_from(json.as_text()?.to_owned()).ok()
    }
}
