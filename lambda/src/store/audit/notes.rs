//! Records of acts that change no configuration: a request that waits for approval, its end without
//! one, a publication by hand.

use crate::store::{
    audit::{place::AuditPlace, record::AuditRecord, tail::MOVED},
    backoff::backoff,
    commit::Write,
    error::{CommitError, StoreError},
    item::{NewItem, SCHEMA, number},
    keys::Key,
    table::Store,
    transaction::build,
};
use aws_sdk_dynamodb::{
    operation::put_item::PutItemError,
    types::{TransactWriteItem, Update},
};
use cutover_core::Stamp;

/// Number of attempts to append a record while others move the head.
pub(in crate::store) const MAX_TRIES: u32 = 10;

/// Waits before the next attempt, longer each time and at random, so that writers that collided do
/// not collide again.
pub(in crate::store) async fn pause(attempt: u32) {
    tokio::time::sleep(backoff(8, attempt)).await;
}

impl Store {
    /// Appends a record that creates no revision, and makes `writes`, in one transaction.
    ///
    /// # Errors
    ///
    /// Returns [`CommitError::Conflict`] if the head has moved meanwhile, or a condition of the writes
    /// does not hold. Fails if the table cannot be read or written.
    pub async fn note_with(&self, record: &AuditRecord, writes: &[Write]) -> Result<(), CommitError> {
        let tail = self.audit_tail().await?;
        let record = AuditRecord { revision: tail.revision, ..record.clone() };
        let place = AuditPlace { revision: tail.revision, note: Some(tail.count + 1) };
        let sealed = record.sealed(place, &tail)?;
        self.keep_changes(sealed.parts).await?;
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(Key::head().attributes()))
            .update_expression(format!("SET #schema = :schema, revision = :from, {MOVED}"))
            .expression_attribute_names("#schema", "schema")
            .expression_attribute_values(":schema", number(SCHEMA));
        let update = build(tail.moved(update, &sealed.digest).build())?;
        let mut items = vec![TransactWriteItem::builder().update(update).build(), self.put_new(sealed.item)?];
        for write in writes {
            let stamp = Stamp { epoch: tail.epoch, revision: tail.revision };
            items.push(self.write(write, stamp, &record)?);
        }
        self.transact(items).await
    }

    /// Appends a record that creates no revision.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or written, or other writers keep moving the head.
    pub async fn note(&self, record: &AuditRecord) -> Result<(), StoreError> {
        for attempt in 0..MAX_TRIES {
            match self.note_with(record, &[]).await {
                Ok(()) => return Ok(()),
                Err(CommitError::Conflict) => pause(attempt).await,
                Err(CommitError::Store(error)) => return Err(error),
            }
        }
        Err(StoreError::Restless)
    }

    /// Stores the parts of changes that are too large for their record. Their keys are digests of the
    /// content, so a part that exists already is the same one.
    pub(in crate::store) async fn keep_changes(&self, parts: Vec<NewItem>) -> Result<(), StoreError> {
        for part in parts {
            let put = self.client.put_item().table_name(&self.table).set_item(Some(part.into_attributes()));
            match put.condition_expression("attribute_not_exists(pk)").send().await {
                Ok(_) => {}
                Err(error)
                    if error
                        .as_service_error()
                        .is_some_and(PutItemError::is_conditional_check_failed_exception) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
