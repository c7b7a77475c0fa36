//! The settings of a guarded route.

use crate::{graphql::limits::Limits, vocabulary::digest::Digest256};
use serde::{Deserialize, Serialize};

/// Most trusted documents of one route.
pub const MAX_DOCUMENTS: usize = 1_000;

/// Most operations that a route may accept in one batch.
pub const MAX_BATCH: u32 = 50;

/// Checks that a route's GraphQL requests must pass before a backend gets them.
///
/// ```
/// use cutover_core::graphql::Guard;
///
/// let guard: Guard = serde_json::from_str(r#"{"limits":{"depth":6}}"#)?;
/// assert_eq!((guard.limits.depth, guard.limits.aliases, guard.batches), (6, 15, None));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Guard {
    /// Limits of each document.
    #[serde(default)]
    pub limits: Limits,
    /// Treatment of documents that ask for `__schema` or `__type`.
    #[serde(default)]
    pub introspection: Introspection,
    /// Most operations in one batch; `None` if batches are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batches: Option<u32>,
    /// Documents that are known to be harmless.
    #[serde(default, skip_serializing_if = "TrustedDocuments::is_unused")]
    pub trusted_documents: TrustedDocuments,
}

/// Treatment of documents that ask for `__schema` or `__type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Introspection {
    /// They are refused.
    #[default]
    Deny,
    /// They are documents like others.
    Allow,
}

/// The trusted documents of a route, of which only the hashes are known.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TrustedDocuments {
    /// Treatment of other documents.
    pub mode: TrustMode,
    /// SHA-256 of the UTF-8 of each trusted document, each once.
    #[serde(default)]
    pub documents: Vec<Digest256>,
}

/// Treatment of documents that are not trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrustMode {
    /// They are not told apart.
    #[default]
    Off,
    /// They are sent on, and some of them are written into the log: they are not counted.
    Log,
    /// They are refused.
    Enforce,
}

impl TrustedDocuments {
    /// Returns true if documents are not told apart.
    pub fn is_off(&self) -> bool {
        self.mode == TrustMode::Off
    }

    /// Returns true if documents are not told apart, and none is kept for later.
    fn is_unused(&self) -> bool {
        self.is_off() && self.documents.is_empty()
    }

    /// Returns true if a document is trusted.
    pub fn contains(&self, document: &Digest256) -> bool {
        self.documents.contains(document)
    }
}
