//! The pace of reports, which evaluation sets by the number of isolates.

use crate::store::{error::StoreError, keys::Key, table::Store};
use cutover_core::measurement::answer::FIRST_INTERVAL_MS;

impl Store {
    /// Returns the milliseconds between two reports of an isolate. Before evaluation has set them, the milliseconds of an
    /// isolate that has no answer yet.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or the item cannot be decoded.
    pub async fn pace(&self) -> Result<u64, StoreError> {
        let key = Key { partition: "FOLD".to_owned(), sort: "PACE".to_owned() };
        let item = self.get(&key).await?;
        Ok(item.and_then(|item| item.optional_number("interval_ms")).unwrap_or(FIRST_INTERVAL_MS))
    }
}
