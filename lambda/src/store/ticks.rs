//! Counters, and the times at which scheduled functions last completed.

use crate::store::{
    error::StoreError,
    item::{SCHEMA, number},
    keys::Key,
    table::Store,
};
use cutover_core::Timestamp;
use std::collections::BTreeMap;

impl Store {
    /// Returns the counters stored in an item, by name.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or an item cannot be decoded.
    pub async fn counters(&self, key: &Key) -> Result<BTreeMap<String, u64>, StoreError> {
        Ok(self.get(key).await?.map(|item| item.numbers()).unwrap_or_default())
    }

    /// Records the time at which a scheduled function completed.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be written.
    pub async fn note_tick(&self, function: &str, at: Timestamp) -> Result<(), StoreError> {
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::ticks().attributes()))
            .update_expression("SET #schema = :schema, #function = :at")
            .expression_attribute_names("#schema", "schema")
            .expression_attribute_names("#function", function)
            .expression_attribute_values(":schema", number(SCHEMA))
            .expression_attribute_values(":at", number(u64::try_from(at.millis()).unwrap_or_default()))
            .send()
            .await?;
        Ok(())
    }

    /// Returns the time at which each scheduled function last completed.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or an item cannot be decoded.
    pub async fn ticks(&self) -> Result<BTreeMap<String, Timestamp>, StoreError> {
        let ticks = self.counters(&Key::ticks()).await?;
        let timestamp = |ms: u64| Timestamp::from_millis(i64::try_from(ms).unwrap_or_default());
        Ok(ticks.into_iter().map(|(function, ms)| (function, timestamp(ms))).collect())
    }
}
