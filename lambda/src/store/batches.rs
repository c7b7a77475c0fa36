//! Batches as isolates send them, each stored once and in order of arrival, and the last known
//! state of every isolate.

use crate::store::{
    commit::{CommitError, build, is_conflict, number},
    error::StoreError,
    item::{Item, NewItem, SCHEMA},
    keys,
    keys::Key,
    table::Store,
};
use aws_sdk_dynamodb::{
    operation::transact_write_items::TransactWriteItemsError,
    types::{TransactWriteItem, Update},
};
use cutover_core::measurement::batch::Batch;
use std::collections::BTreeMap;

/// Retention of batches and isolates, in seconds. A batch resent later would not be recognised as a
/// duplicate, but its signature has long expired by then.
const KEPT_SECONDS: u64 = 2 * 24 * 60 * 60;

/// Retention of batches, in milliseconds, without a minute in which they may be read.
const READABLE_MS: i64 = KEPT_SECONDS as i64 * 1_000 - 60_000;

/// Retention of gaps, in seconds.
const GAPS_KEPT_SECONDS: u64 = 30 * 24 * 60 * 60;

/// Number of arrival partitions that are read concurrently.
const MAX_READS: usize = 16;

/// Result of storing a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchStatus {
    /// The batch was new and is now stored.
    New,
    /// The batch had been stored before.
    Duplicate,
}

/// A batch and its time of arrival.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Time of arrival, in milliseconds since 1970.
    pub at: i64,
    /// The batch itself.
    pub batch: Batch,
}

/// Summary of the isolates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IsolateCounts {
    /// Isolates that are expected to report again.
    pub active: u64,
    /// Age of the oldest snapshot in use by an active isolate, in milliseconds.
    pub oldest_snapshot_ms: Option<u64>,
    /// Batches whose sequence numbers were skipped and have not arrived yet.
    pub missing_batches: u64,
}

/// Returns the arrival time after which no batch has expired at `now`. Both are in milliseconds since 1970.
pub fn oldest_kept(now: i64) -> i64 {
    now.saturating_sub(READABLE_MS)
}

fn expiry(at: i64, kept: u64) -> u64 {
    u64::try_from(at / 1_000).unwrap_or_default() + kept
}

fn unsigned(at: i64) -> u64 {
    u64::try_from(at).unwrap_or_default()
}

impl Store {
    /// Stores a batch unless it has been stored before.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be written, or if other writers keep conflicting with the
    /// transaction.
    pub async fn store_batch(&self, batch: &Batch, body: &str, at: i64) -> Result<BatchStatus, StoreError> {
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
                Ok(_) => return Ok(BatchStatus::New),
                Err(error) if error.as_service_error().is_some_and(is_duplicate) => {
                    return Ok(BatchStatus::Duplicate);
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

    /// Records that an isolate asked for the current state and is expected to report later.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be written.
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

    /// Returns the batches that arrived in `(after, until]`, in order of arrival.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or an item cannot be decoded.
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

    /// Counts the isolates.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or an item cannot be decoded.
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

    /// Finds isolates that were expected to report and have been silent since `silent_since`.
    /// Records a gap for each, once, and returns their number.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or written.
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
                // The isolate has reported meanwhile, or another tick was faster.
                Err(CommitError::Conflict) => {}
                Err(CommitError::Store(error)) => return Err(error),
            }
        }
        if lost > 0 {
            self.add_ingest_counts(&BTreeMap::from([("isolates_lost", lost)])).await?;
        }
        Ok(lost)
    }

    /// Adds to the counters of ingest.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be written.
    pub async fn add_ingest_counts(&self, counts: &BTreeMap<&'static str, u64>) -> Result<(), StoreError> {
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::ingest().attributes()))
            .expression_attribute_names("#schema", "schema")
            .expression_attribute_values(":schema", number(SCHEMA));
        let mut added = Vec::new();
        for (index, (name, count)) in counts.iter().enumerate() {
            added.push(format!("#n{index} :n{index}"));
            update = update
                .expression_attribute_names(format!("#n{index}"), *name)
                .expression_attribute_values(format!(":n{index}"), number(*count));
        }
        if added.is_empty() {
            return Ok(());
        }
        update.update_expression(format!("SET #schema = :schema ADD {}", added.join(", "))).send().await?;
        Ok(())
    }

    /// Returns the counters stored in an item, by name.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or an item cannot be decoded.
    pub async fn counters(&self, key: &Key) -> Result<BTreeMap<String, u64>, StoreError> {
        Ok(self.get(key).await?.map(|item| item.numbers()).unwrap_or_default())
    }
}

/// Returns true if the transaction failed because its first item, the mark of the batch, exists.
fn is_duplicate(error: &TransactWriteItemsError) -> bool {
    match error {
        TransactWriteItemsError::TransactionCanceledException(cancelled) => cancelled
            .cancellation_reasons()
            .first()
            .is_some_and(|reason| reason.code() == Some("ConditionalCheckFailed")),
        _ => false,
    }
}
