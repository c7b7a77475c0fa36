//! The keys of the single table. Configuration is one partition, so that one query reads all of it.

use aws_sdk_dynamodb::types::AttributeValue;
use cutover_core::Revision;
use std::collections::HashMap;

/// The attribute that holds the partition key.
pub const PARTITION: &str = "pk";
/// The attribute that holds the sort key.
pub const SORT: &str = "sk";
/// The attribute after whose time (seconds since 1970) DynamoDB removes an item.
pub const EXPIRES: &str = "expires_at";

/// The partition of the configuration and its head.
pub const CONFIG: &str = "CONFIG";
/// The partition of the audit log.
pub const AUDIT: &str = "AUDIT";
/// The partition of the tokens.
pub const TOKENS: &str = "TOKENS";

/// The key of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The partition key.
    pub partition: String,
    /// The sort key.
    pub sort: String,
}

impl Key {
    fn new(partition: &str, sort: impl Into<String>) -> Self {
        Self { partition: partition.to_owned(), sort: sort.into() }
    }

    /// The head: the revision, what of it is published, and the emergency.
    pub fn head() -> Self {
        Self::new(CONFIG, "HEAD")
    }

    /// An object of the configuration.
    pub fn object(section: &str, name: &str) -> Self {
        Self::new(CONFIG, format!("{section}#{name}"))
    }

    /// The audit record of a revision. Padded, so that the order of texts is that of numbers.
    pub fn audit(revision: Revision) -> Self {
        Self::new(AUDIT, format!("{:012}", revision.0))
    }

    /// A token, by the hash of its secret.
    pub fn token(hash: &str) -> Self {
        Self::new(TOKENS, hash)
    }

    /// The answer that was given under an idempotency key.
    pub fn idempotency(hash: &str) -> Self {
        Self::new(&format!("IDEMPOTENCY#{hash}"), "ANSWER")
    }

    /// The two attributes.
    pub fn attributes(&self) -> HashMap<String, AttributeValue> {
        HashMap::from([
            (PARTITION.to_owned(), AttributeValue::S(self.partition.clone())),
            (SORT.to_owned(), AttributeValue::S(self.sort.clone())),
        ])
    }
}
