//! Pages of the configuration's objects, as every list of them is answered.

use crate::{
    api::{extract::Page, pages, respond::json_response},
    problem::Problem,
    store::State as Truth,
};
use axum::{http::StatusCode, response::Response};
use serde_json::{Value, json};

/// Responds with a page of objects, each with its name, under the name of their list.
pub(super) fn object_list<'s, T>(
    page: &Page,
    state: &Truth,
    list: &str,
    objects: impl Iterator<Item = (&'s str, T)>,
    shown: impl Fn(T) -> Value,
) -> Result<Response, Problem> {
    let (objects, next) = page.of(objects, |(name, _)| name)?;
    let entries = objects.into_iter().map(|(name, object)| (name.to_owned(), shown(object)));
    let (objects, next) = pages::filled(entries, next);
    let body = json!({ list: objects, "revision": state.head.revision, "next_after": next });
    Ok(json_response(StatusCode::OK, &body))
}
