//! Commits, the only way to change state: one transaction that writes the objects, the audit record
//! and the remembered response, and moves the head from the revision that was read to the next one.

use crate::store::{
    AuditRecord, Reply,
    audit::{AuditPlace, AuditTail, MOVED},
    brakes::Brakes,
    error::{CommitError, StoreError},
    item::{NewItem, SCHEMA, number},
    keys,
    keys::Key,
    table::Store,
    tokens::{VALID_UNTIL, removal},
    transaction::{EXISTS, build, random_id},
};
use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem, Update};
use cutover_core::{Emergency, Epoch, Revision, Stamp};
use serde_json::Value;

/// Most writes of one commit. DynamoDB accepts 100 items in a transaction; the head, the audit
/// record and the response are three of them.
pub const MAX_WRITES: usize = 97;

/// Write of one item.
#[derive(Debug, Clone)]
pub enum Write {
    /// Puts or removes an object of the configuration.
    Object {
        /// Section of the object.
        section: String,
        /// Name of the object.
        name: String,
        /// New value; `None` removes the object.
        value: Option<Value>,
        /// Version that the object must have; `None` means that it must not exist.
        expected: Option<Revision>,
    },
    /// Keeps the last phase of an experiment that is deleted.
    KeepPhase {
        /// Name of the experiment.
        experiment: String,
        /// The phase.
        phase: u32,
    },
    /// Puts a token.
    PutToken(super::TokenRecord),
    /// Takes a name for a token; no token may have or have had it.
    TakeName(String),
    /// Removes a token, by the hash of its secret.
    DeleteToken(String),
    /// Sets the expiry of a token, by the hash of its secret.
    EndToken(String, cutover_core::Timestamp),
    /// Removes a pending change by its id; it must still be pending.
    DeletePending(String),
    /// Puts a response to remember beside that of the caller who makes the change.
    PutReply(Reply),
    /// Puts an item that must not exist yet: a record or a notification.
    New(NewItem),
    /// Increments an event counter of a flag's canary.
    Count {
        /// Flag of the canary.
        flag: String,
        /// Name of the counter.
        name: &'static str,
    },
}

/// Effect of a change on the emergency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EmergencyChange {
    /// Leaves the emergency unchanged, whether or not one is in force.
    Keep,
    /// Declares an emergency, replacing the one in force.
    Set(Emergency),
    /// Ends the emergency.
    Clear,
}

/// A change to be committed.
#[derive(Debug, Clone)]
pub struct Commit {
    /// Revision that the change is based on.
    pub from: Revision,
    /// Epoch of the head after the change: that of the head before, but for a restore.
    pub epoch: Epoch,
    /// Writes of the change, at most [`MAX_WRITES`].
    pub writes: Vec<Write>,
    /// Effect of the change on the emergency.
    pub emergency: EmergencyChange,
    /// Brakes of the head after the change, see [`State::brakes_after`](super::State::brakes_after).
    pub brakes: Brakes,
    /// Record for the audit log. Its revision is set to that of the change.
    pub audit: AuditRecord,
    /// Response to remember and replay to a repeated request.
    pub reply: Option<Reply>,
    /// Lease of evaluation that the maker must still hold; `None` for a change by an operator.
    pub lease: Option<super::Lease>,
}

impl Store {
    /// Commits a change atomically and returns its revision.
    ///
    /// # Errors
    ///
    /// Returns [`CommitError::Conflict`] if the head or an object has changed; the table is then
    /// unchanged. Fails with [`CommitError::Store`] if the table cannot be written: with [`StoreError::Unknown`] if the
    /// change may have been made, and [`StoreError::Gone`] if it is about a token or a pending change that was removed.
    pub async fn commit(&self, commit: Commit) -> Result<Revision, CommitError> {
        let revision = commit.from.next();
        // A record that created no revision moves the tail too, and leaves the change as it is.
        let tail = self.audit_tail().await?;
        if tail.revision != commit.from || tail.epoch > commit.epoch {
            return Err(CommitError::Conflict);
        }
        let tail = AuditTail { epoch: commit.epoch, ..tail };
        let sealed = commit.audit.sealed(AuditPlace::change(revision), &tail)?;
        // Ahead of the transaction, which is limited to 4 MB; without their record they mean nothing.
        self.keep_changes(sealed.parts).await?;
        let mut items = vec![self.move_head(&commit, &tail, &sealed.digest)?];
        items.push(self.put_new(sealed.item)?);
        if let Some(reply) = &commit.reply {
            items.push(self.put_new(reply.item()?)?);
        }
        if let Some(lease) = commit.lease {
            items.push(self.check_lease(lease)?);
        }
        for write in &commit.writes {
            let stamp = Stamp { epoch: commit.epoch, revision };
            items.push(self.write(write, stamp, &commit.audit)?);
        }
        self.transact(items).await.map(|()| revision)
    }

    /// Puts an item as the successor of `version`, which it must have; 0 means that it must not
    /// exist.
    pub(super) fn put_after(&self, item: NewItem, version: u64) -> Result<TransactWriteItem, StoreError> {
        let item = item.number("version", version + 1);
        if version == 0 {
            return self.put_new(item);
        }
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item.into_attributes()))
            .condition_expression("version = :version")
            .expression_attribute_values(":version", number(version))
            .build();
        Ok(TransactWriteItem::builder().put(build(put)?).build())
    }

    fn move_head(
        &self,
        commit: &Commit,
        tail: &AuditTail,
        digest: &str,
    ) -> Result<TransactWriteItem, StoreError> {
        let mut expression = format!(
            "SET revision = :next, #epoch = :epoch, #deployment = if_not_exists(#deployment, :deployment), \
             #schema = :schema, brakes = :brakes, {MOVED}"
        );
        let mut update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(Key::head().attributes()))
            .expression_attribute_names("#schema", "schema")
            .expression_attribute_names("#epoch", keys::EPOCH)
            .expression_attribute_names("#deployment", keys::DEPLOYMENT)
            .expression_attribute_values(":next", number(commit.from.next().0))
            .expression_attribute_values(":epoch", number(commit.epoch.0))
            .expression_attribute_values(":deployment", AttributeValue::S(random_id()?))
            .expression_attribute_values(":brakes", AttributeValue::S(commit.brakes.encode()))
            .expression_attribute_values(":schema", number(SCHEMA));
        update = tail.moved(update, digest);
        match &commit.emergency {
            EmergencyChange::Keep => {}
            EmergencyChange::Clear => expression.push_str(" REMOVE emergency"),
            EmergencyChange::Set(emergency) => {
                let json =
                    serde_json::to_string(emergency).map_err(|error| StoreError::Item(error.to_string()))?;
                expression.push_str(", emergency = :emergency");
                update = update.expression_attribute_values(":emergency", AttributeValue::S(json));
            }
        }
        let update = build(update.update_expression(expression).build())?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    pub(super) fn write(
        &self,
        write: &Write,
        stamp: Stamp,
        audit: &AuditRecord,
    ) -> Result<TransactWriteItem, StoreError> {
        match write {
            Write::PutToken(token) => self.put_new(token.item()?),
            Write::TakeName(name) => {
                self.put_new(NewItem::new(&Key::token_name(name)).text("name", name.clone()))
            }
            Write::KeepPhase { experiment, phase } => {
                // Phases of a name only ascend, and the head orders the changes.
                let item = NewItem::new(&Key::last_phase(experiment)).number("phase", u64::from(*phase));
                let put = Put::builder().table_name(&self.table).set_item(Some(item.into_attributes()));
                Ok(TransactWriteItem::builder().put(build(put.build())?).build())
            }
            Write::PutReply(reply) => self.put_new(reply.item()?),
            Write::New(item) => self.put_new(item.clone()),
            Write::Count { flag, name } => {
                let update = Update::builder()
                    .table_name(&self.table)
                    .set_key(Some(Key::events(flag).attributes()))
                    .update_expression("SET #schema = :schema ADD #name :one")
                    .expression_attribute_names("#schema", "schema")
                    .expression_attribute_names("#name", *name)
                    .expression_attribute_values(":schema", number(SCHEMA))
                    .expression_attribute_values(":one", number(1));
                Ok(TransactWriteItem::builder().update(build(update.build())?).build())
            }
            Write::DeleteToken(hash) => self.delete_existing(&Key::token(hash)),
            Write::DeletePending(id) => self.delete_existing(&Key::pending(id)),
            Write::EndToken(hash, at) => {
                let update = Update::builder()
                    .table_name(&self.table)
                    .set_key(Some(Key::token(hash).attributes()))
                    .condition_expression(EXISTS)
                    .update_expression("SET #until = :until, #removal = :removal")
                    .expression_attribute_names("#until", VALID_UNTIL)
                    .expression_attribute_names("#removal", keys::EXPIRES)
                    .expression_attribute_values(":until", AttributeValue::S(at.to_string()))
                    .expression_attribute_values(":removal", number(removal(*at)));
                Ok(TransactWriteItem::builder().update(build(update.build())?).build())
            }
            Write::Object { section, name, value: None, expected } => {
                let delete = Delete::builder()
                    .table_name(&self.table)
                    .set_key(Some(Key::object(section, name).attributes()))
                    .condition_expression("version = :expected")
                    .expression_attribute_values(":expected", number(expected.unwrap_or_default().0))
                    .build();
                Ok(TransactWriteItem::builder().delete(build(delete)?).build())
            }
            Write::Object { section, name, value: Some(value), expected } => {
                let item = NewItem::new(&Key::object(section, name))
                    .json("data", value)?
                    .number("version", stamp.revision.0)
                    .number(keys::EPOCH, stamp.epoch.0)
                    .text("updated_at", audit.at.to_string())
                    .text("updated_by", audit.actor.clone());
                let put = Put::builder().table_name(&self.table).set_item(Some(item.into_attributes()));
                let put = match expected {
                    None => put.condition_expression("attribute_not_exists(pk)"),
                    Some(version) => put
                        .condition_expression("version = :expected")
                        .expression_attribute_values(":expected", number(version.0)),
                };
                Ok(TransactWriteItem::builder().put(build(put.build())?).build())
            }
        }
    }
}
