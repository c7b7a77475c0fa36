//! Batches as isolates send them, in a table of their own: one item for each, under the name that the isolate gave it. An
//! item is written once, so a batch exists once, however often and through whomever it was sent. The stream of the table is
//! the log that evaluation folds.

use crate::store::{
    create::{KeyAttribute, TableKey},
    error::StoreError,
    item::number,
    table::Store,
    transaction::build,
};
use aws_sdk_dynamodb::{
    operation::put_item::PutItemError,
    primitives::Blob,
    types::{
        AttributeValue, ReturnValuesOnConditionCheckFailure, ScalarAttributeType, StreamSpecification,
        StreamViewType,
    },
};

/// Retention of batches, in seconds: an isolate sends one again for a day at most, by a clock that may differ.
const KEPT_SECONDS: u64 = 26 * 60 * 60;

/// Attribute of the partition key: the isolate, as bytes. A write is billed by the KB, so an item has no byte in vain.
const ISOLATE: &str = "pk";

/// Attribute of the sort key: the sequence number.
const SEQUENCE: &str = "sk";

/// Attribute of the packed batch.
pub(super) const DATA: &str = "d";

/// Attribute of the time of arrival, in milliseconds since 1970.
pub(super) const AT: &str = "at";

/// Time-to-live attribute, in seconds since 1970.
const EXPIRES: &str = "x";

/// Result of storing a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchStatus {
    /// The batch was new and is now stored.
    New,
    /// The batch had been stored before.
    Duplicate,
    /// Another batch is stored under this name. The isolate must send its own under another one.
    Conflict,
}

impl Store {
    /// Stores a packed batch under the name of its isolate and its sequence number, unless there is one.
    ///
    /// # Errors
    ///
    /// Fails if the name of the isolate is not hexadecimal, and if the table cannot be written. The batch may have been
    /// stored nevertheless.
    pub async fn store_batch(
        &self,
        isolate: &str,
        sequence: u64,
        packed: &[u8],
        at: i64,
    ) -> Result<BatchStatus, StoreError> {
        let at = u64::try_from(at).unwrap_or_default();
        let isolate = u128::from_str_radix(isolate, 16)
            .map_err(|_| StoreError::Item(format!("{isolate:?} is no name of an isolate")))?;
        let sent = self
            .client
            .put_item()
            .table_name(&self.arrivals)
            .item(ISOLATE, AttributeValue::B(Blob::new(isolate.to_be_bytes())))
            .item(SEQUENCE, number(sequence))
            .item(DATA, AttributeValue::B(Blob::new(packed)))
            .item(AT, number(at))
            .item(EXPIRES, number(at / 1_000 + KEPT_SECONDS))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let error = match sent {
            Ok(_) => return Ok(BatchStatus::New),
            Err(error) => error,
        };
        let Some(PutItemError::ConditionalCheckFailedException(held)) = error.as_service_error() else {
            return Err(StoreError::of_write(error));
        };
        let held = held.item().and_then(|item| item.get(DATA)).and_then(|value| value.as_b().ok());
        let is_same = held.is_some_and(|held| held.as_ref() == packed);
        Ok(if is_same { BatchStatus::Duplicate } else { BatchStatus::Conflict })
    }

    /// Returns the ARN of the stream of the batches.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be described, or has no stream.
    pub async fn stream(&self) -> Result<String, StoreError> {
        let described = self.client.describe_table().table_name(&self.arrivals).send().await?;
        let arn = described.table().and_then(|table| table.latest_stream_arn());
        arn.map(str::to_owned)
            .ok_or_else(|| StoreError::Item(format!("the table {} has no stream", self.arrivals)))
    }

    /// Creates the table of batches if it does not exist, for local stacks and tests. Deployments use Terraform.
    ///
    /// # Errors
    ///
    /// Fails if DynamoDB cannot be reached or rejects the table.
    pub(super) async fn create_arrivals(&self) -> Result<(), StoreError> {
        let stream =
            StreamSpecification::builder().stream_enabled(true).stream_view_type(StreamViewType::NewImage);
        let key = TableKey {
            partition: KeyAttribute { name: ISOLATE, kind: ScalarAttributeType::B },
            sort: KeyAttribute { name: SEQUENCE, kind: ScalarAttributeType::N },
        };
        self.create(&self.arrivals, key, Some(build(stream.build())?)).await
    }
}
