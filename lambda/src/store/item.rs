//! Reading and writing the attributes of items.

use super::{StoreError, keys::Key};
use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Serialize, de::DeserializeOwned};
use std::collections::HashMap;

/// The number of this way of storing items. Readers refuse items of a later one.
pub const SCHEMA: u64 = 1;

/// An item that is being written.
#[derive(Debug, Clone)]
pub struct NewItem(HashMap<String, AttributeValue>);

impl NewItem {
    /// Begins with the key and the schema number.
    pub fn new(key: &Key) -> Self {
        Self(key.attributes()).number("schema", SCHEMA)
    }

    /// Adds a text.
    pub fn text(mut self, name: &str, value: impl Into<String>) -> Self {
        self.0.insert(name.to_owned(), AttributeValue::S(value.into()));
        self
    }

    /// Adds a number.
    pub fn number(mut self, name: &str, value: u64) -> Self {
        self.0.insert(name.to_owned(), AttributeValue::N(value.to_string()));
        self
    }

    /// Adds a set of texts; an empty one is left out, because DynamoDB has none.
    pub fn texts(mut self, name: &str, values: Vec<String>) -> Self {
        if !values.is_empty() {
            self.0.insert(name.to_owned(), AttributeValue::Ss(values));
        }
        self
    }

    /// Adds a value as JSON text.
    pub fn json(self, name: &str, value: &impl Serialize) -> Result<Self, StoreError> {
        let text = serde_json::to_string(value).map_err(|error| StoreError::Item(error.to_string()))?;
        Ok(self.text(name, text))
    }

    /// The attributes.
    pub fn into_attributes(self) -> HashMap<String, AttributeValue> {
        self.0
    }
}

/// An item that was read.
#[derive(Debug)]
pub struct Item(HashMap<String, AttributeValue>);

impl Item {
    /// Takes an item over, unless it was written by a later version.
    pub fn new(attributes: HashMap<String, AttributeValue>) -> Result<Self, StoreError> {
        let item = Self(attributes);
        match item.number("schema")? {
            SCHEMA => Ok(item),
            later => {
                Err(StoreError::Item(format!("an item has schema {later}, this version reads {SCHEMA}")))
            }
        }
    }

    /// A text that must be there.
    pub fn text(&self, name: &str) -> Result<&str, StoreError> {
        self.optional_text(name).ok_or_else(|| missing(name))
    }

    /// A text, if it is there.
    pub fn optional_text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(|value| value.as_s().ok()).map(String::as_str)
    }

    /// A number that must be there.
    pub fn number(&self, name: &str) -> Result<u64, StoreError> {
        self.optional_number(name).ok_or_else(|| missing(name))
    }

    /// A number, if it is there.
    pub fn optional_number(&self, name: &str) -> Option<u64> {
        self.0.get(name).and_then(|value| value.as_n().ok()).and_then(|text| text.parse().ok())
    }

    /// All attributes that are whole numbers, by name, without those that every item has.
    pub fn numbers(&self) -> std::collections::BTreeMap<String, u64> {
        let numbers =
            self.0.iter().filter_map(|(name, value)| Some((name.clone(), value.as_n().ok()?.parse().ok()?)));
        numbers.filter(|(name, _)| name != "schema" && name != super::keys::EXPIRES).collect()
    }

    /// A set of texts; none where it is not there.
    pub fn texts(&self, name: &str) -> Vec<String> {
        self.0.get(name).and_then(|value| value.as_ss().ok()).cloned().unwrap_or_default()
    }

    /// A value that was written as JSON text.
    pub fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T, StoreError> {
        serde_json::from_str(self.text(name)?).map_err(|error| StoreError::Item(format!("{name}: {error}")))
    }
}

fn missing(name: &str) -> StoreError {
    StoreError::Item(format!("an item lacks {name}"))
}
