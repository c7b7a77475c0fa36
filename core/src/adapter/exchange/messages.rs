//! Messages into and out of an exchange.

use crate::{adapter::exchange::unfit::Unfit, request::facts::Facts};

/// A client's request, exactly as it arrived.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClientRequest<'a> {
    /// The HTTP method.
    pub method: &'a str,
    /// The path, still percent-encoded.
    pub path: &'a str,
    /// The query string, without the question mark.
    pub query: &'a str,
    /// The headers, names in lower case. Those that the program does not read are ignored.
    pub headers: &'a [(&'a str, &'a str)],
    /// The raw body.
    pub body: &'a [u8],
    /// The payload of the verified token, as the JSON text that was signed; empty if there is no
    /// token, or if the program reads no claim. The exchange picks the claims that the program reads
    /// and keeps their digits.
    pub claims: &'a str,
}

impl<'a> From<&Facts<'a>> for ClientRequest<'a> {
    /// Builds a request without a body and without a token.
    fn from(facts: &Facts<'a>) -> Self {
        let Facts { method, path, query, headers, .. } = *facts;
        Self { method, path, query, headers, ..Self::default() }
    }
}

/// A request to the backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// The method, and the path and query below the origin's base URL; `None` is a `POST` to the
    /// program's endpoint.
    pub to: Option<(String, String)>,
    /// The JSON body, if there is one.
    pub body: Option<String>,
}

/// A response to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Headers in addition to those that the program keeps from the backend's response, and to its
    /// [constant ones](crate::adapter::Program::constant_headers).
    pub headers: Vec<(String, String)>,
    /// The JSON body, if there is one.
    pub body: Option<String>,
    /// The reason, if the adapter cannot use the backend's response. Such a response is an error of
    /// the backend, whatever its status.
    pub unfit: Option<Box<Unfit>>,
}

/// The next action of an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Send this request to the backend and pass its outcome to [`next`](super::Exchange::next).
    Ask(Upstream),
    /// Send this response to the client; the exchange is complete.
    Answer(Answer),
}

/// The outcome of a request to the backend.
#[derive(Debug, Clone, Copy)]
pub enum Reply<'a> {
    /// A response: its status and its body.
    Answered(u16, &'a [u8]),
    /// No response in time.
    Timeout,
    /// No response at all.
    Unreachable,
}
