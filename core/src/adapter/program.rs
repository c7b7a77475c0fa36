//! The compiled form of an adapter file: small, validated, and without any text from a client.

use crate::{
    adapter::{
        fault::{Fault, WhenNull},
        shape::step::Shape,
        template::{Part, Template},
        variable::Variable,
    },
    request::facts::decode_path,
    routing::{matcher::Matcher, table::InvalidRoute},
};
use serde::{Deserialize, Serialize};

/// Most shapes inside each other, the named ones written out: several times as many as a file may
/// have, and few enough that no stack overflows.
const MAX_LEVELS: usize = 128;

/// A compiled adapter file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Program {
    /// Path of the GraphQL endpoint, below the origin's base URL.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub endpoint: String,
    /// Selection of requests by a header; `None` selects all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<SelectedVersion>,
    /// Request headers that mappings read, in lower case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<String>,
    /// Claims of the token that mappings read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<String>,
    /// Request headers that are forwarded to the backend, in lower case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forward: Vec<String>,
    /// Headers of the backend's response that are passed on to the client, in lower case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<String>,
    /// True if successes of GET and HEAD carry an entity tag, by which the edge answers clients that
    /// hold them already.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub etag: bool,
    /// The shapes that mappings use more than once. Each refers only to those before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shapes: Vec<Shape>,
    /// Content type of responses with a body; if empty, that of JSON.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub content_type: String,
    /// Headers of every response; names in lower case, none of which is in `keep`. Their places are
    /// those of the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, Template)>,
    /// Mapping of errors to responses.
    pub errors: Errors,
    /// Routes of the old interface.
    pub routes: Vec<AdaptedRoute>,
}

/// Error of a program that cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProgram {
    /// The path pattern of a route is invalid or occurs twice.
    #[error(transparent)]
    Route(#[from] InvalidRoute),
    /// A named shape, by its index, refers to one that is not before it, or has too many levels.
    #[error("the named shape {0} refers to one that is not before it, or is nested too deeply")]
    Shape(usize),
    /// A mapping refers to a named shape that is missing, or has too many levels.
    #[error("a mapping refers to a named shape that is missing, or is nested too deeply")]
    Mapping,
}

impl Program {
    /// Checks that each named shape refers only to those before it, so that every evaluation ends, and
    /// that the mappings refer only to named shapes that are there.
    ///
    /// # Errors
    ///
    /// Fails at the first shape or mapping that does not, or that is nested too deeply.
    pub(crate) fn check_shapes(&self) -> Result<(), InvalidProgram> {
        let mut known = Vec::with_capacity(self.shapes.len());
        for (index, shape) in self.shapes.iter().enumerate() {
            let levels = shape.levels(&known).filter(|levels| *levels <= MAX_LEVELS);
            known.push(levels.ok_or(InvalidProgram::Shape(index))?);
        }
        let is_fit = |shape: &Shape| shape.levels(&known).is_some_and(|levels| levels <= MAX_LEVELS);
        if self.mappings().all(is_fit) { Ok(()) } else { Err(InvalidProgram::Mapping) }
    }

    /// Iterates over the mappings, which may refer to the named shapes.
    pub(crate) fn mappings(&self) -> impl Iterator<Item = &Shape> {
        let of_errors = std::iter::once(&self.errors.envelope).chain(&self.errors.read);
        let of_routes = self.routes.iter().flat_map(|route| {
            let body = match &route.backend {
                Backend::Rest(_, _, body) => body.as_ref(),
                Backend::GraphQl(..) => None,
            };
            route.response.iter().chain(body)
        });
        of_errors.chain(of_routes)
    }

    /// Iterates over the headers that all successes, or all errors, have. A header that errors have of
    /// their own takes the place of the one that every response has, also if it is empty. Those that
    /// are always empty are left out.
    pub(super) fn headers_of(&self, is_error: bool) -> impl Iterator<Item = &(String, Template)> {
        let own = if is_error { &self.errors.headers[..] } else { &[] };
        let is_replaced = move |name: &String| own.iter().any(|(held, _)| held == name);
        let headers = self.headers.iter().filter(move |(name, _)| !is_replaced(name)).chain(own);
        headers.filter(|(_, value)| constant(value) != Some(""))
    }

    /// Returns the names and values of those headers of all successes, or of all errors, that do not
    /// depend on the request. The runtime adds them; an exchange fills in the others.
    pub fn constant_headers(&self, is_error: bool) -> Vec<(&str, &str)> {
        let headers = self.headers_of(is_error);
        headers.filter_map(|(name, value)| Some((name.as_str(), constant(value)?))).collect()
    }
}

/// Returns the text of a template without places; `None` if it has one.
pub(super) fn constant(template: &Template) -> Option<&str> {
    match &template.0[..] {
        [] => Some(""),
        [Part::Text(text)] => Some(text),
        _ => None,
    }
}

/// A version of the old interface that is selected by a request header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelectedVersion {
    /// Name of the header, in lower case.
    pub header: String,
    /// Values of the header that select this adapter.
    pub values: Vec<String>,
    /// True if requests without the header are selected too.
    pub absent: bool,
}

impl SelectedVersion {
    /// Returns true if a request with this value of the header is selected. An empty value counts
    /// as absent.
    pub fn selects(&self, value: Option<&str>) -> bool {
        match value.map(str::trim).filter(|value| !value.is_empty()) {
            Some(value) => self.values.iter().any(|held| held == value),
            None => self.absent,
        }
    }
}

/// The mapping of errors to [`Fault`]s. For a GraphQL error, `paths` is searched before `codes`, and
/// then `statuses` for the status that `read` gives it. Otherwise `statuses` is for the status of a
/// response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Errors {
    /// Builds the body of an error response from an object with `status`, `code`, `message` and
    /// `field`.
    pub envelope: Shape,
    /// Headers of error responses; names in lower case. Their places are those of the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, Template)>,
    /// Builds an object with `status`, `code`, `message` and `field` from a REST backend's error
    /// response, or from an error of a GraphQL response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<Shape>,
    /// Faults by the path of the field that failed, without list indexes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<(Vec<String>, Fault)>,
    /// Faults by the `extensions.code` of a GraphQL error.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<(String, Fault)>,
    /// Faults by the status of the backend's response.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<(u16, Fault)>,
    /// Any other error of the backend.
    pub otherwise: Fault,
    /// The request has an invalid variable or body.
    pub invalid: Fault,
    /// The request body is over the size limit.
    pub too_large: Fault,
    /// A claim is required, and there is no verified token that has it.
    pub unauthenticated: Fault,
    /// The backend could not be reached.
    pub unreachable: Fault,
    /// The backend did not respond in time.
    pub timeout: Fault,
    /// The backend's response does not have the form that the mappings expect.
    pub unfit: Fault,
}

/// A route of the old interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdaptedRoute {
    /// Method and path of the requests that this route serves.
    #[serde(rename = "match")]
    pub matcher: Matcher,
    /// Conditions on parameters of the path, all of which have to hold. Of the routes that share
    /// method and path, the first whose conditions hold serves a request; one without conditions is
    /// the last.
    #[serde(rename = "where", default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<PathCondition>,
    /// The request to the backend.
    pub backend: Backend,
    /// True if the request body is read.
    #[serde(default)]
    pub reads_body: bool,
    /// Variables that are sent to the backend.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<Variable>,
    /// Pagination, for a route that returns a list in pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pagination: Option<Pagination>,
    /// Path to the part of the backend's response that the client's response is built from; below
    /// `data` for GraphQL.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub root: Vec<String>,
    /// Responses to a null at `root` or in a part of its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_null: Option<WhenNull>,
    /// True if a GraphQL response with both errors and data counts as a success.
    #[serde(default)]
    pub partial: bool,
    /// HTTP status of a successful response.
    pub status: u16,
    /// Shape of a successful body; `None` for a response without a body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Shape>,
    /// Headers to add to a successful response, filled in from the value at `root`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, Template)>,
}

/// A condition on a parameter of the path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathCondition {
    /// The name of the parameter.
    pub parameter: String,
    /// The form that its value must have.
    pub form: ParameterForm,
}

/// A form of a path parameter's value. In an adapter file, with the parameter `id`:
///
/// ```text
/// where: { id: digits }              7, 042
/// where: { id: list }                7,8 and 7%2C8
/// where: { id: { contains: "@" } }   ann@example.com
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParameterForm {
    /// One or more ASCII digits.
    Digits,
    /// Anything with a comma.
    List,
    /// Anything with this text.
    Contains(String),
}

impl ParameterForm {
    /// Returns true if a value has this form. The value is percent-encoded, and is decoded first.
    pub fn fits(&self, value: &str) -> bool {
        let value = decode_path(value);
        match self {
            Self::Digits => !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()),
            Self::List => value.contains(','),
            Self::Contains(text) => value.contains(text.as_str()),
        }
    }
}

/// The request that a route sends to its backend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// A GraphQL operation: its name and its document.
    GraphQl(String, String),
    /// A REST request: its method, path and body. Variables become its query; without any, the
    /// client's query is forwarded.
    Rest(String, Template, Option<Shape>),
}

/// Pagination of the old interface by page number, translated to the [`Style`] of the backend.
///
/// For a request with `?page=3&limit=10`, the two styles send these variables:
///
/// ```text
/// offset: { skip: offset, take: limit }
///   {"offset":20,"limit":10}
///
/// cursor: { first: first, after: after, page_info: author.reviews.pageInfo, max_pages: 20 }
///   {"first":10}                  the response has {"hasNextPage":true,"endCursor":"a"}
///   {"first":10,"after":"a"}      the response has {"hasNextPage":true,"endCursor":"b"}
///   {"first":10,"after":"b"}      the response is the client's page
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pagination {
    /// The page number, counted from 1.
    pub page: Variable,
    /// The number of items on a page.
    pub limit: Variable,
    /// Pagination style of the backend.
    pub style: Style,
    /// True if the client gets `Link` headers to the next and previous page.
    #[serde(default)]
    pub link: bool,
}

/// The pagination style of a backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Style {
    /// Two variables: the number of items to skip, and the number to return.
    Offset(String, String),
    /// The variables `first` and `after`, the path of `pageInfo`, and the largest page number that
    /// may be walked to.
    Cursor(String, String, Vec<String>, u32),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_has_a_form_after_it_was_decoded() {
        let contains = ParameterForm::Contains("a/b".to_owned());
        let cases = [
            (ParameterForm::Digits, vec!["0", "042", "%37", "99999999999999999999"]),
            (ParameterForm::List, vec![",", "1,2", "1%2C2", "1%2c2", "a,"]),
            (contains, vec!["a/b", "xa%2Fby"]),
        ];
        for (form, fitting) in &cases {
            for (_, values) in &cases {
                for value in values {
                    assert_eq!(form.fits(value), fitting.contains(value), "{form:?} {value}");
                }
            }
            for value in ["", "-1", "1.0", "\u{667}", "1%252C2", "a%252Fb", "%"] {
                assert!(!form.fits(value), "{form:?} {value}");
            }
        }
    }

    #[test]
    fn conditions_are_stored_as_they_are_written() {
        let condition = |form| PathCondition { parameter: "id".to_owned(), form };
        let cases = [
            (ParameterForm::Digits, r#"{"parameter":"id","form":"digits"}"#),
            (ParameterForm::List, r#"{"parameter":"id","form":"list"}"#),
            (ParameterForm::Contains("@".to_owned()), r#"{"parameter":"id","form":{"contains":"@"}}"#),
        ];
        for (form, stored) in cases {
            assert_eq!(serde_json::to_string(&condition(form.clone())).unwrap(), stored);
            assert_eq!(serde_json::from_str::<PathCondition>(stored).unwrap(), condition(form));
        }
    }
}
