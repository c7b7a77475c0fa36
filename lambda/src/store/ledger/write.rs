//! Writes of ledgers.

use crate::store::{
    error::CommitError,
    item::NewItem,
    item::number,
    keys::Key,
    lease::Lease,
    ledger::{
        evidence::evidence_items,
        layout::{DATA, HEAD, lay_out},
        model::Ledger,
        read::name,
    },
    table::Store,
    transaction::build,
};
use aws_sdk_dynamodb::types::{ConditionCheck, Put, TransactWriteItem};
use cutover_core::{FlagName, Revision, canary::Evidence};

/// A ledger to be written, with the conditions of the write.
pub struct LedgerWrite<'w> {
    /// Flag of the ledger; `None` for requests that no flag decided.
    pub flag: Option<&'w FlagName>,
    /// New content of the ledger; its version is the one that was read.
    pub ledger: Ledger,
    /// Evidence of the newest run, if it has changed.
    pub evidence: Option<&'w Evidence>,
    /// Version of the run that the evidence was evaluated with; the run must still have it.
    pub run: Option<Revision>,
    /// Further items to put in the same transaction: records of evaluations.
    pub others: Vec<NewItem>,
    /// Lease that the writer must still hold.
    pub lease: Lease,
}

impl Store {
    /// Writes a ledger on condition that neither it nor the run has changed since they were read: its head, and those parts
    /// that are not as they were. Returns the ledger as it is stored now.
    ///
    /// # Errors
    ///
    /// Returns [`CommitError::Conflict`] if either has changed, and fails if the table cannot be
    /// written.
    pub async fn write_ledger(&self, write: LedgerWrite<'_>) -> Result<Ledger, CommitError> {
        let LedgerWrite { flag, mut ledger, evidence, run, others, lease } = write;
        let version = ledger.version;
        let mut parts = Vec::new();
        if let Some(evidence) = evidence {
            ledger.evidence_version = version + 1;
            parts = evidence_items(name(flag), ledger.evidence_version, evidence)?;
        }
        let stored = ledger.parts.clone();
        let layout = lay_out(&mut ledger)?;
        for (part, data) in layout.parts {
            if stored.get(&part) != ledger.parts.get(&part) {
                parts.push(NewItem::new(&Key::ledger_part(name(flag), &part)).bytes(DATA, data));
            }
        }
        let head = NewItem::new(&Key::ledger(name(flag))).bytes(HEAD, layout.head);
        let mut items = vec![self.put_after(head, version)?];
        for part in parts {
            // The condition on the head guards the parts.
            let put = Put::builder().table_name(&self.table).set_item(Some(part.into_attributes()));
            items.push(TransactWriteItem::builder().put(build(put.build())?).build());
        }
        if let Some((flag, run)) = flag.zip(run) {
            let check = ConditionCheck::builder()
                .table_name(&self.table)
                .set_key(Some(Key::object(crate::store::RUNS, flag.as_str()).attributes()))
                .condition_expression("version = :run")
                .expression_attribute_values(":run", number(run.0));
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
