//! Reads of the audit log, in pages.

use crate::store::{
    audit::{
        place::AuditPlace,
        record::{AuditRecord, changes_digest},
    },
    error::StoreError,
    item::Item,
    keys,
    keys::Key,
    page::PageRoom,
    table::Store,
};
use aws_sdk_dynamodb::{operation::query::builders::QueryFluentBuilder, types::AttributeValue};
use cutover_core::{FlagName, Revision, Timestamp};
use std::time::{Duration, Instant};

/// Time after which no further part of the log is searched for records that match a filter.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Sort key behind that of every record.
pub(super) const END: &str = "999999999999#~";

/// Filter for records of the audit log.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    /// Only records that concern this flag, also if they concern all flags.
    pub flag: Option<FlagName>,
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
    /// Only records that were written at this revision.
    pub revision: Option<Revision>,
    /// Only records before this one; used to request the next page.
    pub before: Option<AuditPlace>,
    /// Maximum number of records.
    pub limit: usize,
}

/// One page of the audit log.
#[derive(Debug, Clone, Default)]
pub struct AuditPage {
    /// Records, newest first.
    pub records: Vec<AuditRecord>,
    /// Record before which the next page begins; `None` if the log ends here.
    pub next: Option<AuditPlace>,
}

/// A part of the changes of a record, as JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangesPart {
    /// Text of this part; all parts together are the JSON.
    pub text: String,
    /// Number of parts.
    pub parts: u64,
}

fn object_of(flag: &FlagName) -> String {
    format!("feature_flags/{flag}")
}

/// Returns true if a record concerns a flag: it names the flag, or all flags.
fn concerns(record: &AuditRecord, flag: &FlagName) -> bool {
    let object = object_of(flag);
    let is_of_all = |name: &String| *name == AuditRecord::ALL_FLAGS;
    // Earlier versions named nothing else if an emergency was in force for all flags.
    let [only] = record.objects.as_slice() else {
        return record.objects.iter().any(|name| *name == object || is_of_all(name));
    };
    *only == object || is_of_all(only) || only == AuditRecord::EMERGENCY
}

impl AuditQuery {
    /// Adds the filters that DynamoDB applies to a query.
    fn filtered(&self, mut request: QueryFluentBuilder) -> QueryFluentBuilder {
        let mut filters = Vec::new();
        let flag = self.flag.as_ref().map(object_of);
        if flag.is_some() {
            let emergency = AttributeValue::S(AuditRecord::EMERGENCY.to_owned());
            request = request.expression_attribute_values(":emergency", emergency);
        }
        for (wanted, name, filter) in [
            (flag, ":flag", "(contains(objects, :flag) OR contains(objects, :emergency))"),
            (self.object.clone(), ":object", "contains(objects, :object)"),
            (self.actor.clone(), ":actor", "(actor = :actor OR approved_by = :actor)"),
            (self.action.clone(), ":action", "#action = :action"),
        ] {
            if let Some(wanted) = wanted {
                filters.push(filter);
                request = request.expression_attribute_values(name, AttributeValue::S(wanted));
            }
        }
        if self.action.is_some() {
            request = request.expression_attribute_names("#action", "action");
        }
        if filters.is_empty() {
            // One more than asked for, to know if there is another page.
            return request.limit(i32::try_from(self.limit + 1).unwrap_or(i32::MAX));
        }
        request.filter_expression(filters.join(" AND "))
    }

    /// Returns true if a record passes the filters that DynamoDB does not apply.
    fn admits(&self, record: &AuditRecord) -> bool {
        self.until.is_none_or(|until| record.at < until)
            && self.flag.as_ref().is_none_or(|flag| concerns(record, flag))
            && (self.before.is_none() || record.id != self.before)
    }
}

impl Store {
    /// Returns a page of the records that match a query, newest first.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or an item cannot be decoded.
    pub async fn audit(&self, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        let started = Instant::now();
        let first = query.revision.map(|revision| Key::audit(revision).sort);
        let last = first.as_ref().map_or_else(|| END.to_owned(), |first| format!("{first}#~"));
        let before = query.before.map(|before| before.key().sort);
        let last = before.map_or(last.clone(), |before| before.min(last));
        let first = first.unwrap_or_else(|| "0".to_owned());
        let mut page = AuditPage::default();
        if last < first {
            return Ok(page);
        }
        let request = query.filtered(self.between(keys::AUDIT, &first, &last).scan_index_forward(false));
        let mut room = PageRoom::new(query.limit);
        let mut start = None;
        loop {
            let response = request.clone().set_exclusive_start_key(start).send().await?;
            for attributes in response.items.unwrap_or_default() {
                let item = Item::new(attributes)?;
                let record = AuditRecord::read(&item)?;
                // Timestamps increase with revisions, so the first older record ends the search.
                if query.since.is_some_and(|since| record.at < since) {
                    return Ok(page);
                }
                if !query.admits(&record) {
                    continue;
                }
                if !room.take(item.size()) {
                    page.next = page.records.last().and_then(|last| last.id);
                    return Ok(page);
                }
                page.records.push(record);
            }
            start = response.last_evaluated_key;
            let Some(key) = &start else { return Ok(page) };
            if started.elapsed() > PATIENCE {
                let sort = key.get(keys::SORT).and_then(|sort| sort.as_s().ok());
                page.next = sort.and_then(|sort| AuditPlace::of_sort(sort));
                return Ok(page);
            }
        }
    }

    /// Returns a part, from 0, of the changes of the record of a revision; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or an item cannot be decoded.
    pub async fn audit_changes(
        &self,
        revision: Revision,
        part: u64,
    ) -> Result<Option<ChangesPart>, StoreError> {
        let Some(item) = self.get(&Key::audit(revision)).await? else { return Ok(None) };
        let parts = item.optional_number("parts").unwrap_or(1);
        if part >= parts {
            return Ok(None);
        }
        if let Some(text) = item.optional_text("changes") {
            return Ok(Some(ChangesPart { text: text.to_owned(), parts }));
        }
        let text = self.changes_part(&changes_digest(&item)?, part).await?;
        Ok(Some(ChangesPart { text, parts }))
    }

    /// Returns the text of a part of changes.
    pub(super) async fn changes_part(&self, digest: &str, part: u64) -> Result<String, StoreError> {
        match self.get(&Key::audit_changes(digest, part)).await? {
            Some(item) => Ok(item.text("data")?.to_owned()),
            None => Err(StoreError::Item(format!("part {part} of the changes {digest} is missing"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Role;
    use serde_json::Value;

    #[test]
    fn an_emergency_concerns_the_flags_that_it_covers() {
        let flag: FlagName = "a".parse().unwrap();
        for (objects, expected) in [
            (&["feature_flags/a"][..], true),
            (&["feature_flags/b"], false),
            (&["emergency", "feature_flags/*"], true),
            (&["emergency", "feature_flags/a"], true),
            (&["emergency", "feature_flags/b"], false),
            // As an earlier version recorded one on all flags.
            (&["emergency"], true),
            (&[], false),
        ] {
            let objects: Vec<String> = objects.iter().map(|name| (*name).to_owned()).collect();
            let at = Timestamp::from_millis(0);
            let record = AuditRecord::new(at, "ann", Role::Operator, "emergency.rollback", None);
            let record = record.with_changes(objects, Value::Null);
            assert_eq!(concerns(&record, &flag), expected, "{:?}", record.objects);
        }
    }
}
