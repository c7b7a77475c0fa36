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
    /// The value at a path of the current value; the empty path is the value itself.
    Value(Vec<String>),
}

/// A string with places in braces. A place that begins with a kind of [`Source`] is read from the
/// request; any other name is a path of the current value, and `.` the value itself. In a URL:
///
/// ```text
/// /api/v1/reviews/{id}           with the value {"id":7}                 /api/v1/reviews/7
/// /v2/offers/{path.id}/reviews   with the path parameter id = "a/b"      /v2/offers/a%2Fb/reviews
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Template(pub Vec<Part>);

impl Part {
    /// Returns the name by which clients know the place, for error messages; empty for literal text.
    pub fn name(&self) -> String {
        match self {
            Self::Text(_) => String::new(),
            Self::Request(source) => source.name(),
            Self::Value(path) if path.is_empty() => ".".to_owned(),
            Self::Value(path) => path.join("."),
        }
    }
}

impl Template {
    /// Builds a template without places.
    pub fn text(text: impl Into<String>) -> Self {
        Self(vec![Part::Text(text.into())])
    }

    /// Returns the path of the first place that is read from the current value.
    pub(super) fn first_path(&self) -> Option<&[String]> {
        self.0.iter().find_map(|part| match part {
            Part::Value(path) => Some(path.as_slice()),
            _ => None,
        })
    }

    /// Fills in the places. Absent values are left empty.
    pub fn fill(&self, request: &Request, value: &Json<'_>) -> String {
        self.filled(request, value, |filled, text| text.push_str(filled))
    }

    /// Fills in the places of a URL in a header. Every value is percent-encoded. Absent values are
    /// left empty.
    pub fn fill_url(&self, request: &Request, value: &Json<'_>) -> String {
        self.filled(request, value, encode_segment)
    }

    /// Fills in the places of a request's path and query. Every value is percent-encoded, and stays
    /// within its segment of the path, also when a URL parser resolves dot segments.
    ///
    /// # Errors
    ///
    /// Returns the last place of the first segment that would be empty, `.` or `..`.
    pub fn fill_path(&self, request: &Request) -> Result<String, &Part> {
        let mut path = String::new();
        let mut segment = Segment::default();
        for part in &self.0 {
            let Part::Text(fixed) = part else {
                push_value(part, request, &Json::Null, &encode_segment, &mut path);
                segment.place = Some(part);
                continue;
            };
            for piece in fixed.split_inclusive(['/', '\\', '?', '#']) {
                let end = path.len() + piece.trim_end_matches(['/', '\\', '?', '#']).len();
                path.push_str(piece);
                if end < path.len() {
                    segment.end(&path, end)?;
                    segment.begin = path.len();
                    segment.is_in_path &= !piece.ends_with(['?', '#']);
                }
            }
        }
        segment.end(&path, path.len())?;
        Ok(path)
    }

    fn filled(&self, request: &Request, value: &Json<'_>, push: impl Fn(&str, &mut String)) -> String {
        let mut text = String::new();
        for part in &self.0 {
            push_value(part, request, value, &push, &mut text);
        }
        text
    }
}

/// Appends a part with its place filled in.
fn push_value(
    part: &Part,
    request: &Request,
    value: &Json<'_>,
    push: &impl Fn(&str, &mut String),
    text: &mut String,
) {
    match part {
        Part::Text(fixed) => text.push_str(fixed),
        Part::Request(source) => {
            if let Some(found) = request.read(source) {
                push(&plain(&found), text);
            }
        }
        Part::Value(path) => {
            if let Some(found) = at(value, path) {
                push(&plain(found), text);
            }
        }
    }
}

/// The segment of a path that is being filled in.
struct Segment<'t> {
    /// Offset of its first byte.
    begin: usize,
    /// The last place in it.
    place: Option<&'t Part>,
    /// False after the question mark, where there are no segments.
    is_in_path: bool,
}

impl Default for Segment<'_> {
    fn default() -> Self {
        Self { begin: 0, place: None, is_in_path: true }
    }
}

impl<'t> Segment<'t> {
    /// Checks the segment, which ends before the offset `end`, unless all of it is literal text.
    fn end(&mut self, path: &str, end: usize) -> Result<(), &'t Part> {
        let Some(place) = self.place.take().filter(|_| self.is_in_path) else { return Ok(()) };
        let filled = path.get(self.begin..end).unwrap_or_default();
        if filled.is_empty() || is_dot_segment(filled) { Err(place) } else { Ok(()) }
    }
}

/// Returns true for a single-dot or double-dot URL path segment, as the URL Standard lists them:
/// parsers of URLs remove such a segment, and `..` also the one before it.
pub(crate) fn is_dot_segment(segment: &str) -> bool {
    let dots = [".", "%2e", "..", ".%2e", "%2e.", "%2e%2e"];
    dots.iter().any(|dots| segment.eq_ignore_ascii_case(dots))
}

/// All characters but the unreserved ones of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Appends a string, percent-encoding all but the unreserved characters of RFC 3986.
pub(super) fn encode_segment(text: &str, out: &mut String) {
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    // Ids mostly have no others.
    if text.bytes().all(is_unreserved) {
        out.push_str(text);
    } else {
        out.extend(utf8_percent_encode(text, RESERVED));
    }
}
