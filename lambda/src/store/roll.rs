//! The roll of isolates, packed. It helps to find lost isolates, and may be lost itself.

use crate::store::{error::StoreError, item::NewItem, keys::Key, table::Store};

/// The roll as it was read.
#[derive(Debug)]
pub struct StoredRoll {
    /// The parts that were found.
    pub parts: Vec<Vec<u8>>,
    /// True if these are all parts that were written.
    pub is_whole: bool,
}

impl Store {
    /// Writes the parts of the roll.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be written.
    pub async fn write_roll(&self, parts: Vec<Vec<u8>>) -> Result<(), StoreError> {
        let count = parts.len() as u64;
        // Without isolates an empty part takes the place of the parts before.
        let parts = if parts.is_empty() { vec![Vec::new()] } else { parts };
        for (index, part) in parts.into_iter().enumerate() {
            let item = NewItem::new(&Key::roll(index)).number("parts", count).bytes("data", part);
            let put = self.client.put_item().table_name(&self.table).set_item(Some(item.into_attributes()));
            put.send().await?;
        }
        Ok(())
    }

    /// Returns the roll.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read.
    pub async fn roll(&self) -> Result<StoredRoll, StoreError> {
        let mut parts = Vec::new();
        let mut count = 1;
        while parts.len() < count {
            let Some(item) = self.get(&Key::roll(parts.len())).await? else { break };
            if parts.is_empty() {
                count = usize::try_from(item.number("parts")?).unwrap_or_default();
            }
            parts.push(item.bytes("data").unwrap_or_default());
        }
        Ok(StoredRoll { is_whole: parts.len() >= count, parts })
    }
}
