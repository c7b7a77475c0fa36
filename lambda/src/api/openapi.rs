//! `GET /openapi.json`: the description of this API. A test joins it from the descriptions beside the handlers, and compares
//! it with the routes.

use crate::access::auth::Caller;
use axum::{
    http::header,
    response::{IntoResponse, Response},
};

pub(super) async fn handle(_: Caller) -> Response {
    let document = include_str!("../../../docs/openapi.json");
    ([(header::CONTENT_TYPE, "application/json")], document).into_response()
}
