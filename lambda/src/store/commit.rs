//! Commits, the only way to change state: one transaction that writes the objects, the audit record
//! and the remembered response, and moves the head from the revision that was read to the next one.

use crate::store::{
    AuditRecord, Reply,
    brakes::Brakes,
    error::StoreError,
    item::{NewItem, SCHEMA},
    keys,
    keys::Key,
    table::Store,
    tokens::{VALID_UNTIL, removal},
};
use aws_sdk_dynamodb::{
    operation::transact_write_items::TransactWriteItemsError,
    types::{AttributeValue, Delete, Put, TransactWriteItem, Update},
};
use cutover_core::{Emergency, Revision};
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
    /// Puts a token.
    PutToken(super::TokenRecord),
    /// Removes a token, by the hash of its secret.
    DeleteToken(String),
    /// Sets the expiry of a token, by the hash of its secret.
    EndToken(String, cutover_core::Timestamp),
    /// Removes a pending change by its id; it must still be pending.
    DeletePending(String),
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
}

/// Failure to commit a change.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The head or an object has changed, or another transaction was in progress. The caller should
    /// read again and retry.
    #[error("another caller changed the configuration in the meantime")]
    Conflict,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub(super) fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(super) fn build<T>(built: Result<T, aws_sdk_dynamodb::error::BuildError>) -> Result<T, StoreError> {
    built.map_err(|error| StoreError::Item(error.to_string()))
}

impl Store {
    /// Commits a change atomically and returns its revision.
    ///
    /// # Errors
    ///
    /// Returns [`CommitError::Conflict`] if the head or an object has changed; the table is then
    /// unchanged. Fails with [`CommitError::Store`] if the table cannot be written.
    pub async fn commit(&self, commit: Commit) -> Result<Revision, CommitError> {
        let revision = commit.from.next();
        let mut items = vec![self.move_head(&commit)?];
        items.push(self.put_new(commit.audit.item(revision)?)?);
        if let Some(reply) = &commit.reply {
            items.push(self.put_new(reply.item()?)?);
        }
        for write in &commit.writes {
            items.push(self.write(write, revision, &commit.audit)?);
        }
        self.transact(items).await.map(|()| revision)
    }

    /// Writes all of the items, or none of them.
    pub(super) async fn transact(&self, items: Vec<TransactWriteItem>) -> Result<(), CommitError> {
        match self.client.transact_write_items().set_transact_items(Some(items)).send().await {
            Ok(_) => Ok(()),
            Err(error) if error.as_service_error().is_some_and(is_conflict) => Err(CommitError::Conflict),
            Err(error) => Err(CommitError::Store(error.into())),
        }
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

    fn move_head(&self, commit: &Commit) -> Result<TransactWriteItem, StoreError> {
        let mut expression = String::from("SET revision = :next, #schema = :schema, brakes = :brakes");
        let mut update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(Key::head().attributes()))
            .expression_attribute_names("#schema", "schema")
            .expression_attribute_values(":next", number(commit.from.next().0))
            .expression_attribute_values(":brakes", AttributeValue::S(commit.brakes.encode()))
            .expression_attribute_values(":schema", number(SCHEMA));
        update = if commit.from == Revision::default() {
            update.condition_expression("attribute_not_exists(pk)")
        } else {
            update
                .condition_expression("revision = :from")
                .expression_attribute_values(":from", number(commit.from.0))
        };
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

    pub(super) fn put_new(&self, item: NewItem) -> Result<TransactWriteItem, StoreError> {
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item.into_attributes()))
            .condition_expression("attribute_not_exists(pk)")
            .build();
        Ok(TransactWriteItem::builder().put(build(put)?).build())
    }

    fn delete_existing(&self, key: &Key) -> Result<TransactWriteItem, StoreError> {
        let delete = Delete::builder()
            .table_name(&self.table)
            .set_key(Some(key.attributes()))
            .condition_expression("attribute_exists(pk)")
            .build();
        Ok(TransactWriteItem::builder().delete(build(delete)?).build())
    }

    fn write(
        &self,
        write: &Write,
        revision: Revision,
        audit: &AuditRecord,
    ) -> Result<TransactWriteItem, StoreError> {
        match write {
            Write::PutToken(token) => self.put_new(token.item()?),
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
                    .condition_expression("attribute_exists(pk)")
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
                    .number("version", revision.0)
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

    /// Creates the table if it does not exist, for local stacks and tests. Deployments use
    /// Terraform.
    ///
    /// # Errors
    ///
    /// Fails if DynamoDB cannot be reached or rejects the table.
    pub async fn create_table(&self) -> Result<(), StoreError> {
        use aws_sdk_dynamodb::types::{
            AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
        };
        let mut create =
            self.client.create_table().table_name(&self.table).billing_mode(BillingMode::PayPerRequest);
        for (name, kind) in [(super::keys::PARTITION, KeyType::Hash), (super::keys::SORT, KeyType::Range)] {
            create = create
                .attribute_definitions(build(
                    AttributeDefinition::builder()
                        .attribute_name(name)
                        .attribute_type(ScalarAttributeType::S)
                        .build(),
                )?)
                .key_schema(build(KeySchemaElement::builder().attribute_name(name).key_type(kind).build())?);
        }
        match create.send().await {
            Ok(_) => Ok(()),
            Err(error)
                if error.as_service_error().is_some_and(|error| error.is_resource_in_use_exception()) =>
            {
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Returns true if a condition failed, or another transaction was using one of the items.
pub(super) fn is_conflict(error: &TransactWriteItemsError) -> bool {
    match error {
        TransactWriteItemsError::TransactionCanceledException(cancelled) => cancelled
            .cancellation_reasons()
            .iter()
            .any(|reason| matches!(reason.code(), Some("ConditionalCheckFailed" | "TransactionConflict"))),
        TransactWriteItemsError::TransactionInProgressException(_) => true,
        _ => false,
    }
}

impl AuditRecord {
    fn item(&self, revision: Revision) -> Result<NewItem, StoreError> {
        let item = NewItem::new(&Key::audit(revision))
            .number("revision", revision.0)
            .text("at", self.at.to_string())
            .text("actor", self.actor.clone())
            .text("role", self.role.as_str())
            .text("action", self.action.clone())
            .texts("objects", self.objects.clone())
            .json("changes", &self.changes)?;
        let optional = [("reason", &self.reason), ("approved_by", &self.approved_by)];
        Ok(optional.into_iter().fold(item, |item, (name, value)| match value {
            None => item,
            Some(value) => item.text(name, value.clone()),
        }))
    }
}
