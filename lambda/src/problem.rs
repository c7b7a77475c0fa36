//! RFC 9457 problem documents: what went wrong, in which field, and what to do. The `code` is stable and meant
//! for programs; no text from inside the system reaches a client.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use cutover_core::config;
use serde_json::{Value, json};
use std::fmt;

/// An answer that is not the one that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status.
    pub status: StatusCode,
    /// The stable name.
    pub code: &'static str,
    /// What happened, to what.
    pub detail: String,
    /// The field of the request that is at fault.
    pub field: Option<String>,
    /// What to do next.
    pub hint: String,
    /// Every mistake of a document, where there can be several.
    pub errors: Vec<config::Problem>,
    /// Seconds after which trying again makes sense.
    pub retry_after: Option<u16>,
}

impl Problem {
    /// A problem with a stable code, what happened, and what to do next.
    pub fn new(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            field: None,
            hint: hint.into(),
            errors: Vec::new(),
            retry_after: None,
        }
    }

    /// Names the field that is at fault.
    pub fn in_field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// The body or a parameter is not what it must be.
    pub fn invalid(field: &str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail, hint).in_field(field)
    }

    /// A document has mistakes.
    pub fn invalid_document(errors: Vec<config::Problem>) -> Self {
        let (detail, field, hint) = match errors.as_slice() {
            [only] => (
                only.to_string(),
                Some(only.field.clone()).filter(|field| !field.is_empty()),
                only.hint.clone(),
            ),
            many => (
                format!("{} mistakes; nothing was changed", many.len()),
                None,
                "correct every one in errors".to_owned(),
            ),
        };
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            code: "invalid",
            detail,
            field,
            hint,
            errors,
            retry_after: None,
        }
    }

    /// There is no such object.
    pub fn not_found(what: &str, name: &str) -> Self {
        let hint = format!("list the {what}s that exist, and check the spelling");
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no {what} {name:?}"), hint)
    }

    /// Somebody else was faster.
    pub fn changed_meanwhile(detail: impl Into<String>) -> Self {
        let hint =
            "read the object again, look at what changed, and send your change with the new ETag in If-Match";
        Self::new(StatusCode::PRECONDITION_FAILED, "changed_meanwhile", detail, hint)
    }

    /// The caller may try again.
    pub fn unavailable(code: &'static str, detail: impl Into<String>) -> Self {
        let hint = "nothing was changed; try again in a few seconds";
        Self { retry_after: Some(2), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail, hint) }
    }

    fn body(&self) -> Value {
        let mut body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
            "hint": self.hint,
        });
        if let Some(fields) = body.as_object_mut() {
            if let Some(field) = &self.field {
                fields.insert("field".to_owned(), json!(field));
            }
            if !self.errors.is_empty() {
                fields.insert("errors".to_owned(), json!(self.errors));
            }
        }
        body
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.detail, self.code)
    }
}

impl std::error::Error for Problem {}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body().to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
