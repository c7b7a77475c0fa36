//! DynamoDB, the single source of truth: one table with typed keys. Every change of state is one
//! conditional transaction that contains its audit record.

mod audit;
mod batches;
mod canaries;
mod commit;
mod config;
mod item;
pub mod keys;
mod ledger;
mod pending;
mod replies;
mod tokens;

pub use audit::{AuditQuery, AuditRecord};
pub use batches::{Arrival, Gap, IsolateCounts, Stored};
pub(crate) use canaries::record_item;
pub use canaries::{Notification, Waiting};
pub use commit::{Commit, CommitError, EmergencyChange, MAX_WRITES, Write};
pub use config::{Head, Meta, RUNS, State};
pub use item::NewItem;
pub use ledger::{Cursor, Ledger, LedgerWrite, Recent, RouteComparison, Series, Times};
pub use pending::{Pending, Request};
pub use replies::Reply;
pub use tokens::{Role, TokenRecord};

use crate::settings::Settings;
use aws_sdk_dynamodb::{
    Client,
    config::{
        BehaviorVersion, Credentials, Region, http::HttpResponse, retry::RetryConfig, timeout::TimeoutConfig,
    },
    error::{DisplayErrorContext, SdkError},
    operation::{
        get_item::GetItemOutput,
        update_item::{UpdateItemError, UpdateItemOutput},
    },
};
use item::Item;
use keys::Key;
use std::time::Duration;

/// Client of the DynamoDB table.
#[derive(Debug, Clone)]
pub struct Store {
    client: Client,
    table: String,
}

/// Failure to read or write the table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The call failed, after the SDK's own retries.
    #[error("DynamoDB: {0}")]
    Call(String),
    /// An item does not have the layout that this version writes.
    #[error("unexpected item in the table: {0}")]
    Item(String),
    /// The configuration kept changing while it was read.
    #[error("the configuration changes too fast to read a consistent state")]
    Restless,
}

impl<E, R> From<SdkError<E, R>> for StoreError
where
    E: std::error::Error + 'static,
    R: std::fmt::Debug,
{
    fn from(error: SdkError<E, R>) -> Self {
        Self::Call(DisplayErrorContext(&error).to_string())
    }
}

/// Returns true if an update was applied, false if its condition did not hold.
fn is_made(
    sent: Result<UpdateItemOutput, SdkError<UpdateItemError, HttpResponse>>,
) -> Result<bool, StoreError> {
    match sent {
        Ok(_) => Ok(true),
        Err(error)
            if error
                .as_service_error()
                .is_some_and(UpdateItemError::is_conditional_check_failed_exception) =>
        {
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

impl Store {
    /// Creates a client for the configured table, without connecting.
    pub fn new(settings: &Settings) -> Self {
        let mut config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(settings.region.clone()))
            .retry_config(
                RetryConfig::standard().with_max_attempts(4).with_initial_backoff(Duration::from_millis(30)),
            )
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(Duration::from_secs(2))
                    .operation_attempt_timeout(Duration::from_secs(4))
                    .operation_timeout(Duration::from_secs(12))
                    .build(),
            );
        if let Some(keys) = settings.credentials.clone() {
            config = config.credentials_provider(Credentials::from(keys));
        }
        if let Some(endpoint) = &settings.dynamodb_endpoint {
            config = config.endpoint_url(endpoint);
        }
        Self { client: Client::from_conf(config.build()), table: settings.table.clone() }
    }

    /// Returns the items of a partition whose sort keys lie in an inclusive range, ordered by sort
    /// key.
    async fn range(&self, partition: &str, from: &str, to: &str) -> Result<Vec<Item>, StoreError> {
        use aws_sdk_dynamodb::types::AttributeValue;
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :partition AND sk BETWEEN :from AND :to")
            .expression_attribute_values(":partition", AttributeValue::S(partition.to_owned()))
            .expression_attribute_values(":from", AttributeValue::S(from.to_owned()))
            .expression_attribute_values(":to", AttributeValue::S(to.to_owned()))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let mut items = Vec::new();
        while let Some(attributes) = pages.next().await {
            items.push(Item::new(attributes?)?);
        }
        Ok(items)
    }

    /// Returns all items of a partition whose sort keys begin with `prefix`.
    async fn all(&self, partition: &str, prefix: &str) -> Result<Vec<Item>, StoreError> {
        // No name contains a character greater than U+007F.
        self.range(partition, if prefix.is_empty() { " " } else { prefix }, &format!("{prefix}\u{7f}")).await
    }

    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        let GetItemOutput { item, .. } = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key.attributes()))
            .consistent_read(true)
            .send()
            .await?;
        item.map(Item::new).transpose()
    }
}
