//! The management API below `/api/migration`. Each file holds one endpoint, or the endpoints of one
//! resource.

mod canary;
mod canary_guard;
mod canary_records;
mod canary_start;
mod canary_steer;
mod changes;
mod comparisons;
mod create_token;
mod delete_flag;
mod emergency;
mod explain_flag;
mod extract;
mod flags;
mod get_audit;
mod get_config;
mod get_metrics;
mod get_status;
mod openapi;
mod publication;
mod put_config;
mod put_flag;
mod rotate_token;
mod set_rollout;
mod switch_flag;
mod tokens;
mod whoami;

use crate::{Platform, change::Changed, http, problem::Problem};
use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::from_fn,
    response::{IntoResponse, Response},
    routing::{delete, get, post, put},
};
use serde_json::Value;

/// Builds the routes below `/api/migration`.
fn routes() -> Router<Platform> {
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
    Router::new()
        .nest("/api/migration", routes())
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(from_fn(http::observe))
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

fn json_response(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // An object's version is its entity tag.
    if let Some(version) = body.get("version").and_then(Value::as_u64)
        && let Ok(tag) = HeaderValue::from_str(&format!("\"{version}\""))
    {
        headers.insert(header::ETAG, tag);
    }
    response
}

impl IntoResponse for Changed {
    fn into_response(self) -> Response {
        let mut response = json_response(self.status, &self.body);
        if self.replayed {
            let name = HeaderName::from_static("idempotency-replayed");
            response.headers_mut().insert(name, HeaderValue::from_static("true"));
        }
        response
    }
}
