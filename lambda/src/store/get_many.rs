//! Reads of many items by their keys.

use crate::store::{error::StoreError, keys::Key, table::Store, transaction::build};
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use std::{collections::HashMap, time::Duration};

/// Attributes of an item.
type Row = HashMap<String, AttributeValue>;

/// Most keys of one call.
const MAX_KEYS: usize = 100;

/// Number of calls that are made concurrently.
const MAX_CALLS: usize = 8;

/// Number of calls in a row that may return nothing.
const MAX_IDLE: u32 = 5;

impl Store {
    /// Returns the attributes of the items with these keys that exist, in any order. No key may be
    /// there twice.
    pub(super) async fn get_many(&self, mut keys: Vec<Key>) -> Result<Vec<Row>, StoreError> {
        let mut reading = tokio::task::JoinSet::new();
        let mut rows = Vec::new();
        loop {
            while reading.len() < MAX_CALLS && !keys.is_empty() {
                let part = keys.split_off(keys.len().saturating_sub(MAX_KEYS));
                let store = self.clone();
                reading.spawn(async move { store.get_part(part).await });
            }
            let Some(part) = reading.join_next().await else { return Ok(rows) };
            rows.extend(part.map_err(|error| StoreError::Call(error.to_string()))??);
        }
    }

    /// Returns the items with at most [`MAX_KEYS`] keys. A call returns at most 16 MB, and names the
    /// keys that are left.
    async fn get_part(&self, keys: Vec<Key>) -> Result<Vec<Row>, StoreError> {
        let mut wanted: Vec<_> = keys.iter().map(Key::attributes).collect();
        let (mut rows, mut idle) = (Vec::new(), 0_u32);
        while !wanted.is_empty() && idle < MAX_IDLE {
            let request = KeysAndAttributes::builder().set_keys(Some(wanted)).consistent_read(true);
            let call = self.client.batch_get_item().request_items(&self.table, build(request.build())?);
            let sent = call.send().await?;
            let found = sent.responses.and_then(|mut tables| tables.remove(&self.table)).unwrap_or_default();
            let left = sent.unprocessed_keys.and_then(|mut tables| tables.remove(&self.table));
            wanted = left.map(|left| left.keys).unwrap_or_default();
            if found.is_empty() && !wanted.is_empty() {
                tokio::time::sleep(Duration::from_millis(20 << idle)).await;
                idle += 1;
            }
            rows.extend(found);
        }
        if wanted.is_empty() { Ok(rows) } else { Err(StoreError::Restless) }
    }
}
