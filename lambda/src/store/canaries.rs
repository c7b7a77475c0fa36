//! What runs of canaries leave behind: records of every decision, what they wait for, and notifications that are not
//! delivered yet.

use super::{
    Store, StoreError,
    commit::CommitError,
    item::{Item, NewItem},
    keys::{self, Key},
};
use cutover_core::{
    FlagName, RunId, Timestamp,
    canary::{Reason, Record},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a canary waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: u32,
    /// Why.
    pub reason: Reason,
    /// Since when.
    pub since: Timestamp,
}

/// A notification that is not delivered yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// Its name, by which a receiver recognises it when it comes twice.
    pub id: String,
    /// When it happened.
    pub at: Timestamp,
    /// What is sent.
    pub body: Value,
    /// How often it was tried.
    pub attempts: u64,
    /// Not before this moment is it tried again.
    pub next_at: Timestamp,
}

impl Notification {
    /// The item that holds it.
    pub fn item(&self) -> Result<NewItem, StoreError> {
        NewItem::new(&Key::notification(self.at.millis(), &self.id))
            .text("id", self.id.clone())
            .text("at", self.at.to_string())
            .text("next_at", self.next_at.to_string())
            .number("attempts", self.attempts)
            .json("body", &self.body)
    }

    fn read(item: &Item) -> Result<Self, StoreError> {
        let moment = |name: &str| -> Result<Timestamp, StoreError> {
            item.text(name)?.parse().map_err(|error| StoreError::Item(format!("notification: {error}")))
        };
        Ok(Self {
            id: item.text("id")?.to_owned(),
            at: moment("at")?,
            body: item.json("body")?,
            attempts: item.number("attempts")?,
            next_at: moment("next_at")?,
        })
    }
}

/// The item of a record. `order` tells apart what was recorded in one millisecond.
pub(crate) fn record_item(record: &Record, order: &str) -> Result<NewItem, StoreError> {
    NewItem::new(&Key::record(record.run.id.as_str(), record.at.millis(), order)).json("record", record)
}

impl Store {
    /// The records of a run, oldest first, after a position, at most so many; with the position of the last one
    /// where there may be more.
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
            records.push(item.json("record")?);
            last = Some(item.text(keys::SORT)?.to_owned());
        }
        Ok((records, last.filter(|_| more)))
    }

    /// What a flag's canary waits for, and how often that was written.
    pub async fn waiting(&self, flag: &FlagName) -> Result<Option<(Waiting, u64)>, StoreError> {
        let Some(item) = self.get(&Key::waiting(flag.as_str())).await? else { return Ok(None) };
        Ok(Some((item.json("waiting")?, item.number("version")?)))
    }

    /// Notes that a canary waits for something else than before, with what goes along.
    pub async fn note_waiting(
        &self,
        flag: &FlagName,
        waiting: &Waiting,
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

    /// Notifications that are not delivered yet, oldest first.
    pub async fn outbox(&self) -> Result<Vec<Notification>, StoreError> {
        self.all(keys::OUTBOX, "").await?.iter().map(Notification::read).collect()
    }

    /// Removes a notification.
    pub async fn forget_notification(&self, notification: &Notification) -> Result<(), StoreError> {
        let key = Key::notification(notification.at.millis(), &notification.id);
        self.client.delete_item().table_name(&self.table).set_key(Some(key.attributes())).send().await?;
        Ok(())
    }

    /// Keeps a notification for later.
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
