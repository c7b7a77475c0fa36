//! Templates: strings with places that are filled in.

use crate::{
    adapter::request::{Request, Source, at, plain},
    json::value::Json,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

/// A part of a [`Template`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Literal text.
    Text(String),
    /// The value at a place of the request.
    Request(Source),
    /// The value at a path of the current value.
    Value(Vec<String>),
}

/// A string with places in braces. A place that begins with a kind of [`Source`] is read from the
/// request; any other name is a path of the current value. In a URL:
///
/// ```text
/// /api/v1/reviews/{id}           with the value {"id":7}                 /api/v1/reviews/7
/// /v2/offers/{path.id}/reviews   with the path parameter id = "a/b"      /v2/offers/a%2Fb/reviews
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Template(pub Vec<Part>);

impl Template {
    /// Builds a template without places.
    pub fn text(text: impl Into<String>) -> Self {
        Self(vec![Part::Text(text.into())])
    }

    /// Fills in the places. Absent values are left empty.
    pub fn fill(&self, request: &Request, value: &Json<'_>) -> String {
        self.filled(request, value, |filled, text| text.push_str(filled))
    }

    /// Fills in the places of a URL. Every value is percent-encoded, so that it stays within one
    /// segment of the path.
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

/// All characters but the unreserved ones of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Appends a string, percent-encoding all but the unreserved characters of RFC 3986.
pub(super) fn encode_segment(text: &str, out: &mut String) {
    out.extend(utf8_percent_encode(text, RESERVED));
}
