//! Stored by-products of canary runs and experiments: a record of every decision, the reason for waiting, and
//! notifications that have not been delivered yet.

use crate::store::{
    error::{CommitError, StoreError},
    item::{Item, NewItem, pack, unpack},
    keys,
    keys::Key,
    ledger::LedgerSubject,
    page::PageRoom,
    table::Store,
};
use cutover_core::{
    ExperimentName, FlagName, RunId, Timestamp,
    canary::{Reason, Record},
    experiment::Record as ExperimentRecord,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
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

/// Largest record that is stored as text in one item, and largest part of one that is not, in bytes.
const MAX_RECORD: usize = 350_000;

/// Builds the items of a record, to be written in one transaction: the record itself, and its parts if it is too large for
/// an item. `order` distinguishes records of the same millisecond.
pub(crate) fn record_items(record: &Record, order: &str) -> Result<Vec<NewItem>, StoreError> {
    items_of_record(record, record.run.id.as_str(), record.at, order)
}

/// Builds the items of a record of an experiment as [`record_items`] does.
pub(crate) fn experiment_record_items(
    record: &ExperimentRecord,
    order: &str,
) -> Result<Vec<NewItem>, StoreError> {
    let name = LedgerSubject::Experiment(&record.identity.experiment).to_string();
    items_of_record(record, &name, record.at, order)
}

/// Builds the items of a record in the partition of a run or an experiment.
fn items_of_record<R: Serialize>(
    record: &R,
    run: &str,
    at: Timestamp,
    order: &str,
) -> Result<Vec<NewItem>, StoreError> {
    let at = at.millis();
    let item = NewItem::new(&Key::record(run, at, order));
    let text = serde_json::to_string(record).map_err(|error| StoreError::Item(error.to_string()))?;
    if text.len() <= MAX_RECORD {
        return Ok(vec![item.text("record", text)]);
    }
    let packed = pack(record)?;
    let chunks = packed.chunks(MAX_RECORD);
    let item = item.number("parts", chunks.len() as u64).number("bytes", text.len() as u64);
    let parts = chunks.enumerate().map(|(part, chunk)| {
        NewItem::new(&Key::record_part(run, at, order, part)).bytes("data", chunk.to_vec())
    });
    Ok(std::iter::once(item).chain(parts).collect())
}

/// Returns the size of a record as JSON, in bytes.
fn size_of_record(item: &Item) -> usize {
    item.optional_number("bytes").and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or_else(|| item.size())
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
        self.records_in(run.as_str(), after, limit).await
    }

    /// Returns records of all phases of an experiment, as [`Self::records`] does.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or an item cannot be decoded.
    pub async fn experiment_records(
        &self,
        experiment: &ExperimentName,
        after: &str,
        limit: usize,
    ) -> Result<(Vec<ExperimentRecord>, Option<String>), StoreError> {
        self.records_in(&LedgerSubject::Experiment(experiment).to_string(), after, limit).await
    }

    async fn records_in<R: DeserializeOwned>(
        &self,
        run: &str,
        after: &str,
        limit: usize,
    ) -> Result<(Vec<R>, Option<String>), StoreError> {
        // Up to the last digit: behind the records are their parts.
        let rows = self.between(&keys::records(run), &format!("{after}\u{0}"), ":");
        // One more than asked for, to know if there is another page.
        let rows = rows.limit(i32::try_from(limit + 1).unwrap_or(i32::MAX));
        let mut rows = rows.into_paginator().items().send();
        let mut room = PageRoom::new(limit);
        let mut records = Vec::new();
        let mut last = None;
        while let Some(attributes) = rows.next().await {
            let item = Item::new(attributes?)?;
            if !room.take(size_of_record(&item)) {
                return Ok((records, last));
            }
            // A record of an earlier version has another form. It is left out, and whoever replays the run is told that
            // its beginning is missing.
            if item.optional_number("parts").is_some() {
                records.extend(unpack::<R>(&self.record_parts(&item).await?));
            } else {
                records.extend(item.json::<R>("record"));
            }
            last = Some(item.text(keys::SORT)?.to_owned());
        }
        Ok((records, None))
    }

    /// Joins the parts of a record.
    async fn record_parts(&self, record: &Item) -> Result<Vec<u8>, StoreError> {
        let (partition, sort) = (record.text(keys::PARTITION)?, record.text(keys::SORT)?);
        let prefix = format!("{}{sort}#", keys::RECORD_PART);
        let mut data = Vec::new();
        for part in self.range(partition, &prefix, &format!("{prefix}~")).await? {
            data.extend(part.bytes("data").unwrap_or_default());
        }
        Ok(data)
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

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::{
        Arm,
        canary::{Run, RunIdentity, Window},
        config::Config,
        measurement::batch::{SeenUser, UserWindow, WINDOW_MS},
    };

    fn run() -> Run {
        let config = Config::from_yaml(include_str!("../../../docs/example.yaml")).unwrap();
        let (flag, plan) = config.canary_deployments.into_iter().next().unwrap();
        let identity = RunIdentity { id: "r1".parse().unwrap(), key: None };
        Run::start(identity, flag, plan, Timestamp::from_millis(0), "operator")
    }

    /// A record of an evaluation that has caught up with hours.
    fn record(windows: i64, users: u64) -> Record {
        let run = run();
        let hash = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31);
        let window = |index: i64| Window {
            start: index * WINDOW_MS,
            end: (index + 1) * WINDOW_MS,
            users: vec![UserWindow {
                flag: run.flag.clone(),
                canary: (run.id.clone(), 0),
                share: run.share(),
                window: index * WINDOW_MS,
                settle_ms: 1_000,
                seen: (0..users)
                    .map(|user| SeenUser(hash(index.unsigned_abs() * users + user), Arm::Legacy))
                    .collect(),
                events: Vec::new(),
                compared: Vec::new(),
            }],
            ..Window::default()
        };
        let at = Timestamp::from_millis(windows * WINDOW_MS);
        Record::evaluation(at, "test", &run, None, (0..windows).map(window).collect()).0
    }

    /// H8: whatever a record holds, it can be written, and is read again.
    #[test]
    fn a_large_record_is_stored_in_parts() {
        let small = record_items(&record(2, 10), "evaluation#1").unwrap();
        assert_eq!(small.len(), 1);
        let large = record(400, 200);
        let items = record_items(&large, "evaluation#1").unwrap();
        assert!(items.len() > 2, "{}", items.len());
        let mut data = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            assert!(item.size() < 400_000, "{}", item.size());
            let item = Item::new(item.into_attributes()).unwrap();
            let sort = item.text(keys::SORT).unwrap();
            if index == 0 {
                assert_eq!(sort, "000000004000000#evaluation#1");
                assert!(sort < ":" && size_of_record(&item) > 1_000_000, "{}", size_of_record(&item));
            } else {
                assert_eq!(sort, format!("PART#000000004000000#evaluation#1#{:03}", index - 1));
                data.extend(item.bytes("data").unwrap());
            }
        }
        assert_eq!(unpack::<Record>(&data).unwrap(), large);
    }
}
