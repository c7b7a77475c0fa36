//! Gaps: periods for which the counts of an isolate are unknown.

use crate::store::{error::StoreError, item::Item, keys, keys::Key, table::Store};
use cutover_core::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// A period for which the counts of an isolate are unknown, because it fell silent before its final
/// report.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Gap {
    /// Name of the isolate.
    pub isolate: String,
    /// Time of its last report. Its counts after that, of at most one report interval, are unknown.
    pub since: Timestamp,
}

impl Store {
    /// Returns the gaps since a point in time. An isolate that reported again afterwards had kept
    /// its counts, so its gap is left out.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or an item cannot be decoded.
    pub async fn gaps(&self, since: Timestamp) -> Result<Vec<Gap>, StoreError> {
        let items = self.range(keys::GAPS, &format!("{:015}", since.millis().max(0)), "~").await?;
        let mut found = Vec::new();
        for item in items {
            found.push((item.number("since")?, item.text("isolate")?.to_owned()));
        }
        let isolates: BTreeSet<&str> = found.iter().map(|(_, isolate)| isolate.as_str()).collect();
        let keys = isolates.into_iter().map(Key::isolate).collect();
        let mut held = BTreeMap::new();
        for attributes in self.get_many(keys).await? {
            let item = Item::new(attributes)?;
            held.insert(item.text(keys::SORT)?.to_owned(), item.optional_number("gap_at"));
        }
        // An isolate that has expired has not reported again.
        found.retain(|(since, isolate)| held.get(isolate).is_none_or(|gap_at| *gap_at == Some(*since)));
        let gap = |(since, isolate)| {
            let since = Timestamp::from_millis(i64::try_from(since).unwrap_or(i64::MAX));
            Gap { isolate, since }
        };
        Ok(found.into_iter().map(gap).collect())
    }
}
