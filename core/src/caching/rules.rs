//! The rules by which responses of a route are cached.

use crate::json::omit::is_zero;
use serde::{Deserialize, Serialize};

/// The most seconds for which a response can be cached: a year.
pub const MAX_CACHED_SECONDS: u32 = 31_536_000;

/// The most request headers that a route's cached responses may depend on.
pub const MAX_KEYED_HEADERS: usize = 16;

/// The most tags of a route.
pub const MAX_TAGS: usize = 16;

/// The most bytes of a tag.
const MAX_TAG_BYTES: usize = 128;

/// The rules by which responses of a route to `GET` and `HEAD` are cached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheRules {
    /// Seconds for which a response is fresh if the backend does not say so. `None`: it is not cached then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u32>,
    /// Seconds behind its freshness for which a response is still given while another one is fetched.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub stale_seconds: u32,
    /// Request headers that a backend gets of a cached request, in lower case. Responses are kept apart by their values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
    /// Tags of the responses, by which they can be removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Percent of the users who go past the cache while a canary of the route's flag runs. They are its evidence.
    #[serde(default = "default_bypass", skip_serializing_if = "is_default_bypass")]
    pub bypass_percent: u32,
    /// Raised to give none of the responses again that are cached.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub version: u32,
}

impl Default for CacheRules {
    fn default() -> Self {
        Self {
            ttl_seconds: None,
            stale_seconds: 0,
            headers: Vec::new(),
            tags: Vec::new(),
            bypass_percent: default_bypass(),
            version: 0,
        }
    }
}

impl CacheRules {
    /// Returns true if a user who is evidence of a canary goes past the cache. `user` is their hash in its run, so the share
    /// is the same in both arms.
    pub fn is_bypassed_by(&self, user: u64) -> bool {
        user % 100 < u64::from(self.bypass_percent)
    }
}

fn default_bypass() -> u32 {
    10
}

fn is_default_bypass(percent: &u32) -> bool {
    *percent == default_bypass()
}

/// Headers that a cached request cannot have: those of a connection, of a part or a condition of a request, and of a body.
const UNKEYABLE: [&str; 18] = [
    "accept-encoding",
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-test-group",
];

/// Returns true if responses can be kept apart by a header, given in lower case.
pub fn is_keyable(header: &str) -> bool {
    !UNKEYABLE.contains(&header) && !header.starts_with("x-cutover-")
}

/// Returns true for a word that the platform takes as a tag: printable ASCII without a comma or a space.
pub fn is_tag(word: &str) -> bool {
    (1..=MAX_TAG_BYTES).contains(&word.len())
        && word.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
}
