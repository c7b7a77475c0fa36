//! What goes in and out of an exchange.

use crate::facts::Facts;

/// What a client sent, as it came.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sent<'a> {
    /// The method.
    pub method: &'a str,
    /// The path, still encoded.
    pub path: &'a str,
    /// The query, without the question mark.
    pub query: &'a str,
    /// The headers that the program reads, in lower case.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a [u8],
    /// The claims of the verified token as JSON; empty where there is none.
    pub claims: &'a str,
}

impl<'a> From<&Facts<'a>> for Sent<'a> {
    /// A request without a body and a token.
    fn from(facts: &Facts<'a>) -> Self {
        let Facts { method, path, query, headers, .. } = *facts;
        Self { method, path, query, headers, ..Self::default() }
    }
}

/// What to ask the backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// The method, and path and query below the origin's base; a `POST` to the program's endpoint where nothing is said.
    pub to: Option<(String, String)>,
    /// The body, as JSON.
    pub body: Option<String>,
}

/// What to tell the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers, beside those that the program keeps of the backend's.
    pub headers: Vec<(String, String)>,
    /// The body, as JSON.
    pub body: Option<String>,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Ask the backend.
    Ask(Upstream),
    /// Answer the client.
    Answer(Answer),
}

/// What came of asking the backend.
#[derive(Debug, Clone, Copy)]
pub enum Reply<'a> {
    /// An answer.
    Answered(u16, &'a [u8]),
    /// None in time.
    Timeout,
    /// None at all.
    Unreachable,
}
