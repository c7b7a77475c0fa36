//! The end of the audit log, which the head of the configuration holds.

use crate::store::{error::StoreError, item::Item, keys::Key, table::Store};
use aws_sdk_dynamodb::types::{AttributeValue, builders::UpdateBuilder};
use cutover_core::{Epoch, Revision};

/// Digest before the first record.
pub(in crate::store) const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Part of an update expression of the head that makes a record the last one of the log; see
/// [`AuditTail::moved`].
pub(in crate::store) const MOVED: &str = "audit_count = :audit_count, audit_digest = :audit_digest";

/// The end of the audit log at a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct AuditTail {
    /// Revision of the head.
    pub(in crate::store) revision: Revision,
    /// Epoch of the next record.
    pub(in crate::store) epoch: Epoch,
    /// Number of records in the chain.
    pub(in crate::store) count: u64,
    /// Digest of the last record.
    pub(in crate::store) digest: String,
}

impl AuditTail {
    /// Adds the values of [`MOVED`] to an update of the head, for a next record with this digest, and
    /// the condition that neither the revision nor the log has moved since the tail was read. The
    /// value `:from` is that revision.
    pub(in crate::store) fn moved(&self, update: UpdateBuilder, digest: &str) -> UpdateBuilder {
        let number = |number: u64| AttributeValue::N(number.to_string());
        let update = update
            .expression_attribute_values(":from", number(self.revision.0))
            .expression_attribute_values(":audit_count", number(self.count + 1))
            .expression_attribute_values(":audit_digest", AttributeValue::S(digest.to_owned()));
        if self.count > 0 {
            return update
                .condition_expression("revision = :from AND audit_digest = :previous")
                .expression_attribute_values(":previous", AttributeValue::S(self.digest.clone()));
        }
        // A head of an earlier version has no chain yet.
        let first = "revision = :from AND attribute_not_exists(audit_digest)";
        if self.revision == Revision::default() {
            update.condition_expression(format!("attribute_not_exists(pk) OR ({first})"))
        } else {
            update.condition_expression(first)
        }
    }
}

impl Store {
    /// Returns the end of the audit log.
    pub(in crate::store) async fn audit_tail(&self) -> Result<AuditTail, StoreError> {
        let head = self.get(&Key::head()).await?;
        let number = |name| head.as_ref().and_then(|head| head.optional_number(name)).unwrap_or_default();
        let digest = head.as_ref().and_then(|head| head.optional_text("audit_digest"));
        Ok(AuditTail {
            revision: Revision(number("revision")),
            epoch: head.as_ref().map(Item::epoch).unwrap_or_default(),
            count: number("audit_count"),
            digest: digest.unwrap_or(GENESIS).to_owned(),
        })
    }
}
