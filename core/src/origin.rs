//! Origins: the backends that requests are forwarded to.

use crate::json::read_fields;
use serde::{Deserialize, Serialize};

/// Milliseconds that an origin may take to its first byte where nothing else is configured.
pub const DEFAULT_TIMEOUT_MS: u32 = 5_000;

/// An upstream base URL and how long it may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The base URL. The request's path and query are appended to it byte for byte.
    pub url: String,
    /// Milliseconds until the response headers must have arrived.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u32,
}

fn default_timeout_ms() -> u32 {
    DEFAULT_TIMEOUT_MS
}

impl Origin {
    /// The base URL without the slashes that would double the one a path begins with.
    pub fn base(&self) -> &str {
        self.url.trim_end_matches('/')
    }
}

read_fields!(Origin { url, timeout_ms or DEFAULT_TIMEOUT_MS });
