//! Conversion of change results and JSON values to HTTP responses.

use crate::{change::proposal::ChangeResponse, store::Meta};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use cutover_core::{Epoch, Revision, Stamp};
use serde_json::{Value, json};
use std::fmt::Display;

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
    if let Some(stamp) = stamp {
        set_tag(&mut response, stamp);
    }
    response
}

/// Sets the entity tag of a response, which is given without its quotes.
pub(crate) fn set_tag(response: &mut Response, tag: impl Display) {
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{tag}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
}

/// Adds the time, author and version of an object's last change to its JSON form.
pub(crate) fn with_meta(mut body: Value, meta: Option<&Meta>) -> Value {
    if let (Some(fields), Some(meta)) = (body.as_object_mut(), meta) {
        fields.insert("updated_at".to_owned(), json!(meta.updated_at));
        fields.insert("updated_by".to_owned(), json!(meta.updated_by));
        fields.insert("version".to_owned(), json!(meta.version));
        if !meta.epoch.is_first() {
            fields.insert("epoch".to_owned(), json!(meta.epoch));
        }
    }
    body
}

/// Returns 304 without a body if the caller has the response already, as the tags in `If-None-Match` say, and the response
/// otherwise. Only for responses of which every field changes with their tag.
pub(crate) fn not_modified_or(request: &HeaderMap, response: Response) -> Response {
    let current = response.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok());
    let sent = request.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = sent.flat_map(|value| value.split(',')).map(str::trim);
    // The comparison is the weak one (RFC 9110, 13.1.2).
    let is_known = current.is_some_and(|current| {
        tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == current)
    });
    if !is_known {
        return response;
    }
    let mut not_modified = Response::new(Body::empty());
    *not_modified.status_mut() = StatusCode::NOT_MODIFIED;
    for name in [header::ETAG, header::CACHE_CONTROL] {
        if let Some(value) = response.headers().get(&name) {
            not_modified.headers_mut().insert(name, value.clone());
        }
    }
    not_modified
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_who_has_the_tag_is_answered_without_a_body() {
        let cases: [(&[&'static str], bool); 9] = [
            (&["\"480\""], true),
            (&["W/\"480\""], true),
            (&["*"], true),
            (&["\"479\", \"480\""], true),
            (&["\"479\"", "\"480\""], true),
            (&["\"479\""], false),
            (&["480"], false),
            (&["\"480.held\""], false),
            (&[], false),
        ];
        for (sent, is_known) in cases {
            let mut request = HeaderMap::new();
            for &tag in sent {
                request.append(header::IF_NONE_MATCH, HeaderValue::from_static(tag));
            }
            let response =
                not_modified_or(&request, json_response(StatusCode::OK, &json!({ "version": 480 })));
            assert_eq!(response.status().as_u16(), if is_known { 304 } else { 200 }, "{sent:?}");
            assert_eq!(response.headers().get(header::ETAG).unwrap(), "\"480\"");
            assert_eq!(response.headers().get(header::CACHE_CONTROL).unwrap(), "no-store");
            assert_eq!(response.headers().contains_key(header::CONTENT_TYPE), !is_known, "{sent:?}");
        }
        let everything = HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static("*"))]);
        let untagged = not_modified_or(&everything, json_response(StatusCode::OK, &json!({})));
        assert_eq!(untagged.status(), StatusCode::OK);
    }
}
