//! The roll of isolates, packed. It helps to find lost isolates, and may be lost itself.

use crate::store::{error::StoreError, item::NewItem, keys::Key, table::Store};
use cutover_core::Stamp;

/// Attribute with the revisions that the entries of a part refer to. Parts of an earlier version lack it.
const STAMPS: &str = "stamps";

/// A part of the roll, as one item has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RollPart {
    /// The entries, packed.
    pub entries: Vec<u8>,
    /// Revisions that the entries refer to by their position.
    pub stamps: Vec<Stamp>,
}

/// The roll as it was read.
#[derive(Debug)]
pub struct StoredRoll {
    /// The parts that were found.
    pub parts: Vec<RollPart>,
    /// True if these are all parts that were written.
    pub is_whole: bool,
}

impl Store {
    /// Writes the parts of the roll.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be written.
    pub async fn write_roll(&self, parts: Vec<RollPart>) -> Result<(), StoreError> {
        let count = parts.len() as u64;
        // Without isolates an empty part takes the place of the parts before.
        let parts = if parts.is_empty() { vec![RollPart::default()] } else { parts };
        for (index, RollPart { entries, stamps }) in parts.into_iter().enumerate() {
            let stamps: Vec<String> = stamps.iter().map(ToString::to_string).collect();
            let mut item = NewItem::new(&Key::roll(index)).number("parts", count).bytes("data", entries);
            if !stamps.is_empty() {
                item = item.text(STAMPS, stamps.join(" "));
            }
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
            let stamps = item.optional_text(STAMPS).unwrap_or_default().split_whitespace();
            // One that cannot be read keeps its place, as a revision that nobody holds.
            let stamps = stamps.map(|text| text.parse().unwrap_or_default()).collect();
            parts.push(RollPart { entries: item.bytes("data").unwrap_or_default(), stamps });
        }
        Ok(StoredRoll { is_whole: parts.len() >= count, parts })
    }
}
