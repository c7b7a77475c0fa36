//! Answers that were given under an `Idempotency-Key`, kept for a day so that a repeated request gets them again.

use super::{
    Store, StoreError,
    item::NewItem,
    keys::{self, Key},
};
use cutover_core::Timestamp;
use serde_json::Value;

/// Seconds that an answer is kept.
const KEPT_SECONDS: u64 = 24 * 60 * 60;

/// An answer under an idempotency key.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The hash of the caller's name and the key.
    pub key: String,
    /// The hash of the request; the same key with another request is a mistake.
    pub fingerprint: String,
    /// The status.
    pub status: u16,
    /// The body, without what is looked up afresh.
    pub body: Value,
    /// When it was given.
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
    /// The answer that was given under a key.
    pub async fn reply(&self, key: &str) -> Result<Option<Reply>, StoreError> {
        let Some(item) = self.get(&Key::idempotency(key)).await? else { return Ok(None) };
        Ok(Some(Reply {
            key: key.to_owned(),
            fingerprint: item.text("fingerprint")?.to_owned(),
            status: u16::try_from(item.number("status")?).unwrap_or(200),
            body: item.json("body")?,
            at: item.text("at")?.parse().map_err(|error| StoreError::Item(format!("answer: {error}")))?,
        }))
    }
}
