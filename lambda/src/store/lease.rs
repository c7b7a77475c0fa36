//! The lease of evaluation: one invocation works, the others stand by. It saves work. What keeps the state right is its term,
//! which is a condition of every transaction of its holder, and the versions of what they write. Its item also has the
//! revisions of the fleet, because it is written every two seconds in any case.

use crate::store::{
    error::StoreError,
    fleet::{ATTRIBUTE, FleetRevisions},
    item::{SCHEMA, number},
    keys::Key,
    table::{Store, is_made},
    transaction::build,
};
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, TransactWriteItem};

/// Time for which a lease is held without being renewed, in milliseconds.
const HELD_MS: i64 = 10_000;

/// A lease that this process holds, until another one takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Number of the lease, greater than that of the lease before.
    pub term: u64,
}

/// Returns the time until which a lease is held that is renewed at `now`, or given up.
fn until(now: i64, is_over: bool) -> i64 {
    if is_over { now } else { now.saturating_add(HELD_MS) }
}

fn unsigned(ms: i64) -> AttributeValue {
    number(u64::try_from(ms).unwrap_or_default())
}

impl Store {
    /// Takes the lease at `now` in milliseconds since 1970, unless somebody holds it. With `idle_ms`, only if nobody has held
    /// it for so long.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or written.
    pub async fn take_lease(&self, now: i64, idle_ms: i64) -> Result<Option<Lease>, StoreError> {
        let held = self.get(&Key::lease()).await?;
        let (term, until) = held.as_ref().map_or((0, 0), |item| {
            (
                item.optional_number("term").unwrap_or_default(),
                item.optional_number("until").unwrap_or_default(),
            )
        });
        // At least the second in which it is taken: in a table that was restored from a backup, terms count on from an earlier
        // one, and must not be those of holders that still work.
        let next = (term + 1).max(u64::try_from(now / 1_000).unwrap_or_default());
        let until = i64::try_from(until).unwrap_or(i64::MAX);
        if now.saturating_sub(idle_ms) < until {
            return Ok(None);
        }
        let sent = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::lease().attributes()))
            .update_expression("SET #schema = :schema, term = :next, #until = :until")
            .condition_expression("attribute_not_exists(pk) OR term = :term")
            .expression_attribute_names("#schema", "schema")
            .expression_attribute_names("#until", "until")
            .expression_attribute_values(":schema", number(SCHEMA))
            .expression_attribute_values(":term", number(term))
            .expression_attribute_values(":next", number(next))
            .expression_attribute_values(":until", unsigned(now.saturating_add(HELD_MS)))
            .send()
            .await;
        Ok(is_made(sent)?.then_some(Lease { term: next }))
    }

    /// Renews a lease at `now`, or gives it up. Returns false if somebody else has taken it.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be written.
    pub async fn renew_lease(&self, lease: Lease, now: i64, is_over: bool) -> Result<bool, StoreError> {
        self.extend_lease(lease, until(now, is_over), None).await
    }

    /// Renews a lease as [`Store::renew_lease`] does, or gives it up, and writes the revisions of the fleet with it; `None` while
    /// they are not known.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be written.
    pub async fn renew_lease_with(
        &self,
        lease: Lease,
        now: i64,
        is_over: bool,
        fleet: Option<&FleetRevisions>,
    ) -> Result<bool, StoreError> {
        let fleet = serde_json::to_string(&fleet).map_err(|error| StoreError::Item(error.to_string()))?;
        self.extend_lease(lease, until(now, is_over), Some(fleet)).await
    }

    async fn extend_lease(
        &self,
        lease: Lease,
        until: i64,
        fleet: Option<String>,
    ) -> Result<bool, StoreError> {
        let update =
            if fleet.is_some() { "SET #until = :until, #fleet = :fleet" } else { "SET #until = :until" };
        let mut request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::lease().attributes()))
            .update_expression(update)
            .condition_expression("term = :term")
            .expression_attribute_names("#until", "until")
            .expression_attribute_values(":term", number(lease.term))
            .expression_attribute_values(":until", unsigned(until));
        if let Some(fleet) = fleet {
            request = request
                .expression_attribute_names("#fleet", ATTRIBUTE)
                .expression_attribute_values(":fleet", AttributeValue::S(fleet));
        }
        is_made(request.send().await)
    }

    /// Returns the part of a transaction that fails it if somebody else has taken the lease.
    pub(super) fn check_lease(&self, lease: Lease) -> Result<TransactWriteItem, StoreError> {
        let check = ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(Key::lease().attributes()))
            .condition_expression("term = :term")
            .expression_attribute_values(":term", number(lease.term));
        Ok(TransactWriteItem::builder().condition_check(build(check.build())?).build())
    }
}
