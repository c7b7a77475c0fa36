//! The audit log: one record per revision, written in the transaction that made it.

use super::{Role, Store, StoreError, item::Item, keys};
use aws_sdk_dynamodb::types::AttributeValue;
use cutover_core::{Revision, Timestamp};
use serde::Serialize;
use serde_json::Value;

/// A record that lists its changes in full up to this many bytes; DynamoDB holds 400 KB in an item.
const MAX_CHANGES_BYTES: usize = 300_000;

/// Who changed what, when and why.
#[derive(Debug, Clone, Serialize)]
pub struct AuditRecord {
    /// The revision that the change got.
    pub revision: Revision,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// With which role.
    pub role: Role,
    /// What was done, such as `flag.rollout`.
    pub action: String,
    /// Why, if it was said.
    pub reason: Option<String>,
    /// The second person, where one had to agree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// The objects, as `section/name`.
    pub objects: Vec<String>,
    /// What changed, field by field.
    pub changes: Value,
}

impl AuditRecord {
    /// A record whose revision is set when it is committed.
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

    /// Adds what changed. A change too large for an item is named, and left to the objects themselves.
    pub fn with_changes(mut self, mut objects: Vec<String>, changes: Value) -> Self {
        // A set: one object may be touched twice.
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

/// Which records are wanted, newest first.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    /// Only those that touch this object, `section/name`.
    pub object: Option<String>,
    /// Only those of this actor, as the one who asked or the one who agreed.
    pub actor: Option<String>,
    /// Only those of this action, such as `flag.rollout`.
    pub action: Option<String>,
    /// Only those at or after this moment.
    pub since: Option<Timestamp>,
    /// Only those before this moment.
    pub until: Option<Timestamp>,
    /// Only those before this revision: how the next page is asked for.
    pub before: Option<Revision>,
    /// At most this many.
    pub limit: usize,
}

impl Store {
    /// The records that are wanted, newest first.
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
            // Revisions and times grow together, so the first older record ends the search.
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
