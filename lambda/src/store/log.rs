//! The log of batches: the stream of their table, shard by shard.

use crate::store::{
    arrivals::{AT, DATA},
    error::StoreError,
    table::Store,
};
use aws_sdk_dynamodbstreams::{
    operation::{get_records::GetRecordsError, get_shard_iterator::GetShardIteratorError},
    types::{OperationType, Record, ShardIteratorType},
};
use cutover_core::measurement::log::{Position, Progress};
use std::collections::BTreeMap;

/// A batch as it was stored.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Position in its shard.
    pub position: Position,
    /// Time of arrival, in milliseconds since 1970.
    pub at: i64,
    /// The packed batch.
    pub packed: Vec<u8>,
}

/// A page of a shard.
#[derive(Debug, Default)]
pub struct Page {
    /// The batches of the page, in their order.
    pub arrivals: Vec<Arrival>,
    /// Position of its last record, of whatever kind.
    pub last: Option<Position>,
    /// Iterator of the next page; `None` at the end of a closed shard.
    pub next: Option<String>,
}

/// Failure to read a page.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The iterator is too old. A new one is needed, from the same position.
    #[error("the iterator has expired")]
    Expired,
    /// The records behind the position have expired unread.
    #[error("records of the log have expired")]
    Trimmed,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Returns the shards of a stream, those that have ended among them as long as they have records, each with the shard that
    /// it follows; `None` for the first ones, and those whose predecessor is forgotten.
    ///
    /// # Errors
    ///
    /// Fails if the stream cannot be described.
    pub async fn shards(&self, stream: &str) -> Result<BTreeMap<String, Option<String>>, StoreError> {
        let mut shards = BTreeMap::new();
        let mut after: Option<String> = None;
        loop {
            let request =
                self.streams.describe_stream().stream_arn(stream).set_exclusive_start_shard_id(after);
            let described = request.send().await?;
            let Some(description) = described.stream_description() else { return Ok(shards) };
            shards.extend(description.shards().iter().filter_map(|shard| {
                Some((shard.shard_id()?.to_owned(), shard.parent_shard_id().map(str::to_owned)))
            }));
            match description.last_evaluated_shard_id() {
                Some(last) => after = Some(last.to_owned()),
                None => return Ok(shards),
            }
        }
    }

    /// Returns an iterator behind the progress in a shard; from its oldest record on without one.
    ///
    /// # Errors
    ///
    /// Fails with [`PageError::Trimmed`] if the position has expired, and if the stream cannot be read.
    pub async fn iterator(
        &self,
        stream: &str,
        shard: &str,
        progress: Option<&Progress>,
    ) -> Result<Option<String>, PageError> {
        let request = self.streams.get_shard_iterator().stream_arn(stream).shard_id(shard);
        let request = match progress {
            None => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
            Some(Progress::Through(position)) => request
                .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
                .sequence_number(position.as_str()),
            Some(Progress::End(_)) => return Ok(None),
        };
        match request.send().await {
            Ok(found) => Ok(found.shard_iterator().map(str::to_owned)),
            Err(error) => match error.as_service_error() {
                Some(
                    GetShardIteratorError::TrimmedDataAccessException(_)
                    | GetShardIteratorError::ResourceNotFoundException(_),
                ) => Err(PageError::Trimmed),
                _ => Err(PageError::Store(error.into())),
            },
        }
    }

    /// Reads a page.
    ///
    /// # Errors
    ///
    /// Fails if the iterator or the records have expired, or if the stream cannot be read.
    pub async fn page(&self, iterator: &str) -> Result<Page, PageError> {
        let read = match self.streams.get_records().shard_iterator(iterator).send().await {
            Ok(read) => read,
            Err(error) => {
                return Err(match error.as_service_error() {
                    Some(GetRecordsError::ExpiredIteratorException(_)) => PageError::Expired,
                    Some(
                        GetRecordsError::TrimmedDataAccessException(_)
                        | GetRecordsError::ResourceNotFoundException(_),
                    ) => PageError::Trimmed,
                    _ => PageError::Store(error.into()),
                });
            }
        };
        let mut numbers = read.records().iter().filter_map(|record| record.dynamodb()?.sequence_number());
        let last = numbers.next_back().map(Position::new);
        let arrivals = read.records().iter().filter_map(arrival).collect();
        Ok(Page { arrivals, last, next: read.next_shard_iterator().map(str::to_owned) })
    }
}

/// Returns the batch of a record; `None` for the removal of one that has expired.
fn arrival(record: &Record) -> Option<Arrival> {
    let change = record.dynamodb().filter(|_| record.event_name() == Some(&OperationType::Insert))?;
    let item = change.new_image()?;
    Some(Arrival {
        position: Position::new(change.sequence_number()?),
        at: item.get(AT)?.as_n().ok()?.parse().ok()?,
        packed: item.get(DATA)?.as_b().ok()?.as_ref().to_vec(),
    })
}
