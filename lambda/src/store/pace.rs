//! The pace of reports, which evaluation sets by the number of isolates.

use crate::store::{error::StoreError, item::NewItem, keys::Key, table::Store};
use cutover_core::measurement::pace::Pace;

impl Store {
    /// Returns the pace of reports; the default before evaluation has set it.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or the item cannot be decoded.
    pub async fn pace(&self) -> Result<Pace, StoreError> {
        let Some(item) = self.get(&Key::pace()).await? else { return Ok(Pace::default()) };
        let wanted_since = item.optional_number("wanted_since").unwrap_or_default();
        let interval_ms = item.number("interval_ms")?;
        // A version before did not write these two.
        let changed_at = item.optional_number("changed_at").unwrap_or_default();
        Ok(Pace {
            interval_ms,
            wanted_since: i64::try_from(wanted_since).unwrap_or_default(),
            before_ms: item.optional_number("before_ms").unwrap_or(interval_ms),
            changed_at: i64::try_from(changed_at).unwrap_or_default(),
        })
    }

    /// Writes the pace of reports.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be written.
    pub async fn write_pace(&self, pace: Pace) -> Result<(), StoreError> {
        let item = NewItem::new(&Key::pace())
            .number("interval_ms", pace.interval_ms)
            .number("wanted_since", u64::try_from(pace.wanted_since).unwrap_or_default())
            .number("before_ms", pace.before_ms)
            .number("changed_at", u64::try_from(pace.changed_at).unwrap_or_default());
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item.into_attributes()));
        put.send().await?;
        Ok(())
    }
}
