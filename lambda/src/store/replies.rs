//! Responses to requests with an `Idempotency-Key`, kept for a day and replayed to repeated
//! requests.

use crate::store::{error::StoreError, item::NewItem, keys, keys::Key, table::Store};
use cutover_core::{Epoch, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Longest body that is stored in full, in bytes; a DynamoDB item is limited to 400 KB.
const MAX_BODY_BYTES: usize = 300_000;

/// Retention of a response, in seconds.
const KEPT_SECONDS: u64 = 24 * 60 * 60;

/// Key under which the response to a request is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyKey {
    /// Hash of the caller's name and the idempotency key.
    pub key: String,
    /// Hash of the request; using the same key for a different request is an error.
    pub fingerprint: String,
}

/// A response stored under an idempotency key.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// Its key, and the request that it answers.
    pub key: ReplyKey,
    /// Epoch in which it was given. What was answered before a restore may not be so any more.
    pub epoch: Epoch,
    /// HTTP status.
    pub status: u16,
    /// Response body, without the fields that are looked up again on replay.
    pub body: Value,
    /// Time of the response.
    pub at: Timestamp,
}

impl Reply {
    /// Returns the body to store: of one that is too large for an item its revision, and a note.
    fn kept_body(&self) -> Value {
        let size = self.body.to_string().len();
        if size <= MAX_BODY_BYTES {
            return self.body.clone();
        }
        let note =
            format!("the first response had {size} bytes, too many to keep; the request was carried out");
        json!({ "revision": self.body.get("revision"), "note": note })
    }

    pub(super) fn item(&self) -> Result<NewItem, StoreError> {
        let seconds = u64::try_from(self.at.millis() / 1_000).unwrap_or_default();
        NewItem::new(&Key::idempotency(&self.key.key, self.epoch))
            .text("fingerprint", self.key.fingerprint.clone())
            .number("status", u64::from(self.status))
            .text("at", self.at.to_string())
            .number(keys::EXPIRES, seconds + KEPT_SECONDS)
            .json("body", &self.kept_body())
    }
}

impl Store {
    /// Stores the response to a request that changes nothing. Returns false if there is one under this key already.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be written.
    pub async fn put_reply(&self, reply: &Reply) -> Result<bool, StoreError> {
        self.insert(reply.item()?).await
    }

    /// Returns the response that was stored under a key in an epoch.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or an item cannot be decoded.
    pub async fn reply(&self, key: &str, epoch: Epoch) -> Result<Option<Reply>, StoreError> {
        let Some(item) = self.get(&Key::idempotency(key, epoch)).await? else { return Ok(None) };
        Ok(Some(Reply {
            key: ReplyKey { key: key.to_owned(), fingerprint: item.text("fingerprint")?.to_owned() },
            epoch,
            status: u16::try_from(item.number("status")?).unwrap_or(200),
            body: item.json("body")?,
            at: item.text("at")?.parse().map_err(|error| StoreError::Item(format!("response: {error}")))?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_too_large_for_an_item_is_kept_in_short() {
        let reply = |body: Value| Reply {
            key: ReplyKey { key: "key".to_owned(), fingerprint: "request".to_owned() },
            epoch: Epoch::default(),
            status: 200,
            body,
            at: Timestamp::from_millis(0),
        };
        let small = json!({ "revision": 7, "changes": [] });
        assert_eq!(reply(small.clone()).kept_body(), small);
        let large = reply(json!({ "revision": 7, "changes": "x".repeat(400_000) })).kept_body();
        assert_eq!(large["revision"], 7);
        assert!(large["note"].as_str().unwrap().contains("too many to keep"), "{large}");
        assert!(large.to_string().len() < 1_000);
    }
}
