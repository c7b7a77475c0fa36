//! Lists that the API answers in pages.

use crate::{
    client::{Client, encode},
    failure::Failure,
    output,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

impl Client {
    /// Reads all pages of a list and returns their items, which are in the field `name`.
    ///
    /// # Errors
    ///
    /// Fails like [`Client::send`].
    pub fn all(&self, path: &str, name: &str) -> Result<Vec<Value>, Failure> {
        let whole = self.whole(path, name)?;
        Ok(output::list(&whole, name).cloned().collect())
    }

    /// Reads all pages of a list. Returns the first page with the items of all of them in the field `name`.
    ///
    /// # Errors
    ///
    /// Fails like [`Client::send`].
    pub fn whole(&self, path: &str, name: &str) -> Result<Value, Failure> {
        let (mut first, mut items) = (None, Vec::new());
        self.each_page(path, |page| {
            items.extend(output::list(&page, name).cloned());
            first.get_or_insert(page);
            Ok(())
        })?;
        let mut whole = first.unwrap_or_default();
        if let Some(fields) = whole.as_object_mut() {
            fields.insert(name.to_owned(), Value::Array(items));
            if let Some(next) = fields.get_mut("next_after") {
                *next = Value::Null;
            }
        }
        Ok(whole)
    }

    /// Reads all pages of records, which are in the field `records`. They are decoded page by page: as JSON, those of a long
    /// run would take several times the room.
    ///
    /// # Errors
    ///
    /// Fails like [`Client::send`], and if this version cannot read a record.
    pub fn records<R: DeserializeOwned>(&self, path: &str) -> Result<Vec<R>, Failure> {
        let mut records = Vec::new();
        self.each_page(path, |mut page| {
            let part = page.get_mut("records").map(Value::take).unwrap_or_default();
            let part: Vec<R> = serde_json::from_value(part)
                .map_err(|error| Failure::Io(format!("this version cannot read a record: {error}")))?;
            records.extend(part);
            Ok(())
        })?;
        Ok(records)
    }

    /// Reads the pages of a list one after the other.
    fn each_page(
        &self,
        path: &str,
        mut take: impl FnMut(Value) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut page = self.get(path)?;
        loop {
            let next = output::text(&page, "next_after").to_owned();
            take(page)?;
            if next.is_empty() {
                return Ok(());
            }
            let joint = if path.contains('?') { '&' } else { '?' };
            page = self.get(&format!("{path}{joint}after={}", encode(&next)))?;
        }
    }
}
