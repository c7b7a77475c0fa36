//! RFC 9457 problem documents: the error, the field at fault, and a hint for the next step. The
//! `code` is stable and meant for programs. Internal error messages never reach a client.

use crate::store::error::StoreError;
use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use cutover_core::config;
use serde_json::{Value, json};
use std::fmt;

/// Code of a change that may have been made.
const OUTCOME_UNKNOWN: &str = "outcome_unknown";

/// An error response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// HTTP status.
    pub status: StatusCode,
    /// Stable name of the problem, for programs.
    pub code: &'static str,
    /// Description of the error and the object concerned.
    pub detail: String,
    /// Field, header or parameter of the request that is at fault. As short as it can be stored, like `errors`.
    pub field: Option<Box<str>>,
    /// Suggested next step.
    pub hint: String,
    /// All mistakes of a document. Boxed to keep `Result<_, Problem>` small.
    pub errors: Box<[config::Problem]>,
    /// Details of a change that were approved and that it would have now. Boxed like `errors`.
    pub difference: Option<Box<Value>>,
    /// Time after which a retry makes sense, in seconds.
    pub retry_after: Option<u16>,
    /// Internal cause. It is logged by [`crate::observe::request::observe`] and never sent.
    pub cause: Option<Box<StoreError>>,
}

impl Problem {
    /// Creates a problem with a stable code, a description and a hint.
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
            errors: Box::default(),
            difference: None,
            retry_after: None,
            cause: None,
        }
    }

    /// Sets the field that is at fault.
    pub fn in_field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into().into_boxed_str());
        self
    }

    /// Sets the difference between a change as it was approved and as it would be now.
    pub fn with_difference(mut self, difference: Value) -> Self {
        self.difference = Some(Box::new(difference));
        self
    }

    /// Builds the problem for an invalid field, header or parameter.
    pub fn invalid(field: &str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail, hint).in_field(field)
    }

    /// Builds the problem for a document with mistakes.
    pub fn invalid_document(errors: Vec<config::Problem>) -> Self {
        let (detail, field, hint) = match errors.as_slice() {
            [only] => (
                only.to_string(),
                Some(only.field.clone().into_boxed_str()).filter(|field| !field.is_empty()),
                only.hint.clone(),
            ),
            many => (
                format!("the document has {} mistakes; nothing was changed", many.len()),
                None,
                "correct every mistake listed in errors".to_owned(),
            ),
        };
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            code: "invalid",
            detail,
            field,
            hint,
            errors: errors.into_boxed_slice(),
            difference: None,
            retry_after: None,
            cause: None,
        }
    }

    /// Builds the problem for an object that does not exist.
    pub fn not_found(kind: &str, name: &str) -> Self {
        let plural = kind.strip_suffix('y').map_or_else(|| format!("{kind}s"), |stem| format!("{stem}ies"));
        let hint = format!("list the {plural}, and check the spelling");
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no {kind} {name:?}"), hint)
    }

    /// Builds the problem for a new token with the name of another one.
    pub fn name_taken(name: &str) -> Self {
        let detail =
            format!("a token has or had the name {name:?}, and the audit log needs each name for itself");
        let hint = "choose another name; for a new secret of the same user, rotate the token \
                    (cutover token list, cutover token rotate ID)";
        Self::new(StatusCode::CONFLICT, "name_taken", detail, hint).in_field("name")
    }

    /// Builds the problem for a precondition that no longer holds.
    pub fn changed_meanwhile(detail: impl Into<String>) -> Self {
        let hint = "read the object again, review what changed, and retry with the new ETag in If-Match";
        Self::new(StatusCode::PRECONDITION_FAILED, "changed_meanwhile", detail, hint)
    }

    /// Builds the problem for an `If-Match` that is not an ETag.
    pub fn if_match_malformed(tag: &str) -> Self {
        let detail = format!("{tag} is not an ETag: it is not between quotes");
        let hint = "quote it, as in If-Match: \"139\"; the response to GET has the ETag of an object";
        Self::new(StatusCode::BAD_REQUEST, "if_match_malformed", detail, hint).in_field("If-Match")
    }

    /// Builds the problem for a temporary failure, after which the caller may retry.
    pub fn unavailable(code: &'static str, detail: impl Into<String>) -> Self {
        let hint = "nothing was changed; try again in a few seconds";
        Self { retry_after: Some(2), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail, hint) }
    }

    /// Builds the problem for a change that may have been made, because the store did not tell.
    fn outcome_unknown() -> Self {
        let hint = "it may have been made: repeat it with the same Idempotency-Key, or look at GET /audit before trying \
                    again";
        let detail = "the configuration store did not tell if the change was made";
        Self { hint: hint.to_owned(), ..Self::unavailable(OUTCOME_UNKNOWN, detail) }
    }

    /// Returns true if the request may have had an effect although it failed.
    pub fn is_outcome_unknown(&self) -> bool {
        self.code == OUTCOME_UNKNOWN
    }

    /// Builds the problem for a token or a pending change that another caller has removed in the meantime.
    fn gone(kind: &str) -> Self {
        let detail = format!("another caller removed the {kind} in the meantime");
        let hint = format!("nothing was changed; list the {kind}s");
        Self::new(StatusCode::NOT_FOUND, "not_found", detail, hint)
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
            if let Some(difference) = &self.difference {
                fields.insert("difference".to_owned(), difference.as_ref().clone());
            }
        }
        body
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let problem = match error {
            StoreError::Unknown(_) => Self::outcome_unknown(),
            StoreError::Gone(kind) => return Self::gone(kind),
            StoreError::Call(_) | StoreError::Item(_) | StoreError::Later(_) | StoreError::Restless => {
                Self::unavailable("store_unavailable", "the configuration store could not be reached or read")
            }
        };
        Self { cause: Some(Box::new(error)), ..problem }
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
        if let Some(error) = self.cause {
            response.extensions_mut().insert(*error);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_write_that_certainly_was_not_made_says_that_nothing_was_changed() {
        let problem = |error: StoreError| Problem::from(error);
        for certain in [StoreError::Call("refused".to_owned()), StoreError::Restless] {
            let problem = problem(certain);
            assert_eq!(problem.code, "store_unavailable");
            assert!(problem.hint.contains("nothing was changed"), "{}", problem.hint);
        }
        let lost = problem(StoreError::Unknown("no response".to_owned()));
        assert_eq!((lost.status, lost.code), (StatusCode::SERVICE_UNAVAILABLE, "outcome_unknown"));
        assert!(lost.hint.contains("may have been made") && lost.hint.contains("Idempotency-Key"));
        assert!(lost.is_outcome_unknown());
        assert_eq!(problem(StoreError::Gone("token")).status, StatusCode::NOT_FOUND);
    }
}
