//! The audit log: one record per revision, written in the same transaction as the change.

use crate::store::{Role, error::StoreError, item::Item, keys, table::Store};
use aws_sdk_dynamodb::types::AttributeValue;
use cutover_core::{Revision, Timestamp};
use serde::Serialize;
use serde_json::Value;

/// Longest list of changes that a record stores in full, in bytes; a DynamoDB item is limited to
/// 400 KB.
const MAX_CHANGES_BYTES: usize = 300_000;

/// One entry of the audit log: the author, time, reason and content of a change.
#[derive(Debug, Clone, Serialize)]
pub struct AuditRecord {
    /// Revision that the change created.
    pub revision: Revision,
    /// Time of the change.
    pub at: Timestamp,
    /// Name of the caller who requested the change.
    pub actor: String,
    /// Role of that caller.
    pub role: Role,
    /// Operation, such as `flag.rollout`.
    pub action: String,
    /// Reason given for the change.
    pub reason: Option<String>,
    /// Name of the second person, if the change needed approval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// Changed objects, as `section/name`.
    pub objects: Vec<String>,
    /// Changes, field by field.
    pub changes: Value,
}

impl AuditRecord {
    /// Creates a record without changes. Its revision is set on commit.
    pub fn new(at: Timestamp, actor: &str, role: Role, action: &str, reason: Option<String>) -> Self {
        Self {
            revision: Revision::default(),
            at,
            actor: actor.to_owned(),
            role,
            action: action.to_owned(),
            reason,
            approved_by: None,
            objects: Vec::new(),
            changes: Value::Null,
        }
    }

    /// Adds the changes. If they are too large for an item, the record holds their size instead.
    pub fn with_changes(mut self, mut objects: Vec<String>, changes: Value) -> Self {
        // An object may be touched twice, but is listed once.
        let mut seen = std::collections::BTreeSet::new();
        objects.retain(|object| seen.insert(object.clone()));
        let size = changes.to_string().len();
        self.objects = objects;
        self.changes = if size <= MAX_CHANGES_BYTES {
            changes
        } else {
            Value::String(format!("{size} bytes, too many to keep"))
        };
        self
    }
}

/// Filter for records of the audit log.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    /// Only records that touch this object, `section/name`.
    pub object: Option<String>,
    /// Only records whose change this actor requested or approved.
    pub actor: Option<String>,
    /// Only records of this action, such as `flag.rollout`.
    pub action: Option<String>,
    /// Only records at or after this time.
    pub since: Option<Timestamp>,
    /// Only records before this time.
    pub until: Option<Timestamp>,
    /// Only records before this revision; used to request the next page.
    pub before: Option<Revision>,
    /// Maximum number of records.
    pub limit: usize,
}

impl Store {
    /// Returns the records that match a query, newest first.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or an item cannot be decoded.
    pub async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditRecord>, StoreError> {
        let before = query.before.unwrap_or(Revision(999_999_999_999));
        let mut request = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :audit AND sk < :before")
            .expression_attribute_values(":audit", AttributeValue::S(keys::AUDIT.to_owned()))
            .expression_attribute_values(":before", AttributeValue::S(keys::Key::audit(before).sort))
            .scan_index_forward(false)
            .consistent_read(true);
        let mut filters = Vec::new();
        for (wanted, name, filter) in [
            (query.object.clone(), ":object", "contains(objects, :object)"),
            (query.actor.clone(), ":actor", "(actor = :actor OR approved_by = :actor)"),
            (query.action.clone(), ":action", "#action = :action"),
        ] {
            if let Some(wanted) = wanted {
                filters.push(filter);
                request = request.expression_attribute_values(name, AttributeValue::S(wanted));
            }
        }
        if query.action.is_some() {
            request = request.expression_attribute_names("#action", "action");
        }
        if !filters.is_empty() {
            request = request.filter_expression(filters.join(" AND "));
        }
        let mut records = Vec::new();
        let mut pages = request.into_paginator().items().send();
        while records.len() < query.limit
            && let Some(attributes) = pages.next().await
        {
            let record = read(&Item::new(attributes?)?)?;
            // Timestamps increase with revisions, so the first older record ends the search.
            if query.since.is_some_and(|since| record.at < since) {
                break;
            }
            if query.until.is_none_or(|until| record.at < until) {
                records.push(record);
            }
        }
        Ok(records)
    }
}

fn read(item: &Item) -> Result<AuditRecord, StoreError> {
    let unexpected = |error: &dyn std::fmt::Display| StoreError::Item(format!("audit record: {error}"));
    Ok(AuditRecord {
        revision: Revision(item.number("revision")?),
        at: item.text("at")?.parse().map_err(|error| unexpected(&error))?,
        actor: item.text("actor")?.to_owned(),
        role: item.text("role")?.parse().map_err(|error| unexpected(&error))?,
        action: item.text("action")?.to_owned(),
        reason: item.optional_text("reason").map(str::to_owned),
        approved_by: item.optional_text("approved_by").map(str::to_owned),
        objects: item.texts("objects"),
        changes: item.json("changes")?,
    })
}
