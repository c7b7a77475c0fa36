//! Transactions: all of their items are written, or none. One that the table was too busy for is sent again with the same
//! client token, so that it is made once however often it is sent.

use crate::{
    observe::hex::random_hex,
    store::{
        backoff::backoff,
        error::{CommitError, StoreError},
        item::NewItem,
        keys,
        keys::Key,
        table::Store,
    },
};
use aws_sdk_dynamodb::{
    error::DisplayErrorContext,
    operation::transact_write_items::TransactWriteItemsError,
    types::{CancellationReason, Delete, Put, TransactWriteItem},
};
use std::time::{Duration, Instant};

/// Time for which a transaction is sent again: that of one call with the SDK's own retries.
const PATIENCE: Duration = Duration::from_secs(12);

/// Limit of the first pause between two calls, in milliseconds.
const FIRST_PAUSE_MS: u64 = 25;

/// Condition of a write whose item must exist. Ids of such items are not used twice, so once it is unmet it stays so.
pub(super) const EXISTS: &str = "attribute_exists(pk)";

/// Reasons in a cancelled transaction that pass by themselves: the table or a partition is too busy.
const THROTTLED: [&str; 5] = [
    "ThrottlingError",
    "ThrottlingException",
    "ProvisionedThroughputExceeded",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
];

/// Refusal of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// A condition did not hold, or another transaction was at work on an item. It was not made.
    Conflict,
    /// An item of this kind must exist, and does not. It was not made.
    Gone(&'static str),
    /// The table was too busy. It was not made.
    Throttled,
    /// A call with the same token is being carried out, or calls are limited: an earlier call may have made it.
    Pending,
    /// Sending it again is of no use.
    Final,
}

impl Store {
    /// Writes all of the items, or none of them.
    pub(super) async fn transact(&self, items: Vec<TransactWriteItem>) -> Result<(), CommitError> {
        let late = || StoreError::Unknown(format!("no response within {} s", PATIENCE.as_secs()));
        tokio::time::timeout(PATIENCE, self.send(items)).await.unwrap_or_else(|_| Err(late().into()))
    }

    async fn send(&self, items: Vec<TransactWriteItem>) -> Result<(), CommitError> {
        let token = random_id()?;
        let started = Instant::now();
        let mut attempt = 0_u32;
        loop {
            let call = self.client.transact_write_items().set_transact_items(Some(items.clone()));
            let Err(error) = call.client_request_token(token.as_str()).send().await else { return Ok(()) };
            let refused = error.as_service_error().map_or(Refusal::Final, |error| refusal(error, &items));
            let pause = backoff(FIRST_PAUSE_MS, attempt);
            let is_late = started.elapsed() + pause >= PATIENCE;
            match refused {
                Refusal::Conflict => return Err(CommitError::Conflict),
                Refusal::Gone(kind) => return Err(StoreError::Gone(kind).into()),
                Refusal::Final => return Err(StoreError::of_write(error).into()),
                Refusal::Throttled if is_late => return Err(StoreError::from(error).into()),
                Refusal::Pending if is_late => {
                    return Err(StoreError::Unknown(DisplayErrorContext(&error).to_string()).into());
                }
                Refusal::Throttled | Refusal::Pending => tokio::time::sleep(pause).await,
            }
            attempt += 1;
        }
    }

    /// Puts an item that must not exist yet.
    pub(super) fn put_new(&self, item: NewItem) -> Result<TransactWriteItem, StoreError> {
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item.into_attributes()))
            .condition_expression("attribute_not_exists(pk)")
            .build();
        Ok(TransactWriteItem::builder().put(build(put)?).build())
    }

    /// Removes an item that must exist.
    pub(super) fn delete_existing(&self, key: &Key) -> Result<TransactWriteItem, StoreError> {
        let delete = Delete::builder()
            .table_name(&self.table)
            .set_key(Some(key.attributes()))
            .condition_expression(EXISTS)
            .build();
        Ok(TransactWriteItem::builder().delete(build(delete)?).build())
    }
}

pub(super) fn build<T>(built: Result<T, aws_sdk_dynamodb::error::BuildError>) -> Result<T, StoreError> {
    built.map_err(|error| StoreError::Item(error.to_string()))
}

/// Returns a new identifier, 32 hexadecimal digits.
pub(super) fn random_id() -> Result<String, StoreError> {
    random_hex::<16>().map_err(|error| StoreError::Call(format!("no random bytes: {error}")))
}

fn refusal(error: &TransactWriteItemsError, items: &[TransactWriteItem]) -> Refusal {
    match error {
        TransactWriteItemsError::TransactionCanceledException(cancelled) => {
            cancellation(cancelled.cancellation_reasons(), items)
        }
        TransactWriteItemsError::TransactionInProgressException(_)
        | TransactWriteItemsError::ThrottlingException(_)
        | TransactWriteItemsError::ProvisionedThroughputExceededException(_)
        | TransactWriteItemsError::RequestLimitExceeded(_) => Refusal::Pending,
        _ => Refusal::Final,
    }
}

/// Returns the refusal for the reasons of a cancellation. There is one for each item, in the same order.
fn cancellation(reasons: &[CancellationReason], items: &[TransactWriteItem]) -> Refusal {
    let mut unmet =
        reasons.iter().zip(items).filter(|(reason, _)| reason.code() == Some("ConditionalCheckFailed"));
    if let Some(kind) = unmet.find_map(|(_, item)| required(item)) {
        return Refusal::Gone(kind);
    }
    let has = |codes: &[&str]| {
        reasons.iter().filter_map(CancellationReason::code).any(|code| codes.contains(&code))
    };
    if has(&["ConditionalCheckFailed", "TransactionConflict"]) {
        Refusal::Conflict
    } else if has(&THROTTLED) {
        Refusal::Throttled
    } else {
        Refusal::Final
    }
}

/// Returns the kind of an item that must exist for its write; `None` for other writes.
fn required(item: &TransactWriteItem) -> Option<&'static str> {
    let delete = item.delete().map(|delete| (delete.condition_expression(), delete.key()));
    let update = item.update().map(|update| (update.condition_expression(), update.key()));
    let (condition, key) = delete.or(update)?;
    let partition = key.get(keys::PARTITION)?.as_s().ok()?;
    let kind = match partition.as_str() {
        keys::TOKENS => "token",
        keys::PENDING => "pending change",
        _ => return None,
    };
    (condition == Some(EXISTS)).then_some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(codes: &[&str]) -> Refusal {
        let reasons: Vec<_> =
            codes.iter().map(|code| CancellationReason::builder().code(*code).build()).collect();
        cancellation(&reasons, &[])
    }

    #[test]
    fn a_cancellation_is_a_conflict_before_it_is_anything_else() {
        let cases: [(&[&str], Refusal); 6] = [
            (&["None", "ConditionalCheckFailed"], Refusal::Conflict),
            (&["ThrottlingError", "TransactionConflict"], Refusal::Conflict),
            (&["None", "ThrottlingError"], Refusal::Throttled),
            (&["ProvisionedThroughputExceeded", "None"], Refusal::Throttled),
            (&["ValidationError"], Refusal::Final),
            (&[], Refusal::Final),
        ];
        for (codes, expected) in cases {
            assert_eq!(refused(codes), expected, "{codes:?}");
        }
    }

    #[test]
    fn an_item_that_is_gone_is_told_from_one_that_has_changed() {
        let delete = |key: &Key, condition: &str| {
            let delete = Delete::builder()
                .table_name("t")
                .set_key(Some(key.attributes()))
                .condition_expression(condition);
            TransactWriteItem::builder().delete(delete.build().unwrap()).build()
        };
        let unmet = [CancellationReason::builder().code("ConditionalCheckFailed").build()];
        for (key, condition, expected) in [
            (Key::token("hash"), EXISTS, Refusal::Gone("token")),
            (Key::pending("id"), EXISTS, Refusal::Gone("pending change")),
            (Key::object("feature_flags", "f"), "version = :expected", Refusal::Conflict),
        ] {
            assert_eq!(cancellation(&unmet, &[delete(&key, condition)]), expected, "{key:?}");
        }
    }
}
