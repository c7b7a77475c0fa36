//! Methods and paths, as operators write them.

use serde::{Deserialize, Serialize};

/// The methods and paths that a route matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matcher {
    /// Methods in upper case; an empty list matches all. `GET` includes `HEAD`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Path pattern, as described in the [module documentation](self).
    pub path: String,
}

/// Returns true if a request with this method changes nothing (RFC 9110, 9.2.1) and its response
/// can be compared.
pub fn is_safe(method: &str) -> bool {
    matches!(method, "GET" | "HEAD")
}

/// Returns true if a request with this method may be sent a second time (RFC 9110, 9.2.2).
pub fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
}
