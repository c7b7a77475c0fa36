//! The parts of a client's request that mappings can read.

use crate::{
    json::value::Json,
    request::facts::{Facts, decode_form, decode_path},
};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A place in a request. Adapter files write it as a kind and a name:
///
/// ```text
/// path.id            a parameter of the path pattern, as in /reviews/{id}
/// query.page         the first query parameter with this name
/// header.x-client    a header
/// cookie.session     a cookie
/// body.author.name   a field of the JSON body; `body` alone is all of it
/// jwt.sub            a claim of the verified token
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A parameter of the path pattern.
    Path(String),
    /// The first query parameter of this name.
    Query(String),
    /// A header; its name is in lower case.
    Header(String),
    /// A cookie.
    Cookie(String),
    /// A field of the JSON body, by its path.
    Body(Vec<String>),
    /// A claim of the verified JSON Web Token.
    Jwt(String),
}

impl std::fmt::Display for Source {
    /// Writes the place as adapter files do.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(name) => write!(f, "path.{name}"),
            Self::Query(name) => write!(f, "query.{name}"),
            Self::Header(name) => write!(f, "header.{name}"),
            Self::Cookie(name) => write!(f, "cookie.{name}"),
            Self::Body(path) if path.is_empty() => f.write_str("body"),
            Self::Body(path) => write!(f, "body.{}", path.join(".")),
            Self::Jwt(claim) => write!(f, "jwt.{claim}"),
        }
    }
}

impl Source {
    /// Returns the name by which clients know the place, for error messages.
    pub fn name(&self) -> String {
        match self {
            Self::Path(name) | Self::Query(name) | Self::Header(name) | Self::Cookie(name) => name.clone(),
            Self::Body(path) => path.join("."),
            Self::Jwt(_) => "authorization".to_owned(),
        }
    }
}

/// The parts of a request. It outlives the call that began the exchange, so it owns its data.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The path as it was sent, still percent-encoded.
    pub path: String,
    /// The query as it was sent, without the question mark.
    pub query: String,
    /// The headers that the program reads; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The parameters of the path, still percent-encoded.
    pub parameters: Vec<(String, String)>,
    /// The fields of the body that the next steps read; null if there are none.
    pub body: Json<'static>,
    /// The claims of the verified token that the program reads; null if there is no token.
    pub claims: Json<'static>,
}

impl Request {
    /// Returns the value at a place, or `None` if it is absent. Values of the body and of claims
    /// keep their type; all others are strings.
    pub fn read(&self, source: &Source) -> Option<Json<'static>> {
        let text = match source {
            Source::Path(name) => {
                let (_, value) = self.parameters.iter().find(|(held, _)| held == name)?;
                decode_path(value).into_owned()
            }
            Source::Query(name) => {
                let facts = Facts { query: &self.query, ..Facts::default() };
                facts.query_parameter(name)?.into_owned()
            }
            Source::Header(name) => self.header(name)?.to_owned(),
            Source::Cookie(name) => {
                let headers = [("cookie", self.header("cookie")?)];
                Facts { headers: &headers, ..Facts::default() }.cookie(name)?.to_owned()
            }
            Source::Body(path) => return at(&self.body, path).cloned(),
            Source::Jwt(claim) => return self.claims.get(claim).cloned(),
        };
        Some(Json::text(text))
    }

    /// Returns roughly the number of bytes that are searched or copied for the value at a place.
    pub(super) fn searched(&self, source: &Source) -> usize {
        match source {
            Source::Path(_) => self.path.len(),
            Source::Query(_) => self.query.len(),
            Source::Header(name) => self.header(name).map_or(0, str::len),
            Source::Cookie(_) => self.header("cookie").map_or(0, str::len),
            Source::Body(path) => at(&self.body, path).map_or(0, size),
            Source::Jwt(claim) => self.claims.get(claim).map_or(0, size),
        }
    }

    /// Returns all values of a query parameter, in order.
    pub fn every(&self, name: &str) -> Vec<Json<'static>> {
        self.pairs()
            .filter(|(key, _)| decode_form(key) == name)
            .map(|(_, value)| Json::text(decode_form(value).into_owned()))
            .collect()
    }

    /// Iterates over the names and values of the query, still encoded.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.query.split('&').filter(|pair| !pair.is_empty());
        pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    }

    /// Returns the header with this name, which must be in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(held, _)| held == name).map(|(_, value)| value.as_str())
    }
}

/// Returns roughly the number of bytes that a value takes.
pub(super) fn size(value: &Json<'_>) -> usize {
    let content = match value {
        Json::Null | Json::Bool(_) => 0,
        Json::Number(text) | Json::Text(text) => text.len(),
        Json::List(items) => items.iter().map(size).sum(),
        Json::Object(fields) => fields.iter().map(|(name, field)| name.len() + size(field)).sum(),
    };
    size_of::<Json<'_>>() + content
}

/// Returns the value at a path of fields, and of items of lists by their indexes.
pub(super) fn at<'v, 'j>(value: &'v Json<'j>, path: &[String]) -> Option<&'v Json<'j>> {
    path.iter().try_fold(value, |value, name| value.part(name))
}

/// Returns a value as part of a string: a string without its quotes, null as an empty string.
pub(super) fn plain<'v>(value: &'v Json<'_>) -> Cow<'v, str> {
    match value {
        Json::Text(text) => Cow::Borrowed(text),
        Json::Null => Cow::Borrowed(""),
        other => Cow::Owned(other.to_string()),
    }
}
