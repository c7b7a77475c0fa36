//! Answers of OFREP: statuses, bodies and headers.

use crate::{
    json::write_text,
    values::evaluation::{Evaluation, EvaluationError},
};
use std::fmt;

/// Answer to a request. Its body is JSON; without one it is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// Status of HTTP.
    pub status: u16,
    /// Body of the response.
    pub body: String,
    /// Entity tag, if there is one.
    pub etag: Option<EntityTag>,
}

/// Entity tag of an answer with all flags. It is displayed as the value of `ETag`, with its quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntityTag(pub u64);

impl fmt::Display for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{:016x}\"", self.0)
    }
}

/// Code of an error, by the names of OFREP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// The body is not JSON of the expected shape.
    Parse,
    /// The flag is split by users, and the context names none.
    TargetingKeyMissing,
    /// The context is not of the expected shape.
    InvalidContext,
    /// The flag could not be evaluated.
    General,
    /// There is no such flag.
    FlagNotFound,
}

impl ErrorCode {
    /// Returns the name in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Parse => "PARSE_ERROR",
            Self::TargetingKeyMissing => "TARGETING_KEY_MISSING",
            Self::InvalidContext => "INVALID_CONTEXT",
            Self::General => "GENERAL",
            Self::FlagNotFound => "FLAG_NOT_FOUND",
        }
    }

    /// Returns the status of an answer with this error.
    pub fn status(self) -> u16 {
        match self {
            Self::FlagNotFound => 404,
            Self::General => 500,
            Self::Parse | Self::TargetingKeyMissing | Self::InvalidContext => 400,
        }
    }
}

impl From<EvaluationError> for ErrorCode {
    fn from(error: EvaluationError) -> Self {
        match error {
            EvaluationError::FlagNotFound => Self::FlagNotFound,
            EvaluationError::TargetingKeyMissing => Self::TargetingKeyMissing,
            EvaluationError::General => Self::General,
        }
    }
}

impl Answer {
    /// Builds the answer for a caller who is not known: 401.
    pub fn unauthorized() -> Self {
        Self { status: 401, ..Self::default() }
    }

    /// Builds the answer for a caller who may not evaluate flags: 403.
    pub fn forbidden() -> Self {
        Self { status: 403, ..Self::default() }
    }

    /// Builds the answer at a path without an endpoint: 404.
    pub fn not_found() -> Self {
        Self::failed(404, "there is no such endpoint")
    }

    /// Builds the answer for another method than POST: 405.
    pub fn method_not_allowed() -> Self {
        Self::failed(405, "evaluations are requested by POST")
    }

    /// Builds the answer for a body over the limit: 413.
    pub fn body_too_large() -> Self {
        Self::failed(413, "the body is larger than the limit")
    }

    /// Builds the answer for a caller who asks too often: 429.
    pub fn too_many_requests() -> Self {
        Self { status: 429, ..Self::default() }
    }

    /// Builds the answer for a failure of the server: 500. The details are for the caller.
    pub fn internal(details: &str) -> Self {
        Self::failed(500, details)
    }

    fn failed(status: u16, details: &str) -> Self {
        let mut body = String::from("{\"errorDetails\":");
        write_text(details, &mut body);
        body.push('}');
        Self { status, body, ..Self::default() }
    }

    /// Builds the answer for a request that cannot be evaluated; `key` is that of the only flag, if it is about one.
    pub(super) fn refused(key: Option<&str>, code: ErrorCode, details: &str) -> Self {
        let mut body = String::new();
        write_error(key, code, details, &mut body);
        Self { status: code.status(), body, ..Self::default() }
    }
}

/// Appends the result of an evaluation without its closing brace.
pub(super) fn write_success(key: &str, evaluation: &Evaluation<'_>, out: &mut String) {
    if let Some(written) = evaluation.written {
        // One copy instead of the pieces: there are hundreds of flags in an answer.
        out.push_str(written);
    } else {
        out.push_str("{\"key\":");
        write_text(key, out);
        out.push_str(",\"variant\":");
        write_text(evaluation.variant, out);
        out.push_str(",\"value\":");
        out.push_str(evaluation.value);
        out.push_str(",\"reason\":\"");
    }
    out.push_str(evaluation.reason.as_str());
    out.push('"');
}

/// Appends an error.
pub(super) fn write_error(key: Option<&str>, code: ErrorCode, details: &str, out: &mut String) {
    out.push('{');
    if let Some(key) = key {
        out.push_str("\"key\":");
        write_text(key, out);
        out.push(',');
    }
    out.push_str("\"errorCode\":\"");
    out.push_str(code.as_str());
    out.push_str("\",\"errorDetails\":");
    write_text(details, out);
    out.push('}');
}
