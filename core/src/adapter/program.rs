//! What a declarative file was compiled to: small, checked, and without a word of a client in it.

use super::{shape::Shape, template::Template, variable::Variable};
use crate::json::{FromJson, Json, read_fields, variant};
use crate::route::Matcher;
use serde::{Deserialize, Serialize};

/// An adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Program {
    /// The path of the GraphQL endpoint, below the origin's base.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub endpoint: String,
    /// Which requests are meant, where a header says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<SelectedVersion>,
    /// Headers of the client that mappings look at, in lower case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<String>,
    /// Claims of the token that mappings look at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<String>,
    /// Headers of the client that the backend gets, in lower case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forward: Vec<String>,
    /// Headers of the backend that the client gets, in lower case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<String>,
    /// What errors become.
    pub errors: Errors,
    /// The routes.
    pub routes: Vec<Adapted>,
}

/// A version of the interface, told by a header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelectedVersion {
    /// The header, in lower case.
    pub header: String,
    /// The values that select this adapter.
    pub values: Vec<String>,
    /// A request without the header is meant too.
    pub absent: bool,
}

impl SelectedVersion {
    /// Whether a request with this value of the header is meant.
    pub fn selects(&self, value: Option<&str>) -> bool {
        match value.map(str::trim).filter(|value| !value.is_empty()) {
            Some(value) => self.values.iter().any(|held| held == value),
            None => self.absent,
        }
    }
}

/// What a client is told: the status, and the object that the envelope of errors is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// The status.
    pub status: u16,
    /// The code, for programs.
    pub code: String,
    /// The message, for people. Its places are `code`, `message` and `field` of what happened.
    pub message: Template,
}

/// What errors become.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Errors {
    /// The envelope: made of an object with `status`, `code`, `message` and `field`.
    pub envelope: Shape,
    /// What is read of an answer of a REST backend that is an error: an object with `code` and `message`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<Shape>,
    /// By the path of the field that failed, without indexes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<(Vec<String>, Fault)>,
    /// By `extensions.code`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<(String, Fault)>,
    /// By the status of the backend's answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<(u16, Fault)>,
    /// An error of the backend that none of the others is for.
    pub otherwise: Fault,
    /// The request does not fit.
    pub invalid: Fault,
    /// The body is larger than is read.
    pub too_large: Fault,
    /// A claim is needed, and there is no verified token with it.
    pub unauthenticated: Fault,
    /// The backend could not be reached.
    pub unreachable: Fault,
    /// The backend did not answer in time.
    pub timeout: Fault,
    /// The backend's answer is not what its interface says.
    pub unfit: Fault,
}

/// A route of the old interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Adapted {
    /// Which requests.
    #[serde(rename = "match")]
    pub matcher: Matcher,
    /// What the backend is asked.
    pub backend: Backend,
    /// Whether the body is read.
    #[serde(default)]
    pub reads_body: bool,
    /// What goes to the backend.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<Variable>,
    /// How pages are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pagination: Option<Pagination>,
    /// The part of the answer that the response is made of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub root: Vec<String>,
    /// What a null there means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_null: Option<Fault>,
    /// An answer that has errors and data is passed on.
    #[serde(default)]
    pub partial: bool,
    /// The status of a success.
    pub status: u16,
    /// The body of a success; none for an answer without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Shape>,
    /// More headers, made of the part of the answer that the response is made of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, Template)>,
}

/// What a backend is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// An operation: its name and its text.
    GraphQl(String, String),
    /// A request of the newer interface: method, path, and what its body is made of. Variables become its query.
    Rest(String, Template, Option<Shape>),
}

/// How pages of the old interface are asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pagination {
    /// The number of the page, from 1.
    pub page: Variable,
    /// How many items a page has.
    pub limit: Variable,
    /// How the backend is asked.
    pub style: Style,
    /// Whether `Link` headers are sent.
    #[serde(default)]
    pub link: bool,
}

/// How a backend is asked for pages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Style {
    /// By two variables: how many to leave out, and how many to give.
    Offset(String, String),
    /// By the variables `first` and `after` and the path of `pageInfo`; at most so many pages are walked.
    Cursor(String, String, Vec<String>, u32),
}

read_fields!(Program {
    endpoint or String::new(),
    version,
    reads,
    claims,
    forward,
    keep,
    errors,
    routes,
});
read_fields!(SelectedVersion { header, values, absent });
read_fields!(Fault { status, code, message });
read_fields!(Errors {
    envelope,
    read,
    paths,
    codes,
    statuses,
    otherwise,
    invalid,
    too_large,
    unauthenticated,
    unreachable,
    timeout,
    unfit,
});
read_fields!(Adapted {
    matcher = "match",
    backend,
    reads_body,
    variables,
    pagination,
    root,
    when_null,
    partial,
    status,
    response,
    headers,
});
read_fields!(Pagination { page, limit, style, link });

impl FromJson for Backend {
    #[inline]
    fn from_json(json: &Json<'_>) -> Option<Self> {
        match variant(json)? {
            ("graph_ql", held) => {
                <(String, String)>::from_json(held).map(|(name, text)| Self::GraphQl(name, text))
            }
            ("rest", held) => match held.items() {
                [method, target, body] => Some(Self::Rest(
                    String::from_json(method)?,
                    Template::from_json(target)?,
                    Option::from_json(body)?,
                )),
                _ => None,
            },
            _ => None,
        }
    }
}

impl FromJson for Style {
    #[inline]
    fn from_json(json: &Json<'_>) -> Option<Self> {
        let (name, held) = variant(json)?;
        let text = |at: usize| String::from_json(held.items().get(at)?);
        match name {
            "offset" => Some(Self::Offset(text(0)?, text(1)?)),
            "cursor" => {
                let info = Vec::from_json(held.items().get(2)?)?;
                Some(Self::Cursor(text(0)?, text(1)?, info, u32::from_json(held.items().get(3)?)?))
            }
            _ => None,
        }
    }
}
