//! `GET /whoami`: the caller's name as it appears in the audit log, and the caller's role.

use crate::{access::auth::Caller, api::respond::json_response, platform::Platform, problem::Problem};
use axum::{extract::State, http::StatusCode, response::Response};
use serde_json::json;

pub(super) async fn handle(caller: Caller, State(platform): State<Platform>) -> Result<Response, Problem> {
    let body = json!({
        "name": caller.name,
        "role": caller.role,
        "expires_at": caller.expires_at,
        "second_person": platform.settings.two_person,
    });
    Ok(json_response(StatusCode::OK, &body))
}
