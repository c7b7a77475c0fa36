//! `GET /routes` and `GET /routes/{id}`, and the JSON form of a route.

use crate::{
    access::auth::Caller,
    api::{
        extract::{Page, Parameters, RoutePath},
        object_list::object_list,
        respond::{json_response, not_modified_or, with_meta},
    },
    platform::Platform,
    problem::Problem,
    store::State as Truth,
};
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use cutover_core::{Route, RouteId, config::nearest};
use serde_json::{Value, json};

/// Section of the configuration that holds the routes.
pub(super) const SECTION: &str = "routes";

/// Returns a route as the configuration file has it, with its last change.
fn shown(state: &Truth, route: &Route) -> Value {
    with_meta(json!(route), state.meta(SECTION, route.id.as_str()))
}

/// Finds a route by its id.
///
/// # Errors
///
/// Returns the problem `not_found` with the route that was most likely meant.
pub(super) fn find<'t>(state: &'t Truth, id: &RouteId) -> Result<&'t Route, Problem> {
    let routes = &state.config.routes;
    routes.iter().find(|route| route.id == *id).ok_or_else(|| {
        let missing = Problem::not_found("route", id.as_str());
        match nearest(id.as_str(), routes.iter().map(|route| route.id.as_str())) {
            Some(near) => Problem { hint: format!("did you mean {near}?"), ..missing },
            None => missing,
        }
    })
}

pub(super) async fn list(
    _: Caller,
    State(platform): State<Platform>,
    Parameters(page): Parameters<Page>,
) -> Result<Response, Problem> {
    let state = platform.store.state().await?;
    let routes = state.config.routes.iter().map(|route| (route.id.as_str(), route));
    object_list(&page, &state, "routes", routes, |route| shown(&state, route))
}

pub(super) async fn one(
    _: Caller,
    State(platform): State<Platform>,
    RoutePath(id): RoutePath,
    request: HeaderMap,
) -> Result<Response, Problem> {
    let state = platform.store.state().await?;
    let route = find(&state, &id)?;
    Ok(not_modified_or(&request, json_response(StatusCode::OK, &shown(&state, route))))
}
