//! `Store`: the DynamoDB client with its timeouts, and reads of items and ranges.

use crate::{
    settings::environment::Settings,
    store::{
        error::StoreError,
        item::{Item, NewItem},
        keys::Key,
        retry::RetryConflicts,
    },
};
use aws_sdk_dynamodb::{
    Client,
    config::{
        BehaviorVersion, Credentials, Region, SharedCredentialsProvider, http::HttpResponse,
        retry::RetryConfig, timeout::TimeoutConfig,
    },
    error::SdkError,
    operation::{
        get_item::GetItemOutput,
        put_item::PutItemError,
        query::builders::QueryFluentBuilder,
        update_item::{UpdateItemError, UpdateItemOutput},
    },
    types::AttributeValue,
};
use aws_types::SdkConfig;
use std::{collections::HashMap, time::Duration};

/// Longest time of a call of the table, in all its attempts.
const TABLE_CALL: Duration = Duration::from_secs(12);

/// Longest time of a call of the log, in all its attempts: a shard that does not answer delays a pass by no more.
const LOG_CALL: Duration = Duration::from_secs(3);

/// Client of the DynamoDB tables.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) client: Client,
    pub(super) table: String,
    /// Client of the stream of batches.
    pub(super) streams: aws_sdk_dynamodbstreams::Client,
    /// Name of the table of batches.
    pub(super) arrivals: String,
}

/// Returns true if an update was applied, false if its condition did not hold.
pub(crate) fn is_made(
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

/// Builds the time limits of calls that take at most `operation` in all their attempts.
fn timeouts(operation: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(Duration::from_secs(4))
        .operation_timeout(operation)
        .build()
}

/// Returns the first and the last of the sort keys that begin with `prefix`.
fn bounds(prefix: &str) -> (String, String) {
    // No name contains a character greater than U+007F.
    let from = if prefix.is_empty() { " " } else { prefix };
    (from.to_owned(), format!("{prefix}\u{7f}"))
}

impl Store {
    /// Creates a client for the configured table, without connecting.
    pub fn new(settings: &Settings) -> Self {
        let mut config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(settings.region.clone()))
            .retry_config(
                RetryConfig::standard().with_max_attempts(4).with_initial_backoff(Duration::from_millis(30)),
            )
            .timeout_config(timeouts(TABLE_CALL));
        if let Some(keys) = settings.credentials.clone() {
            config = config.credentials_provider(SharedCredentialsProvider::new(Credentials::from(keys)));
        }
        if let Some(endpoint) = &settings.dynamodb_endpoint {
            config = config.endpoint_url(endpoint);
        }
        let config = config.build();
        Self {
            client: Client::from_conf(
                aws_sdk_dynamodb::config::Builder::from(&config).retry_classifier(RetryConflicts).build(),
            ),
            table: settings.table.clone(),
            streams: aws_sdk_dynamodbstreams::Client::from_conf(
                aws_sdk_dynamodbstreams::config::Builder::from(&config)
                    .timeout_config(timeouts(LOG_CALL))
                    .build(),
            ),
            arrivals: settings.arrivals.clone(),
        }
    }

    /// Returns the items of a partition whose sort keys lie in an inclusive range, ordered by sort
    /// key.
    pub(crate) async fn range(&self, partition: &str, from: &str, to: &str) -> Result<Vec<Item>, StoreError> {
        self.rows(partition, from, to).await?.into_iter().map(Item::new).collect()
    }

    /// Builds a consistent query of the items of a partition whose sort keys lie in an inclusive range.
    pub(super) fn between(&self, partition: &str, from: &str, to: &str) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :partition AND sk BETWEEN :from AND :to")
            .expression_attribute_values(":partition", AttributeValue::S(partition.to_owned()))
            .expression_attribute_values(":from", AttributeValue::S(from.to_owned()))
            .expression_attribute_values(":to", AttributeValue::S(to.to_owned()))
            .consistent_read(true)
    }

    /// Returns the attributes of the items in a range, whatever they are.
    pub(super) async fn rows(
        &self,
        partition: &str,
        from: &str,
        to: &str,
    ) -> Result<Vec<HashMap<String, AttributeValue>>, StoreError> {
        let mut pages = self.between(partition, from, to).into_paginator().items().send();
        let mut rows = Vec::new();
        while let Some(attributes) = pages.next().await {
            rows.push(attributes?);
        }
        Ok(rows)
    }

    /// Returns all items of a partition whose sort keys begin with `prefix`.
    pub(crate) async fn all(&self, partition: &str, prefix: &str) -> Result<Vec<Item>, StoreError> {
        let (from, to) = bounds(prefix);
        self.range(partition, &from, &to).await
    }

    /// Puts an item unless there is one with its key. Returns true if it was put.
    pub(crate) async fn insert(&self, item: NewItem) -> Result<bool, StoreError> {
        let sent = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item.into_attributes()))
            .condition_expression("attribute_not_exists(pk)")
            .send()
            .await;
        match sent {
            Ok(_) => Ok(true),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(PutItemError::is_conditional_check_failed_exception) =>
            {
                Ok(false)
            }
            Err(error) => Err(StoreError::of_write(error)),
        }
    }

    pub(crate) async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.get_with(key, true).await
    }

    /// Returns the item with a key as it is, or for half the price as it was a moment ago.
    pub(super) async fn get_with(&self, key: &Key, is_consistent: bool) -> Result<Option<Item>, StoreError> {
        let GetItemOutput { item, .. } = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key.attributes()))
            .consistent_read(is_consistent)
            .send()
            .await?;
        item.map(Item::new).transpose()
    }
}
