//! The parts of a request to the backend: variables, the fixed part of a GraphQL body, the query.

use crate::{
    adapter::{
        program::{AdaptedRoute, Backend},
        template::encode_segment,
    },
    json::{value::Json, write::write_text},
};
use std::borrow::Cow;

/// Named values, in the order in which they are sent.
pub(crate) type Variables<'a> = Vec<(Cow<'a, str>, Json<'static>)>;

pub(crate) fn fixed_body(route: &AdaptedRoute) -> String {
    let Backend::GraphQl(name, document) = &route.backend else { return String::new() };
    let mut fixed = "{\"query\":".to_owned();
    write_text(document, &mut fixed);
    fixed.push_str(",\"operationName\":");
    write_text(name, &mut fixed);
    fixed.push_str(",\"variables\":");
    fixed
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
