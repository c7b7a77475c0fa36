//! Batches as isolates send them: each stored once, in the order of arrival, and what is known of the isolates.

use super::{
    Store, StoreError,
    commit::{CommitError, build, is_conflict, number},
    item::{Item, NewItem, SCHEMA},
    keys::{self, Key},
};
use aws_sdk_dynamodb::{
    operation::transact_write_items::TransactWriteItemsError,
    types::{TransactWriteItem, Update},
};
use cutover_core::{Timestamp, batch::Batch};
use std::collections::BTreeMap;

/// Seconds that batches and isolates are kept. A batch that is sent again after that would not be recognised, but
/// its signature has long been refused by then.
const KEPT_SECONDS: u64 = 2 * 24 * 60 * 60;

/// Seconds that gaps are kept.
const GAPS_KEPT_SECONDS: u64 = 30 * 24 * 60 * 60;

/// Partitions of arrivals that are read at once.
const MAX_READS: usize = 16;

/// Whether a batch was new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// It is stored now.
    New,
    /// It had been stored before.
    Duplicate,
}

/// A batch with the moment it arrived.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// The batch.
    pub batch: Batch,
}

/// An isolate that fell silent although it had more to tell.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Gap {
    /// The isolate.
    pub isolate: String,
    /// When it was last heard. What it counted after that, for one report interval at most, is unknown.
    pub since: Timestamp,
}

/// How many isolates there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IsolateCounts {
    /// Of these more is expected.
    pub active: u64,
    /// The age of the oldest snapshot that an active one holds, in milliseconds.
    pub oldest_snapshot_ms: Option<u64>,
    /// Batches whose numbers were skipped and did not arrive yet.
    pub missing_batches: u64,
}

fn expiry(at: i64, kept: u64) -> u64 {
    u64::try_from(at / 1_000).unwrap_or_default() + kept
}

fn unsigned(at: i64) -> u64 {
    u64::try_from(at).unwrap_or_default()
}

impl Store {
    /// Stores a batch, unless it was stored before.
    pub async fn store_batch(&self, batch: &Batch, body: &str, at: i64) -> Result<Stored, StoreError> {
        let expires = expiry(at, KEPT_SECONDS);
        let mark = NewItem::new(&Key::batch(&batch.isolate, batch.sequence)).number(keys::EXPIRES, expires);
        let arrival = NewItem::new(&Key::arrival(at, &batch.isolate, batch.sequence))
            .number("at", unsigned(at))
            .text("batch", body)
            .number(keys::EXPIRES, expires);
        let seen = self
            .seen(batch, at)
            .update_expression(
                "SET #schema = :schema, seen_at = :at, awaited = :awaited, expires_at = :expires, \
                 age_ms = :age, newest = :sequence REMOVE gap_at ADD batch_count :one",
            )
            .expression_attribute_values(":sequence", number(batch.sequence))
            .expression_attribute_values(":one", number(1));
        let items = vec![
            self.put_new(mark)?,
            self.put_new(arrival)?,
            TransactWriteItem::builder().update(build(seen.build())?).build(),
        ];
        for attempt in 0..4_u32 {
            let sent =
                self.client.transact_write_items().set_transact_items(Some(items.clone())).send().await;
            match sent {
                Ok(_) => return Ok(Stored::New),
                Err(error) if error.as_service_error().is_some_and(is_duplicate) => {
                    return Ok(Stored::Duplicate);
                }
                Err(error) if error.as_service_error().is_some_and(is_conflict) && attempt < 3 => {
                    tokio::time::sleep(std::time::Duration::from_millis(5 << attempt)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Restless)
    }

    fn seen(&self, batch: &Batch, at: i64) -> aws_sdk_dynamodb::types::builders::UpdateBuilder {
        Update::builder()
            .table_name(&self.table)
            .set_key(Some(Key::isolate(&batch.isolate).attributes()))
            .expression_attribute_names("#schema", "schema")
            .expression_attribute_values(":schema", number(SCHEMA))
            .expression_attribute_values(":at", number(unsigned(at)))
            .expression_attribute_values(":awaited", number(u64::from(!batch.idle)))
            .expression_attribute_values(":expires", number(expiry(at, KEPT_SECONDS)))
            .expression_attribute_values(":age", number(batch.age_ms))
    }

    /// Notes that an isolate asked how things stand, and will have something to tell.
    pub async fn note_question(&self, batch: &Batch, at: i64) -> Result<(), StoreError> {
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::isolate(&batch.isolate).attributes()))
            .update_expression(
                "SET #schema = :schema, seen_at = :at, awaited = :awaited, expires_at = :expires, age_ms = :age \
                 REMOVE gap_at",
            )
            .expression_attribute_names("#schema", "schema")
            .expression_attribute_values(":schema", number(SCHEMA))
            .expression_attribute_values(":at", number(unsigned(at)))
            .expression_attribute_values(":awaited", number(1))
            .expression_attribute_values(":expires", number(expiry(at, KEPT_SECONDS)))
            .expression_attribute_values(":age", number(batch.age_ms))
            .send()
            .await?;
        Ok(())
    }

    /// What arrived after one moment and up to another, in order of arrival.
    pub async fn arrivals(&self, after: i64, until: i64) -> Result<Vec<Arrival>, StoreError> {
        let minutes = (after + 1).div_euclid(keys::MINUTE_MS)..=until.div_euclid(keys::MINUTE_MS);
        let mut partitions =
            minutes.flat_map(|minute| (0..keys::SHARDS).map(move |shard| keys::arrivals(minute, shard)));
        let (from, to) = (format!("{:015}", after + 1), format!("{:015}", until + 1));
        let mut reading = tokio::task::JoinSet::new();
        let mut arrivals = Vec::new();
        loop {
            while reading.len() < MAX_READS
                && let Some(partition) = partitions.next()
            {
                let (store, from, to) = (self.clone(), from.clone(), to.clone());
                reading.spawn(async move { store.range(&partition, &from, &to).await });
            }
            let Some(items) = reading.join_next().await else { break };
            for item in items.map_err(|error| StoreError::Call(error.to_string()))?? {
                let at = i64::try_from(item.number("at")?).unwrap_or(i64::MAX);
                arrivals.push(Arrival { at, batch: item.json("batch")? });
            }
        }
        arrivals.sort_by(|a, b| {
            (a.at, &a.batch.isolate, a.batch.sequence).cmp(&(b.at, &b.batch.isolate, b.batch.sequence))
        });
        Ok(arrivals)
    }

    async fn isolates(&self) -> Result<Vec<Item>, StoreError> {
        let mut all = Vec::new();
        for shard in 0..keys::SHARDS {
            all.extend(self.all(&keys::isolates(shard), "").await?);
        }
        Ok(all)
    }

    /// How many isolates there are.
    pub async fn isolate_counts(&self) -> Result<IsolateCounts, StoreError> {
        let mut counts = IsolateCounts::default();
        for isolate in self.isolates().await? {
            let number = |name| isolate.optional_number(name).unwrap_or_default();
            counts.missing_batches += number("newest").saturating_sub(number("batch_count"));
            if number("awaited") == 1 {
                counts.active += 1;
                counts.oldest_snapshot_ms = counts.oldest_snapshot_ms.max(Some(number("age_ms")));
            }
        }
        Ok(counts)
    }

    /// Finds isolates that were expected to tell more and have been silent since a moment, and notes each once.
    pub async fn note_lost_isolates(&self, silent_since: i64) -> Result<u64, StoreError> {
        let mut lost = 0;
        for isolate in self.isolates().await? {
            let seen_at = isolate.number("seen_at")?;
            if isolate.optional_number("awaited") != Some(1) || seen_at >= unsigned(silent_since) {
                continue;
            }
            let name = isolate.text(keys::SORT)?;
            let at = i64::try_from(seen_at).unwrap_or(i64::MAX);
            let gap = NewItem::new(&Key::gap(at, name))
                .number("since", seen_at)
                .text("isolate", name)
                .number(keys::EXPIRES, expiry(at, GAPS_KEPT_SECONDS));
            let update = Update::builder()
                .table_name(&self.table)
                .set_key(Some(Key::isolate(name).attributes()))
                .update_expression("SET awaited = :no, gap_at = :seen")
                .condition_expression("seen_at = :seen AND awaited = :yes")
                .expression_attribute_values(":no", number(0))
                .expression_attribute_values(":yes", number(1))
                .expression_attribute_values(":seen", number(seen_at));
            let items =
                vec![TransactWriteItem::builder().update(build(update.build())?).build(), self.put_new(gap)?];
            match self.transact(items).await {
                Ok(()) => lost += 1,
                // It spoke up, or another tick was faster.
                Err(CommitError::Conflict) => {}
                Err(CommitError::Store(error)) => return Err(error),
            }
        }
        if lost > 0 {
            self.add_ingest_counts(&BTreeMap::from([("isolates_lost", lost)])).await?;
        }
        Ok(lost)
    }

    /// The gaps since a moment. An isolate that was heard again afterwards has kept what it counted, so that there is
    /// no gap after all.
    pub async fn gaps(&self, since: Timestamp) -> Result<Vec<Gap>, StoreError> {
        let items = self.range(keys::GAPS, &format!("{:015}", since.millis().max(0)), "~").await?;
        let mut gaps = Vec::new();
        for item in items {
            let (since, isolate) = (item.number("since")?, item.text("isolate")?.to_owned());
            let held = self.get(&Key::isolate(&isolate)).await?;
            if held.is_none_or(|held| held.optional_number("gap_at") == Some(since)) {
                let since = Timestamp::from_millis(i64::try_from(since).unwrap_or(i64::MAX));
                gaps.push(Gap { isolate, since });
            }
        }
        Ok(gaps)
    }

    /// Adds to the counters of ingest.
    pub async fn add_ingest_counts(&self, counts: &BTreeMap<&'static str, u64>) -> Result<(), StoreError> {
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::ingest().attributes()))
            .expression_attribute_names("#schema", "schema")
            .expression_attribute_values(":schema", number(SCHEMA));
        let mut added = Vec::new();
        for (at, (name, count)) in counts.iter().enumerate() {
            added.push(format!("#n{at} :n{at}"));
            update = update
                .expression_attribute_names(format!("#n{at}"), *name)
                .expression_attribute_values(format!(":n{at}"), number(*count));
        }
        if added.is_empty() {
            return Ok(());
        }
        update.update_expression(format!("SET #schema = :schema ADD {}", added.join(", "))).send().await?;
        Ok(())
    }

    /// The numbers of an item that holds counters, by name.
    pub async fn counters(&self, key: &Key) -> Result<BTreeMap<String, u64>, StoreError> {
        Ok(self.get(key).await?.map(|item| item.numbers()).unwrap_or_default())
    }
}

/// The first item of the transaction is the mark; it exists.
fn is_duplicate(error: &TransactWriteItemsError) -> bool {
    match error {
        TransactWriteItemsError::TransactionCanceledException(cancelled) => cancelled
            .cancellation_reasons()
            .first()
            .is_some_and(|reason| reason.code() == Some("ConditionalCheckFailed")),
        _ => false,
    }
}
