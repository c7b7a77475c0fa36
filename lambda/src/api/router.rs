//! The routes of the API.

use crate::{
    api::{
        audit_changes, canary, canary_records, canary_runs, canary_start, canary_steer, changes,
        changes::Replay, comparisons, create_token, delete_canary, delete_flag, delete_route, emergency,
        emergency_header, experiment_assign, experiment_records, experiment_results, experiment_save,
        experiment_steer, experiments, explain_flag, explain_value_flag, flags, get_audit, get_config,
        get_emergency, get_metrics, get_route, get_status, openapi, publication, put_config, put_flag,
        restore, rotate_token, segment_save, segments, set_rollout, stale_flags, switch_flag, tokens,
        value_flag_save, value_flags, verify_audit, whoami,
    },
    observe::request,
    platform::Platform,
    problem::Problem,
};
use axum::{
    Extension, Router,
    extract::Request,
    http::StatusCode,
    middleware::{from_fn, from_fn_with_state},
    routing::{delete, get, patch, post, put},
};

/// Builds the routes below `/api/migration`.
pub(crate) fn routes() -> Router<Platform> {
    Router::new()
        .route("/flags", get(flags::list))
        .route("/flags/{name}", get(flags::one).put(put_flag::handle).patch(put_flag::patch))
        .route("/flags/{name}", delete(delete_flag::handle))
        .route("/flags/{name}/enable", post(switch_flag::enable))
        .route("/flags/{name}/disable", post(switch_flag::disable))
        .route("/flags/{name}/rollout", put(set_rollout::handle))
        .route("/flags/{name}/explain", get(explain_flag::handle))
        .route("/value-flags", get(value_flags::list))
        .route("/value-flags/{name}", get(value_flags::one).put(value_flag_save::put))
        .route("/value-flags/{name}", patch(value_flag_save::patch).delete(value_flag_save::delete))
        .route("/value-flags/{name}/enable", post(value_flag_save::enable))
        .route("/value-flags/{name}/disable", post(value_flag_save::disable))
        .route("/value-flags/{name}/explain", get(explain_value_flag::handle))
        .route("/segments", get(segments::list))
        .route("/segments/{name}", get(segments::one).put(segment_save::put))
        .route("/segments/{name}", patch(segment_save::patch).delete(segment_save::delete))
        .route("/stale-flags", get(stale_flags::handle))
        .route("/routes", get(get_route::list))
        .route("/routes/{id}", get(get_route::one).delete(delete_route::handle))
        .route("/canary", get(canary::list))
        .route("/canary/{name}", get(canary::one).delete(delete_canary::handle))
        .route("/canary/{name}/start", post(canary_start::start))
        .route("/canary/{name}/retry", post(canary_start::retry))
        .route("/canary/{name}/promote", post(canary_steer::promote))
        .route("/canary/{name}/approve", post(canary_steer::approve))
        .route("/canary/{name}/pause", post(canary_steer::pause))
        .route("/canary/{name}/resume", post(canary_steer::resume))
        .route("/canary/{name}/rollback", post(canary_steer::rollback))
        .route("/canary/{name}/runs", get(canary_runs::handle))
        .route("/canary/{name}/runs/{run}/records", get(canary_records::handle))
        .route("/experiments", get(experiments::list))
        .route("/experiments/{name}", get(experiments::one).put(experiment_save::put))
        .route("/experiments/{name}", delete(experiment_save::delete))
        .route("/experiments/{name}/start", post(experiment_steer::start))
        .route("/experiments/{name}/pause", post(experiment_steer::pause))
        .route("/experiments/{name}/stop", post(experiment_steer::stop))
        .route("/experiments/{name}/results", get(experiment_results::handle))
        .route("/experiments/{name}/records", get(experiment_records::handle))
        .route("/experiments/{name}/assign/{user}", get(experiment_assign::handle))
        .route("/status", get(get_status::handle))
        .route("/metrics", get(get_metrics::handle))
        .route("/comparisons", get(comparisons::handle))
        .route("/publication", get(publication::look).post(publication::publish))
        .route("/emergency", get(get_emergency::handle))
        .route("/emergency/rollback", post(emergency::rollback))
        .route("/emergency/clear", post(emergency::clear))
        .route("/restore", post(restore::handle))
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

/// Builds the routes of the function that only declares and clears emergencies.
fn emergency_routes() -> Router<Platform> {
    Router::new()
        .route("/emergency", get(get_emergency::handle))
        .route("/emergency/rollback", post(emergency::rollback))
        .route("/emergency/clear", post(emergency::clear))
        .route("/status", get(get_status::handle))
        .route("/whoami", get(whoami::handle))
}

/// Builds the API: all of it, or the part for emergencies.
pub fn router(platform: Platform) -> Router {
    let app = if platform.settings.emergency_only {
        Router::new().nest("/api/migration", emergency_routes()).fallback(not_an_emergency)
    } else {
        let replayed = routes().with_state(platform.clone());
        Router::new()
            .nest("/api/migration", routes().layer(Extension(Replay(replayed))))
            .fallback(no_such_path)
    };
    app.method_not_allowed_fallback(no_such_method)
        .layer(from_fn_with_state(platform.clone(), emergency_header::add))
        .layer(from_fn(request::observe))
        .with_state(platform)
}

async fn not_an_emergency(request: Request) -> Problem {
    let detail = format!("this function serves emergencies only, and not the path {}", request.uri().path());
    let hint = "send other requests to the management function, the URL in CUTOVER_URL";
    Problem::new(StatusCode::NOT_FOUND, "path_unknown", detail, hint)
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

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use tower::ServiceExt;

    /// Returns the status of a request without a token: 401 if there is such a path, 404 otherwise.
    async fn status(emergency_only: bool, method: &str, path: &str) -> u16 {
        let request = axum::http::Request::builder().method(method).uri(format!("/api/migration{path}"));
        let request = request.body(Body::empty()).unwrap();
        router(Platform::detached(emergency_only)).oneshot(request).await.unwrap().status().as_u16()
    }

    #[tokio::test]
    async fn a_method_that_a_path_does_not_support_is_refused_with_those_that_it_does() {
        for (method, path, expected) in [
            ("PATCH", "/config", vec!["GET", "HEAD", "PUT"]),
            ("PATCH", "/experiments/e", vec!["DELETE", "GET", "HEAD", "PUT"]),
            ("POST", "/flags/f", vec!["DELETE", "GET", "HEAD", "PATCH", "PUT"]),
            ("POST", "/value-flags/f", vec!["DELETE", "GET", "HEAD", "PATCH", "PUT"]),
            ("POST", "/segments/s", vec!["DELETE", "GET", "HEAD", "PATCH", "PUT"]),
        ] {
            let request = axum::http::Request::builder().method(method).uri(format!("/api/migration{path}"));
            let request = request.body(Body::empty()).unwrap();
            let response = router(Platform::detached(false)).oneshot(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            let allowed = response.headers().get(axum::http::header::ALLOW).unwrap().to_str().unwrap();
            let mut allowed: Vec<&str> = allowed.split(',').map(str::trim).collect();
            allowed.sort_unstable();
            assert_eq!(allowed, expected, "{method} {path}");
        }
    }

    #[tokio::test]
    async fn the_emergency_function_serves_emergencies_and_nothing_else() {
        for (method, path, is_served) in [
            ("POST", "/emergency/rollback", true),
            ("POST", "/emergency/clear", true),
            ("GET", "/emergency", true),
            ("GET", "/status", true),
            ("GET", "/whoami", true),
            ("GET", "/flags", false),
            ("GET", "/metrics", false),
            ("POST", "/tokens", false),
            ("PUT", "/config", false),
            ("POST", "/changes/x/approve", false),
        ] {
            assert_eq!(status(false, method, path).await, 401, "management, {path}");
            let expected = if is_served { 401 } else { 404 };
            assert_eq!(status(true, method, path).await, expected, "emergency, {path}");
        }
    }
}
