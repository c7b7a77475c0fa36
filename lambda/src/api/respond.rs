//! Conversion of change results and JSON values to HTTP responses.

use crate::change::proposal::ChangeResponse;
use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use cutover_core::{Epoch, Revision, Stamp};
use serde_json::Value;

pub(crate) fn json_response(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // An object's version is its entity tag, with the epoch.
    let number = |name: &str| body.get(name).and_then(Value::as_u64);
    let stamp = number("version").map(|version| {
        let epoch = Epoch(number("epoch").unwrap_or_default());
        Stamp { epoch, revision: Revision(version) }
    });
    if let Some(stamp) = stamp
        && let Ok(tag) = HeaderValue::from_str(&format!("\"{stamp}\""))
    {
        headers.insert(header::ETAG, tag);
    }
    response
}

impl IntoResponse for ChangeResponse {
    fn into_response(self) -> Response {
        let mut response = json_response(self.status, &self.body);
        if self.replayed {
            let name = HeaderName::from_static("idempotency-replayed");
            response.headers_mut().insert(name, HeaderValue::from_static("true"));
        }
        response
    }
}
