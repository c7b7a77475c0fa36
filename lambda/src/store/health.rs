//! The health of origins that isolates share: one item for the deployment.

use crate::store::{
    error::StoreError,
    item::{NewItem, number},
    keys::{EXPIRES, Key},
    table::Store,
};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use cutover_core::measurement::health::SharedHealth;

/// Attribute with the reports.
const REPORTS: &str = "reports";

/// Attribute that counts the writes.
const VERSION: &str = "version";

/// Seconds after which nothing in the item is true any more.
const KEPT_S: i64 = 3_600;

/// The health of origins as it was read.
#[derive(Debug, Clone, Default)]
pub struct StoredHealth {
    /// The reports of isolates.
    pub reports: SharedHealth,
    /// Number of writes so far.
    version: u64,
}

impl Store {
    /// Returns the health of origins: as it is, or for half the price as it was a moment ago.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or the item cannot be decoded.
    pub async fn health(&self, is_consistent: bool) -> Result<StoredHealth, StoreError> {
        match self.get_with(&Key::health(), is_consistent).await? {
            Some(item) => Ok(StoredHealth { reports: item.json(REPORTS)?, version: item.number(VERSION)? }),
            None => Ok(StoredHealth::default()),
        }
    }

    /// Writes the health of origins, unless another process has since it was read. Returns true if it was written.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be written.
    pub async fn write_health(&self, health: &mut StoredHealth, now_ms: i64) -> Result<bool, StoreError> {
        let expires = u64::try_from(now_ms / 1_000 + KEPT_S).unwrap_or_default();
        let item = NewItem::new(&Key::health())
            .json(REPORTS, &health.reports)?
            .number(VERSION, health.version + 1)
            .number(EXPIRES, expires);
        let sent = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item.into_attributes()))
            .condition_expression("attribute_not_exists(pk) OR #version = :version")
            .expression_attribute_names("#version", VERSION)
            .expression_attribute_values(":version", number(health.version))
            .send()
            .await;
        match sent {
            Ok(_) => {
                health.version += 1;
                Ok(true)
            }
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(PutItemError::is_conditional_check_failed_exception) =>
            {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }
}
