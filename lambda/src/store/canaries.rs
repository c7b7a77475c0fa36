//! Stored by-products of canary runs: a record of every decision, the reason for waiting, and
//! notifications that have not been delivered yet.

use crate::store::{
    error::{CommitError, StoreError},
    item::{Item, NewItem},
    keys,
    keys::Key,
    table::Store,
};
use cutover_core::{
    FlagName, RunId, Timestamp,
    canary::{Reason, Record},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The reason that a canary is waiting for, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldState {
    /// Run that is waiting.
    pub run: RunId,
    /// Step that the run is at.
    pub step: u32,
    /// Reason for holding the run at this step.
    pub reason: Reason,
    /// Time at which the wait for this reason began.
    pub since: Timestamp,
}

/// A notification that has not been delivered yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// Unique id, by which a receiver recognises a repeated delivery.
    pub id: String,
    /// Time of the event.
    pub at: Timestamp,
    /// JSON body of the webhook request.
    pub body: Value,
    /// Number of failed delivery attempts.
    pub attempts: u64,
    /// Earliest time of the next attempt.
    pub next_at: Timestamp,
}

impl Notification {
    /// Builds the item that stores the notification.
    ///
    /// # Errors
    ///
    /// Fails if the body cannot be encoded as JSON.
    pub fn item(&self) -> Result<NewItem, StoreError> {
        NewItem::new(&Key::notification(self.at.millis(), &self.id))
            .text("id", self.id.clone())
            .text("at", self.at.to_string())
            .text("next_at", self.next_at.to_string())
            .number("attempts", self.attempts)
            .json("body", &self.body)
    }

    fn read(item: &Item) -> Result<Self, StoreError> {
        let timestamp = |name: &str| -> Result<Timestamp, StoreError> {
            item.text(name)?.parse().map_err(|error| StoreError::Item(format!("notification: {error}")))
        };
        Ok(Self {
            id: item.text("id")?.to_owned(),
            at: timestamp("at")?,
            body: item.json("body")?,
            attempts: item.number("attempts")?,
            next_at: timestamp("next_at")?,
        })
    }
}

/// Builds the item of a record. `order` distinguishes records of the same millisecond.
pub(crate) fn record_item(record: &Record, order: &str) -> Result<NewItem, StoreError> {
    NewItem::new(&Key::record(record.run.id.as_str(), record.at.millis(), order)).json("record", record)
}

impl Store {
    /// Returns up to `limit` records of a run after a position, oldest first, and the position of
    /// the last one if there are more.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or an item cannot be decoded.
    pub async fn records(
        &self,
        run: &RunId,
        after: &str,
        limit: usize,
    ) -> Result<(Vec<Record>, Option<String>), StoreError> {
        let items = self.range(&keys::records(run.as_str()), &format!("{after}\u{0}"), "~").await?;
        let more = items.len() > limit;
        let mut records = Vec::new();
        let mut last = None;
        for item in items.iter().take(limit) {
            // A record of an earlier version has another form. It is left out, and whoever replays the run is told that
            // its beginning is missing.
            records.extend(item.json("record"));
            last = Some(item.text(keys::SORT)?.to_owned());
        }
        Ok((records, last.filter(|_| more)))
    }

    /// Returns the reason that the flag's canary is waiting for, with its version for optimistic
    /// locking.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or an item cannot be decoded.
    pub async fn waiting(&self, flag: &FlagName) -> Result<Option<(HoldState, u64)>, StoreError> {
        let Some(item) = self.get(&Key::waiting(flag.as_str())).await? else { return Ok(None) };
        Ok(Some((item.json("waiting")?, item.number("version")?)))
    }

    /// Records that a canary is now waiting for another reason, together with `others`, which must
    /// not exist yet.
    ///
    /// # Errors
    ///
    /// Returns [`CommitError::Conflict`] if the recorded reason no longer has this version, and
    /// fails if the table cannot be written.
    pub async fn note_waiting(
        &self,
        flag: &FlagName,
        waiting: &HoldState,
        version: u64,
        others: Vec<NewItem>,
    ) -> Result<(), CommitError> {
        let item = NewItem::new(&Key::waiting(flag.as_str())).json("waiting", waiting)?;
        let mut items = vec![self.put_after(item, version)?];
        for other in others {
            items.push(self.put_new(other)?);
        }
        self.transact(items).await
    }

    /// Returns the notifications that have not been delivered yet, oldest first.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or an item cannot be decoded.
    pub async fn outbox(&self) -> Result<Vec<Notification>, StoreError> {
        self.all(keys::OUTBOX, "").await?.iter().map(Notification::read).collect()
    }

    /// Removes a notification that was delivered or given up.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be written.
    pub async fn forget_notification(&self, notification: &Notification) -> Result<(), StoreError> {
        let key = Key::notification(notification.at.millis(), &notification.id);
        self.client.delete_item().table_name(&self.table).set_key(Some(key.attributes())).send().await?;
        Ok(())
    }

    /// Stores a notification for a later attempt.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be written.
    pub async fn keep_notification(&self, notification: &Notification) -> Result<(), StoreError> {
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(notification.item()?.into_attributes()))
            .send()
            .await?;
        Ok(())
    }
}
