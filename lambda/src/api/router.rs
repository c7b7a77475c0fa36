//! The routes of the API.

use crate::{
    api::{
        audit_changes, canary, canary_records, canary_start, canary_steer, changes, changes::Replay,
        comparisons, create_token, delete_flag, emergency, explain_flag, flags, get_audit, get_config,
        get_metrics, get_status, openapi, publication, put_config, put_flag, rotate_token, set_rollout,
        switch_flag, tokens, verify_audit, whoami,
    },
    observe::request,
    platform::Platform,
    problem::Problem,
};
use axum::{
    Extension, Router,
    extract::Request,
    http::StatusCode,
    middleware::from_fn,
    routing::{delete, get, post, put},
};

/// Builds the routes below `/api/migration`.
pub(crate) fn routes() -> Router<Platform> {
    Router::new()
        .route("/flags", get(flags::list))
        .route("/flags/{name}", get(flags::one).put(put_flag::handle).delete(delete_flag::handle))
        .route("/flags/{name}/enable", post(switch_flag::enable))
        .route("/flags/{name}/disable", post(switch_flag::disable))
        .route("/flags/{name}/rollout", put(set_rollout::handle))
        .route("/flags/{name}/explain", get(explain_flag::handle))
        .route("/canary", get(canary::list))
        .route("/canary/{name}", get(canary::one))
        .route("/canary/{name}/start", post(canary_start::start))
        .route("/canary/{name}/retry", post(canary_start::retry))
        .route("/canary/{name}/promote", post(canary_steer::promote))
        .route("/canary/{name}/approve", post(canary_steer::approve))
        .route("/canary/{name}/pause", post(canary_steer::pause))
        .route("/canary/{name}/resume", post(canary_steer::resume))
        .route("/canary/{name}/rollback", post(canary_steer::rollback))
        .route("/canary/{name}/runs/{run}/records", get(canary_records::handle))
        .route("/comparisons", get(comparisons::handle))
        .route("/metrics", get(get_metrics::handle))
        .route("/publication", get(publication::look).post(publication::publish))
        .route("/status", get(get_status::handle))
        .route("/emergency/rollback", post(emergency::rollback))
        .route("/emergency/clear", post(emergency::clear))
        .route("/audit", get(get_audit::handle))
        .route("/audit/verify", get(verify_audit::handle))
        .route("/audit/{revision}/changes", get(audit_changes::handle))
        .route("/config", get(get_config::handle).put(put_config::handle))
        .route("/tokens", get(tokens::list).post(create_token::handle))
        .route("/tokens/{id}", delete(tokens::revoke))
        .route("/tokens/{id}/rotate", post(rotate_token::handle))
        .route("/changes", get(changes::list))
        .route("/changes/{id}", get(changes::one).delete(changes::withdraw))
        .route("/changes/{id}/approve", post(changes::approve))
        .route("/whoami", get(whoami::handle))
        .route("/openapi.json", get(openapi::handle))
}

/// Builds the API.
pub fn router(platform: Platform) -> Router {
    let replayed = routes().with_state(platform.clone());
    Router::new()
        .nest("/api/migration", routes().layer(Extension(Replay(replayed))))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(from_fn(request::observe))
        .with_state(platform)
}

async fn no_such_path(request: Request) -> Problem {
    let detail = format!("the path {} does not exist", request.uri().path());
    Problem::new(
        StatusCode::NOT_FOUND,
        "path_unknown",
        detail,
        "all paths begin with /api/migration; see docs/api.md",
    )
}

async fn no_such_method(request: Request) -> Problem {
    let detail = format!("the path {} does not support {}", request.uri().path(), request.method());
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        detail,
        "see docs/api.md for the supported methods",
    )
}
