//! What a client sent, as far as a mapping may look at it.

use crate::json::{FromJson, variant};
use crate::{
    facts::{Facts, decode_form, decode_path},
    json::Json,
};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A place in a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A parameter of the path.
    Path(String),
    /// The first query parameter of this name.
    Query(String),
    /// A header, name in lower case.
    Header(String),
    /// A cookie.
    Cookie(String),
    /// A field of the JSON body, by its path.
    Body(Vec<String>),
    /// A claim of the verified JSON Web Token.
    Jwt(String),
}

impl Source {
    /// What clients call it, for messages.
    pub fn name(&self) -> String {
        match self {
            Self::Path(name) | Self::Query(name) | Self::Header(name) | Self::Cookie(name) => name.clone(),
            Self::Body(path) => path.join("."),
            Self::Jwt(_) => "authorization".to_owned(),
        }
    }
}

/// A request, taken apart. It outlives the call that began the exchange, so it owns what it holds.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The path as it was sent.
    pub path: String,
    /// The query as it was sent, without the question mark.
    pub query: String,
    /// The headers that the program asks for; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The parameters of the path, as they were sent.
    pub parameters: Vec<(String, String)>,
    /// The body, where the route reads one.
    pub body: Json<'static>,
    /// The claims of the verified token; null where there is none.
    pub claims: Json<'static>,
}

impl Request {
    /// What stands at a place; `None` where nothing does. A value of a body keeps its type, anything else is a text.
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

    /// All values of a query parameter, in their order.
    pub fn every(&self, name: &str) -> Vec<Json<'static>> {
        self.pairs()
            .filter(|(key, _)| decode_form(key) == name)
            .map(|(_, value)| Json::text(decode_form(value).into_owned()))
            .collect()
    }

    /// The pairs of the query, as they were sent.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.query.split('&').filter(|pair| !pair.is_empty());
        pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    }

    /// The header of this name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(held, _)| held == name).map(|(_, value)| value.as_str())
    }
}

/// The value at a path of fields.
pub(super) fn at<'v, 'j>(value: &'v Json<'j>, path: &[String]) -> Option<&'v Json<'j>> {
    path.iter().try_fold(value, |value, name| value.get(name))
}

/// A value as it stands in a text: texts without their quotes.
pub(super) fn plain<'v>(value: &'v Json<'_>) -> Cow<'v, str> {
    match value {
        Json::Text(text) => Cow::Borrowed(text),
        Json::Null => Cow::Borrowed(""),
        other => Cow::Owned(other.to_string()),
    }
}

impl FromJson for Source {
    #[inline]
    fn from_json(json: &Json<'_>) -> Option<Self> {
        let (name, held) = variant(json)?;
        let text = || String::from_json(held);
        Some(match name {
            "path" => Self::Path(text()?),
            "query" => Self::Query(text()?),
            "header" => Self::Header(text()?),
            "cookie" => Self::Cookie(text()?),
            "jwt" => Self::Jwt(text()?),
            "body" => Self::Body(Vec::from_json(held)?),
            _ => return None,
        })
    }
}
