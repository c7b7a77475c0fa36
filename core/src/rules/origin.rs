//! Origins: the backends that requests are forwarded to.

use crate::{json::omit::is_false, vocabulary::names::OriginName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Default of [`Origin::timeout_ms`], in milliseconds.
pub const DEFAULT_TIMEOUT_MS: u32 = 5_000;

/// Longest [`Origin::timeout_ms`], also of an origin and its secondary together: a Worker's client rarely waits longer.
pub const MAX_TIMEOUT_MS: u32 = 120_000;

/// A backend: its base URL and its timeout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Base URL. The path and query of the request are appended to it byte for byte.
    pub url: String,
    /// Milliseconds until the response headers must have arrived.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u32,
    /// Changes to requests and responses; none by default.
    #[serde(flatten)]
    pub options: OriginOptions,
    /// Help if the backend fails; none by default.
    #[serde(flatten)]
    pub failover: Failover,
}

/// Help if an origin fails.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Failover {
    /// Origin that serves the same interface, and takes the requests while this one fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secondary: Option<OriginName>,
    /// True if a request that failed may be sent to the same origin a second time, if it has no secondary that answers.
    #[serde(skip_serializing_if = "is_false")]
    pub retry: bool,
    /// Path at which the origin says that it is well, by a status from 200 to 299. Without one, a client's request is
    /// the probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<String>,
}

/// Changes to the requests for an origin and to its responses.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct OriginOptions {
    /// Headers that requests get, by name. A value `secret:NAME` stands for the Worker's secret of that name, so that no
    /// secret is in the configuration.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// True if requests say which host and scheme the client asked for: `X-Forwarded-Host`, `X-Forwarded-Proto` and
    /// `Forwarded`.
    #[serde(skip_serializing_if = "is_false")]
    pub forwarded: bool,
    /// True if `Location` headers and cookie domains that name the origin are changed to name the client's host.
    #[serde(skip_serializing_if = "is_false")]
    pub rewrite: bool,
    /// True if requests without a `traceparent` header get one.
    #[serde(skip_serializing_if = "is_false")]
    pub trace: bool,
    /// Service binding of the Worker that takes the requests, in place of the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binding: Option<String>,
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
