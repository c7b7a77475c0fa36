//! The parts of a request to the backend: variables, the fixed part of a GraphQL body, the query.

use crate::{
    adapter::{
        program::{AdaptedRoute, Backend},
        template::encode_segment,
    },
    json::{Tape, value::Json, write::write_text},
};
use std::borrow::Cow;

/// Longest payload of a token that claims are picked from, in bytes.
const MAX_PAYLOAD: usize = 8_192;

/// Named values, in the order in which they are sent.
pub(crate) type Variables<'a> = Vec<(Cow<'a, str>, Json<'a>)>;

pub(crate) fn fixed_body(route: &AdaptedRoute) -> String {
    let Backend::GraphQl(name, document) = &route.backend else { return String::new() };
    let mut fixed = "{\"query\":".to_owned();
    write_text(document, &mut fixed);
    fixed.push_str(",\"operationName\":");
    write_text(name, &mut fixed);
    fixed.push_str(",\"variables\":");
    fixed
}

/// Picks the named claims out of the payload of a verified token. Returns null if none are named, and
/// for a payload that is not JSON or too long.
pub(crate) fn claims(payload: &str, names: &[String]) -> Json<'static> {
    if names.is_empty() || payload.is_empty() || payload.len() > MAX_PAYLOAD {
        return Json::Null;
    }
    let Ok(tape) = Tape::read(payload) else { return Json::Null };
    let claim = |name: &String| Some((name.clone().into(), tape.root().get(name)?.json().into_owned()));
    Json::Object(names.iter().filter_map(claim).collect())
}

pub(crate) fn query(variables: &Variables<'_>) -> String {
    let mut query = String::new();
    let mut push = |name: &str, value: &Json<'_>| {
        if !query.is_empty() {
            query.push('&');
        }
        encode_segment(name, &mut query);
        query.push('=');
        encode_segment(&crate::adapter::request::plain(value), &mut query);
    };
    for (name, value) in variables {
        match value {
            Json::List(items) => items.iter().for_each(|item| push(name, item)),
            value => push(name, value),
        }
    }
    query
}
