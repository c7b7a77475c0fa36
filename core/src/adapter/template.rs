//! Texts with places that are filled in.

use super::request::{Request, Source, at, plain};
use crate::json::Json;
use crate::json::{FromJson, variant};
use serde::{Deserialize, Serialize};

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// As it stands.
    Text(String),
    /// What stands at a place of the request.
    Request(Source),
    /// What stands at a path of the value at hand.
    Value(Vec<String>),
}

/// A text with places that are filled in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Template(pub Vec<Part>);

impl Template {
    /// A text without places.
    pub fn text(text: impl Into<String>) -> Self {
        Self(vec![Part::Text(text.into())])
    }

    /// The text, with what is absent left empty.
    pub fn fill(&self, request: &Request, value: &Json<'_>) -> String {
        self.filled(request, value, |filled, text| text.push_str(filled))
    }

    /// The text as a part of a URL: whatever is filled in stays one segment of a path.
    pub fn fill_url(&self, request: &Request, value: &Json<'_>) -> String {
        self.filled(request, value, encode_segment)
    }

    fn filled(&self, request: &Request, value: &Json<'_>, push: impl Fn(&str, &mut String)) -> String {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(fixed) => text.push_str(fixed),
                Part::Request(source) => {
                    if let Some(found) = request.read(source) {
                        push(&plain(&found), &mut text);
                    }
                }
                Part::Value(path) => {
                    if let Some(found) = at(value, path) {
                        push(&plain(found), &mut text);
                    }
                }
            }
        }
        text
    }
}

/// Appends a text with everything encoded but what RFC 3986 calls unreserved.
pub(super) fn encode_segment(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from_digit(digit.into(), 16).unwrap_or('0').to_ascii_uppercase());
            }
        }
    }
}

impl FromJson for Part {
    #[inline]
    fn from_json(json: &Json<'_>) -> Option<Self> {
        let (name, held) = variant(json)?;
        Some(match name {
            "text" => Self::Text(String::from_json(held)?),
            "request" => Self::Request(Source::from_json(held)?),
            "value" => Self::Value(Vec::from_json(held)?),
            _ => return None,
        })
    }
}

impl FromJson for Template {
    #[inline]
    fn from_json(json: &Json<'_>) -> Option<Self> {
        Vec::from_json(json).map(Self)
    }
}
