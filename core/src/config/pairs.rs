//! Reads recorded pairs: requests of clients with the responses that they must get. They test an
//! adapter without its clients.

use super::{
    compare,
    reading::{Cursor, Fields, Node, Problem, Problems, Value},
};
use crate::{compare::Comparison, request::token::is_token};
use std::{fmt, str::FromStr};

const HINT: &str = "write a list of pairs such as { request: GET /reviews/7, expect: { status: 200 } }, or \
                    rules: and pairs: with this list";

const EXPECT_HINT: &str = "write expect: { status: 200, headers: {}, body: {} }, or expect: legacy";

/// Recorded requests, each with the response that is expected, and the comparison that judges them.
///
/// ```text
/// rules:
///   - { path: timestamp, ignore: true }
/// pairs:
///   - { request: GET /api/v1/reviews/7, expect: legacy }
///   - request: GET /api/v1/reviews/4711
///     headers: { accept-language: de }
///     expect: { status: 404, body: { error: not_found } }
/// ```
///
/// The list alone is a file too. A pair that is only a string is a request without an expectation.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedPairs {
    /// The rules, and the headers that are compared besides `content-type` if legacy is expected.
    pub comparison: Comparison,
    /// The pairs, in the order of the file.
    pub pairs: Vec<RecordedPair>,
}

/// A request and the response that is expected.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedPair {
    /// Line of the file, from 1.
    pub line: usize,
    /// The request.
    pub request: SentRequest,
    /// The expectation; `None` if there is none yet.
    pub expected: Option<Expected>,
}

/// A request of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentRequest {
    /// The method and the target.
    pub line: RequestLine,
    /// The headers; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body; empty if there is none.
    pub body: String,
    /// The payload of the client's verified token, as JSON; empty if there is no token.
    pub claims: String,
}

impl SentRequest {
    /// Returns the first header with this name, which must be in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(held, _)| held == name).map(|(_, value)| value.as_str())
    }
}

/// The response that a pair expects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// The response of legacy to the same request.
    Legacy,
    /// A recorded response.
    Response(ExpectedResponse),
}

/// A recorded response. Parts that are not written are not compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedResponse {
    /// The HTTP status.
    pub status: u16,
    /// Headers that are compared; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Option<String>,
}

/// The method and the target of a request.
///
/// ```
/// use cutover_core::config::RequestLine;
///
/// let line: RequestLine = "GET /reviews/./7?full=1".parse().unwrap();
/// assert_eq!((line.path.as_str(), line.query.as_str()), ("/reviews/7", "full=1"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestLine {
    /// The HTTP method.
    pub method: String,
    /// The path, percent-encoded and without dot segments, as the edge decides it.
    pub path: String,
    /// The query, without the question mark.
    pub query: String,
}

/// Error for a string that is not a method and a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a method and a path, such as GET /api/v1/reviews/7")]
pub struct InvalidRequestLine(String);

impl RequestLine {
    /// Returns the path with its query.
    pub fn target(&self) -> String {
        if self.query.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, self.query) }
    }
}

impl fmt::Display for RequestLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.target())
    }
}

impl FromStr for RequestLine {
    type Err = InvalidRequestLine;

    /// Parses a method and a path with its query, or a method and a URL, whose host is dropped.
    fn from_str(text: &str) -> Result<Self, InvalidRequestLine> {
        let invalid = || InvalidRequestLine(text.to_owned());
        let (method, target) = text.trim().split_once(' ').ok_or_else(invalid)?;
        let target = target.trim();
        let url = if target.starts_with('/') { format!("http://client{target}") } else { target.to_owned() };
        let is_method = is_token(method) && !method.bytes().any(|byte| byte.is_ascii_lowercase());
        match url::Url::parse(&url) {
            Ok(url) if is_method && matches!(url.scheme(), "http" | "https") => Ok(Self {
                method: method.to_owned(),
                path: url.path().to_owned(),
                query: url.query().unwrap_or_default().to_owned(),
            }),
            _ => Err(invalid()),
        }
    }
}

impl RecordedPairs {
    /// Reads pairs from YAML.
    ///
    /// # Errors
    ///
    /// Returns all mistakes in the file, with their places.
    pub fn from_yaml(text: &str) -> Result<Self, Vec<Problem>> {
        let node = Node::from_yaml(text).map_err(|problem| vec![problem])?;
        let problems = Problems::default();
        let pairs = pairs(&Cursor::root(&node, &problems));
        problems.finish(pairs)
    }
}

fn pairs(cursor: &Cursor<'_>) -> Option<RecordedPairs> {
    let mut comparison = Comparison::default();
    let items = if matches!(cursor.value(), Value::Map(_)) {
        let mut fields = cursor.fields(HINT)?;
        comparison.headers = compare::headers(&mut fields);
        comparison.rules = compare::rules(&mut fields, &comparison);
        let items = fields.required("pairs", HINT).map(|cursor| cursor.list(HINT)).unwrap_or_default();
        fields.finish();
        items
    } else {
        cursor.list(HINT)
    };
    Some(RecordedPairs { comparison, pairs: items.iter().filter_map(pair).collect() })
}

fn pair(cursor: &Cursor<'_>) -> Option<RecordedPair> {
    let line = cursor.line();
    if matches!(cursor.value(), Value::String(_)) {
        let request = SentRequest {
            line: request_line(cursor)?,
            headers: Vec::new(),
            body: String::new(),
            claims: String::new(),
        };
        return Some(RecordedPair { line, request, expected: None });
    }
    let mut fields = cursor.fields(HINT)?;
    let request_line = fields.require("request", HINT, request_line);
    let headers = headers(&mut fields);
    let body = body(&mut fields).unwrap_or_default();
    let claims = fields.read("claims", claims).unwrap_or_default();
    let expected = fields.read("expect", expected);
    fields.finish()?;
    let request = SentRequest { line: request_line?, headers, body, claims };
    Some(RecordedPair { line, request, expected })
}

fn request_line(cursor: &Cursor<'_>) -> Option<RequestLine> {
    cursor.parse("write the method in upper case, a space, and the path with its query")
}

fn headers(fields: &mut Fields<'_>) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    for entry in fields.entries("headers", "write headers: { accept-language: de }") {
        let name = entry.key.to_ascii_lowercase();
        if !is_token(&name) {
            let message = format!("{:?} is not the name of a header", entry.key);
            entry.key_cursor.report(message, "write a name such as accept-language");
        } else if let Some(value) = entry.value.loose_string() {
            headers.push((name, value));
        }
    }
    headers
}

/// Reads a body: a value that stands for JSON under `body`, or the exact string under `text`.
fn body(fields: &mut Fields<'_>) -> Option<String> {
    let (json, text) = (fields.optional("body"), fields.optional("text"));
    if let (Some(_), Some(cursor)) = (&json, &text) {
        cursor.report("the body is written twice", "keep body (JSON) or text (the exact string)");
    }
    match json {
        Some(cursor) => Some(cursor.literal().0.to_string()),
        None => text?.string(),
    }
}

fn claims(cursor: &Cursor<'_>) -> Option<String> {
    match cursor.value() {
        Value::Map(_) => Some(cursor.literal().0.to_string()),
        _ => cursor.expected("a map", "write the payload of a token, such as claims: { sub: u1 }"),
    }
}

fn expected(cursor: &Cursor<'_>) -> Option<Expected> {
    if matches!(cursor.value(), Value::String(_)) {
        let choices = [("legacy", Expected::Legacy)];
        return cursor.choice(&choices, "is not an expectation", EXPECT_HINT);
    }
    let mut fields = cursor.fields(EXPECT_HINT)?;
    let status = fields.require("status", EXPECT_HINT, |cursor| {
        // The limits fit.
        Some(cursor.number_within((100.0, 599.0), "an HTTP status")? as u16)
    });
    let headers = headers(&mut fields);
    let body = body(&mut fields);
    fields.finish()?;
    Some(Expected::Response(ExpectedResponse { status: status?, headers, body }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_with_their_rules() {
        let read = RecordedPairs::from_yaml(
            "rules: [{ path: timestamp, ignore: true }]\n\
             pairs:\n\
             - GET /a?b=c%20d\n\
             - request: POST /b\n  \
               headers: { Accept-Language: de, x-count: 1 }\n  \
               body: { id: 7 }\n  \
               claims: { sub: u1 }\n  \
               expect: { status: 404, headers: { content-type: application/json }, text: '{\"a\":1.0}' }\n\
             - { request: GET https://api.example/c/../d, expect: legacy }\n",
        )
        .unwrap();
        assert_eq!(read.comparison.rules.len(), 1);
        let lines: Vec<_> =
            read.pairs.iter().map(|pair| (pair.line, pair.request.line.to_string())).collect();
        let written = |line: usize, text: &str| (line, text.to_owned());
        assert_eq!(lines, [written(3, "GET /a?b=c%20d"), written(4, "POST /b"), written(9, "GET /d")]);
        let [bare, full, legacy] = &read.pairs[..] else { panic!("three pairs") };
        assert_eq!((&bare.expected, &legacy.expected), (&None, &Some(Expected::Legacy)));
        assert_eq!(full.request.header("accept-language"), Some("de"));
        assert_eq!(full.request.header("x-count"), Some("1"));
        assert_eq!(
            (full.request.body.as_str(), full.request.claims.as_str()),
            (r#"{"id":7}"#, r#"{"sub":"u1"}"#)
        );
        let expected = ExpectedResponse {
            status: 404,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: Some("{\"a\":1.0}".to_owned()),
        };
        assert_eq!(full.expected, Some(Expected::Response(expected)));
        assert_eq!(RecordedPairs::from_yaml("[GET /a]").unwrap().pairs.len(), 1);
    }

    #[test]
    fn every_mistake_of_a_pair_is_reported_at_its_line() {
        let cases = [
            ("- get /a\n", 1, "is not a method and a path"),
            ("- GET a\n", 1, "is not a method and a path"),
            ("- { expect: legacy }\n", 1, "request is missing"),
            ("\n- { request: GET /a, expect: yes }\n", 2, "is not an expectation"),
            ("- { request: GET /a, expect: { status: 700 } }\n", 1, "700 is out of range"),
            ("- { request: GET /a, headers: { 'a b': c } }\n", 1, "is not the name of a header"),
            ("- { request: GET /a, body: 1, text: a }\n", 1, "the body is written twice"),
            ("- { request: GET /a, claims: u1 }\n", 1, "expected a map"),
            ("rules: [{ path: a }]\npairs: []\n", 1, "this rule does nothing"),
            ("rule: []\n", 1, "rule is not a field of this object"),
        ];
        for (text, line, message) in cases {
            let problems = RecordedPairs::from_yaml(text).unwrap_err();
            assert!(
                problems.iter().any(|problem| problem.line == line && problem.message.contains(message)),
                "{text}: {problems:?}"
            );
            assert!(problems.iter().all(|problem| !problem.hint.is_empty()), "{text}: {problems:?}");
        }
    }
}
