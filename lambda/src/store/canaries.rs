//! Stored by-products of canary runs: a record of every decision, the reason for waiting, and
//! notifications that have not been delivered yet.

use crate::store::{
    error::{CommitError, StoreError},
    item::{Item, NewItem},
    keys,
    keys::Key,
    page::PageRoom,
    table::Store,
};
use cutover_core::{
    FlagName, RunId, Timestamp,
    canary::{Reason, Record},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

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

/// Reads the reason that a canary is waiting for, with its version.
fn read_waiting(item: &Item) -> Result<(HoldState, u64), StoreError> {
    Ok((item.json("waiting")?, item.number("version")?))
}

impl Store {
    /// Returns up to `limit` records of a run after a position, oldest first and no more than fit on a
    /// page, and the position of the last one if there are more.
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
        let rows = self.between(&keys::records(run.as_str()), &format!("{after}\u{0}"), "~");
        // One more than asked for, to know if there is another page.
        let rows = rows.limit(i32::try_from(limit + 1).unwrap_or(i32::MAX));
        let mut rows = rows.into_paginator().items().send();
        let mut room = PageRoom::new(limit);
        let mut records = Vec::new();
        let mut last = None;
        while let Some(attributes) = rows.next().await {
            let item = Item::new(attributes?)?;
            if !room.take(item.size()) {
                return Ok((records, last));
            }
            // A record of an earlier version has another form. It is left out, and whoever replays the run is told that
            // its beginning is missing.
            records.extend(item.json("record"));
            last = Some(item.text(keys::SORT)?.to_owned());
        }
        Ok((records, None))
    }

    /// Returns the event counters of every flag's canary, by flag.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or an item cannot be decoded.
    pub async fn event_counters(&self) -> Result<BTreeMap<String, BTreeMap<String, u64>>, StoreError> {
        let mut counters = BTreeMap::new();
        for item in self.all(keys::METRICS, keys::EVENTS).await? {
            if let Some(flag) = item.text(keys::SORT)?.strip_prefix(keys::EVENTS) {
                counters.insert(flag.to_owned(), item.numbers());
            }
        }
        Ok(counters)
    }

    /// Returns the flags of whose canary the reason for waiting cannot be decoded.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read.
    pub async fn unreadable_waiting(&self) -> Result<BTreeSet<String>, StoreError> {
        let mut unreadable = BTreeSet::new();
        for attributes in self.rows(keys::WAITING, " ", "~").await? {
            let flag = attributes.get(keys::SORT).and_then(|flag| flag.as_s().ok()).cloned();
            if Item::new(attributes).and_then(|item| read_waiting(&item)).is_err() {
                unreadable.extend(flag);
            }
        }
        Ok(unreadable)
    }

    /// Returns the reason that the flag's canary is waiting for, with its version for optimistic
    /// locking.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or an item cannot be decoded.
    pub async fn waiting(&self, flag: &FlagName) -> Result<Option<(HoldState, u64)>, StoreError> {
        let Some(item) = self.get(&Key::waiting(flag.as_str())).await? else { return Ok(None) };
        read_waiting(&item).map(Some)
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
