//! Responses to requests with an `Idempotency-Key`, kept for a day and replayed to repeated
//! requests.

use crate::store::{error::StoreError, item::NewItem, keys, keys::Key, table::Store};
use cutover_core::Timestamp;
use serde_json::Value;

/// Retention of a response, in seconds.
const KEPT_SECONDS: u64 = 24 * 60 * 60;

/// A response stored under an idempotency key.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// Hash of the caller's name and the key.
    pub key: String,
    /// Hash of the request; using the same key for a different request is an error.
    pub fingerprint: String,
    /// HTTP status.
    pub status: u16,
    /// Response body, without the fields that are looked up again on replay.
    pub body: Value,
    /// Time of the response.
    pub at: Timestamp,
}

impl Reply {
    pub(super) fn item(&self) -> Result<NewItem, StoreError> {
        let seconds = u64::try_from(self.at.millis() / 1_000).unwrap_or_default();
        NewItem::new(&Key::idempotency(&self.key))
            .text("fingerprint", self.fingerprint.clone())
            .number("status", u64::from(self.status))
            .text("at", self.at.to_string())
            .number(keys::EXPIRES, seconds + KEPT_SECONDS)
            .json("body", &self.body)
    }
}

impl Store {
    /// Returns the response that was stored under a key.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or an item cannot be decoded.
    pub async fn reply(&self, key: &str) -> Result<Option<Reply>, StoreError> {
        let Some(item) = self.get(&Key::idempotency(key)).await? else { return Ok(None) };
        Ok(Some(Reply {
            key: key.to_owned(),
            fingerprint: item.text("fingerprint")?.to_owned(),
            status: u16::try_from(item.number("status")?).unwrap_or(200),
            body: item.json("body")?,
            at: item.text("at")?.parse().map_err(|error| StoreError::Item(format!("response: {error}")))?,
        }))
    }
}
