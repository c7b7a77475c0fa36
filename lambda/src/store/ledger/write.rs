//! Writes of ledgers.

use crate::store::{
    error::CommitError,
    item::NewItem,
    item::number,
    keys::Key,
    lease::Lease,
    ledger::{
        evidence::PackedEvidence,
        layout::{DATA, HEAD, lay_out},
        model::Ledger,
        subject::LedgerSubject,
    },
    table::Store,
    transaction::build,
};
use aws_sdk_dynamodb::types::{ConditionCheck, Put, TransactWriteItem};
use cutover_core::Revision;

/// A ledger to be written, with the conditions of the write.
pub struct LedgerWrite<'w> {
    /// Subject of the ledger.
    pub subject: LedgerSubject<'w>,
    /// New content of the ledger; its version is the one that was read.
    pub ledger: Ledger,
    /// Evidence of the newest run or phase, if it has changed.
    pub evidence: Option<&'w PackedEvidence>,
    /// Version of the run or the phase that the evidence belongs to; it must still have it.
    pub counted: Option<Revision>,
    /// Further items to put in the same transaction: records of evaluations.
    pub others: Vec<NewItem>,
    /// Lease that the writer must still hold.
    pub lease: Lease,
}

impl Store {
    /// Writes a ledger on condition that neither it nor the run or phase has changed since they were read: its head, and those parts
    /// that are not as they were. Returns the ledger as it is stored now.
    ///
    /// # Errors
    ///
    /// Returns [`CommitError::Conflict`] if either has changed, and fails if the table cannot be
    /// written.
    pub async fn write_ledger(&self, write: LedgerWrite<'_>) -> Result<Ledger, CommitError> {
        let LedgerWrite { subject, mut ledger, evidence, counted, others, lease } = write;
        let name = subject.to_string();
        let version = ledger.version;
        let mut parts = Vec::new();
        if let Some(evidence) = evidence {
            ledger.evidence_version = version + 1;
            parts = evidence.items(&name, ledger.evidence_version);
        }
        let stored = ledger.parts.clone();
        let layout = lay_out(&mut ledger)?;
        for (part, data) in layout.parts {
            if stored.get(&part) != ledger.parts.get(&part) {
                parts.push(NewItem::new(&Key::ledger_part(&name, &part)).bytes(DATA, data));
            }
        }
        let head = NewItem::new(&Key::ledger(&name)).bytes(HEAD, layout.head);
        let mut items = vec![self.put_after(head, version)?];
        for part in parts {
            // The condition on the head guards the parts.
            let put = Put::builder().table_name(&self.table).set_item(Some(part.into_attributes()));
            items.push(TransactWriteItem::builder().put(build(put.build())?).build());
        }
        if let Some((key, version)) = subject.counted_key().zip(counted) {
            let check = ConditionCheck::builder()
                .table_name(&self.table)
                .set_key(Some(key.attributes()))
                .condition_expression("version = :counted")
                .expression_attribute_values(":counted", number(version.0));
            items.push(TransactWriteItem::builder().condition_check(build(check.build())?).build());
        }
        items.push(self.check_lease(lease)?);
        for other in others {
            items.push(self.put_new(other)?);
        }
        self.transact(items).await?;
        ledger.version = version + 1;
        Ok(ledger)
    }
}
