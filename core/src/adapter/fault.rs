//! The error responses that an adapter declares: status, code and message.

use crate::adapter::template::Template;
use serde::{Deserialize, Serialize};

/// An error response: the status, and the fields that the error envelope is built from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// HTTP status of the response.
    pub status: u16,
    /// Machine-readable code; if empty, the backend's code is used.
    pub code: String,
    /// Human-readable message. Its places are the `code`, `message` and `field` of the error.
    pub message: Template,
}
