//! `GET /config`: the whole configuration in the shape of the file.

use super::json_response;
use crate::{Platform, auth::Caller, problem::Problem};
use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use serde_json::json;

pub(super) async fn handle(_: Caller, State(platform): State<Platform>) -> Result<Response, Problem> {
    let state = platform.store.state().await?;
    let mut response = json_response(StatusCode::OK, &json!(state.config));
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", state.head.revision)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}
