//! Typed access to the attributes of items.

use crate::{
    measurement::packing,
    store::{error::StoreError, keys, keys::Key},
};
use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use cutover_core::Epoch;
use serde::{Serialize, de::DeserializeOwned};
use std::collections::HashMap;

/// Version of the item layout. Items of a later version are rejected when read.
pub const SCHEMA: u64 = 1;

/// Largest text in one item, in bytes; DynamoDB limits an item to 400 KB.
pub const MAX_TEXT: usize = 300_000;

/// Largest value once it is decompressed, in bytes: far more than anything that is stored compressed.
const MAX_UNPACKED: usize = 64_000_000;

/// Encodes a value as JSON that is compressed with gzip.
pub(super) fn pack<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, StoreError> {
    let json = serde_json::to_vec(value).map_err(|error| StoreError::Item(error.to_string()))?;
    Ok(packing::pack(&json))
}

/// Decodes a value that was encoded by [`pack`].
pub(super) fn unpack<T: DeserializeOwned>(packed: &[u8]) -> Result<T, StoreError> {
    let unexpected = |error: String| StoreError::Item(format!("compressed JSON: {error}"));
    let json = packing::unpack(packed, MAX_UNPACKED).map_err(|error| unexpected(error.to_string()))?;
    let json = json.ok_or_else(|| unexpected("it is too large".to_owned()))?;
    serde_json::from_slice(&json).map_err(|error| unexpected(error.to_string()))
}

/// Returns the size of a value of an attribute, in bytes.
fn value_size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => text.len(),
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::Ss(texts) => texts.iter().map(String::len).sum(),
        _ => 0,
    }
}

/// Splits a text into parts of which each fits into an item.
pub(super) fn split_text(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (part, after) = rest.split_at(rest.floor_char_boundary(MAX_TEXT));
        parts.push(part);
        rest = after;
    }
    parts
}

/// Returns a number as an attribute.
pub(super) fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// An item to be written.
#[derive(Debug, Clone)]
pub struct NewItem(HashMap<String, AttributeValue>);

impl NewItem {
    /// Creates an item with its key and schema number.
    pub fn new(key: &Key) -> Self {
        Self(key.attributes()).number("schema", SCHEMA)
    }

    /// Adds a string.
    pub fn text(mut self, name: &str, value: impl Into<String>) -> Self {
        self.0.insert(name.to_owned(), AttributeValue::S(value.into()));
        self
    }

    /// Adds bytes.
    pub fn bytes(mut self, name: &str, value: Vec<u8>) -> Self {
        self.0.insert(name.to_owned(), AttributeValue::B(Blob::new(value)));
        self
    }

    /// Adds a number.
    pub fn number(mut self, name: &str, value: u64) -> Self {
        self.0.insert(name.to_owned(), AttributeValue::N(value.to_string()));
        self
    }

    /// Adds a set of strings. An empty set is left out, because DynamoDB cannot store one.
    pub fn texts(mut self, name: &str, values: Vec<String>) -> Self {
        if !values.is_empty() {
            self.0.insert(name.to_owned(), AttributeValue::Ss(values));
        }
        self
    }

    /// Adds a value, encoded as JSON.
    ///
    /// # Errors
    ///
    /// Fails if the value cannot be encoded.
    pub fn json(self, name: &str, value: &impl Serialize) -> Result<Self, StoreError> {
        let text = serde_json::to_string(value).map_err(|error| StoreError::Item(error.to_string()))?;
        Ok(self.text(name, text))
    }

    /// Returns the size of the item, names and values, in bytes: what DynamoDB limits to 400 KB, and in a transaction to 4 MB.
    pub fn size(&self) -> usize {
        self.0.iter().map(|(name, value)| name.len() + value_size(value)).sum()
    }

    /// Returns the attributes of the item.
    pub fn into_attributes(self) -> HashMap<String, AttributeValue> {
        self.0
    }
}

/// An item read from the table.
#[derive(Debug)]
pub struct Item(HashMap<String, AttributeValue>);

impl Item {
    /// Wraps the attributes of an item.
    ///
    /// # Errors
    ///
    /// Fails if the item was written by a later version, or has no schema number.
    pub fn new(attributes: HashMap<String, AttributeValue>) -> Result<Self, StoreError> {
        let item = Self(attributes);
        match item.number("schema")? {
            SCHEMA => Ok(item),
            later if later > SCHEMA => Err(StoreError::Later(later)),
            other => {
                Err(StoreError::Item(format!("an item has schema {other}, this version reads {SCHEMA}")))
            }
        }
    }

    /// Returns a required string.
    ///
    /// # Errors
    ///
    /// Fails if the attribute is missing or not a string.
    pub fn text(&self, name: &str) -> Result<&str, StoreError> {
        self.optional_text(name).ok_or_else(|| missing(name))
    }

    /// Returns a string, or `None` if there is none of that name.
    pub fn optional_text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(|value| value.as_s().ok()).map(String::as_str)
    }

    /// Returns bytes, or `None` if there are none of that name.
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        self.0.get(name).and_then(|value| value.as_b().ok()).map(|bytes| bytes.as_ref().to_vec())
    }

    /// Returns a required number.
    ///
    /// # Errors
    ///
    /// Fails if the attribute is missing or not an unsigned integer.
    pub fn number(&self, name: &str) -> Result<u64, StoreError> {
        self.optional_number(name).ok_or_else(|| missing(name))
    }

    /// Returns a number, or `None` if there is none of that name.
    pub fn optional_number(&self, name: &str) -> Option<u64> {
        self.0.get(name).and_then(|value| value.as_n().ok()).and_then(|text| text.parse().ok())
    }

    /// Returns the epoch in which the item was written; the first one if it has none.
    pub fn epoch(&self) -> Epoch {
        Epoch(self.optional_number(keys::EPOCH).unwrap_or_default())
    }

    /// Returns all unsigned integers of the item by name, except schema number and time to live.
    pub fn numbers(&self) -> std::collections::BTreeMap<String, u64> {
        let numbers =
            self.0.iter().filter_map(|(name, value)| Some((name.clone(), value.as_n().ok()?.parse().ok()?)));
        numbers.filter(|(name, _)| name != "schema" && name != super::keys::EXPIRES).collect()
    }

    /// Returns a set of strings, empty if there is none of that name.
    pub fn texts(&self, name: &str) -> Vec<String> {
        self.0.get(name).and_then(|value| value.as_ss().ok()).cloned().unwrap_or_default()
    }

    /// Returns the length of all strings of the item, in bytes.
    pub fn size(&self) -> usize {
        self.0.values().filter_map(|value| value.as_s().ok()).map(String::len).sum()
    }

    /// Decodes a value that was stored as JSON.
    ///
    /// # Errors
    ///
    /// Fails if the attribute is missing or is not JSON of the type `T`.
    pub fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T, StoreError> {
        serde_json::from_str(self.text(name)?).map_err(|error| StoreError::Item(format!("{name}: {error}")))
    }
}

fn missing(name: &str) -> StoreError {
    StoreError::Item(format!("an item lacks {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A version before it must not take it for damaged, and remove it.
    #[test]
    fn an_item_of_a_later_version_is_told_from_a_damaged_one() {
        let read = |schema: &str| {
            let schema = AttributeValue::N(schema.to_owned());
            Item::new(HashMap::from([("schema".to_owned(), schema)])).map(|_| ())
        };
        assert!(read("1").is_ok());
        assert!(matches!(read("2"), Err(StoreError::Later(2))));
        for damaged in [read("0"), Item::new(HashMap::new()).map(|_| ())] {
            assert!(matches!(damaged, Err(StoreError::Item(_))), "{damaged:?}");
        }
    }
}
