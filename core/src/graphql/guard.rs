//! The settings of a guarded route.

use crate::graphql::limits::Limits;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

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
    /// Hashes of the trusted documents, each once.
    #[serde(default)]
    pub documents: Vec<DocumentHash>,
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

/// The SHA-256 of a document's UTF-8, written as 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DocumentHash(pub [u8; 32]);

/// Error for a string that is not the hash of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 has 64 hexadecimal digits")]
pub struct InvalidDocumentHash;

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
    pub fn contains(&self, document: &DocumentHash) -> bool {
        self.documents.contains(document)
    }
}

impl FromStr for DocumentHash {
    type Err = InvalidDocumentHash;
    fn from_str(text: &str) -> Result<Self, InvalidDocumentHash> {
        let mut bytes = [0; 32];
        if text.len() != 2 * bytes.len() {
            return Err(InvalidDocumentHash);
        }
        let mut digits =
            text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()));
        let mut next = || digits.next().flatten().ok_or(InvalidDocumentHash);
        for byte in &mut bytes {
            *byte = (next()? << 4) | next()?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for DocumentHash {
    type Error = InvalidDocumentHash;
    fn try_from(text: String) -> Result<Self, InvalidDocumentHash> {
        text.parse()
    }
}

impl From<DocumentHash> for String {
    fn from(hash: DocumentHash) -> Self {
        hash.to_string()
    }
}

impl fmt::Display for DocumentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
