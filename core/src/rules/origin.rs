//! Origins: the backends that requests are forwarded to.

use serde::{Deserialize, Serialize};

/// Default of [`Origin::timeout_ms`], in milliseconds.
pub const DEFAULT_TIMEOUT_MS: u32 = 5_000;

/// A backend: its base URL and its timeout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Base URL. The path and query of the request are appended to it byte for byte.
    pub url: String,
    /// Milliseconds until the response headers must have arrived.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u32,
}

fn default_timeout_ms() -> u32 {
    DEFAULT_TIMEOUT_MS
}

impl Origin {
    /// Returns the base URL without trailing slashes, because a path begins with one.
    pub fn base(&self) -> &str {
        self.url.trim_end_matches('/')
    }
}
