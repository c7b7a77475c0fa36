//! The records of one stream, distributed over shards that end, split, expire and are left out of listings.

use serde_json::{Value, json};
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    ops::Range,
};

/// Hashes of partition keys lie below this number.
const HASHES: u64 = 1 << 32;

/// Number below the first sequence number, which has 21 digits as Dynoxide's have.
const BEFORE_FIRST: u128 = 100_000_000_000_000_000_000;

/// A record with its sequence number.
struct Entry {
    number: u128,
    record: Value,
}

/// A shard.
pub struct Shard {
    /// Name of the shard.
    pub id: String,
    /// True if new records may still come.
    pub is_open: bool,
    /// True if `DescribeStream` lists the shard.
    pub is_listed: bool,
    parent: Option<String>,
    /// Hashes of the partition keys whose records it takes.
    hashes: Range<u64>,
    /// Last sequence number of the stream when the shard began.
    begun: u128,
    /// Last sequence number of the stream when the shard ended, or now.
    ended: u128,
    entries: Vec<Entry>,
    /// Number of first records that have expired.
    trimmed: usize,
}

/// A place from which a shard is read, as `GetShardIterator` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The oldest record that is kept.
    TrimHorizon,
    /// The first record that comes after now.
    Latest,
    /// The record with this sequence number.
    At(u128),
    /// The record after that with this sequence number.
    After(u128),
}

impl Shard {
    /// Returns the index of the record at a place; `None` if the place has expired.
    pub fn index(&self, place: Place) -> Option<usize> {
        let from = match place {
            Place::TrimHorizon => return Some(self.trimmed),
            Place::Latest => return Some(self.entries.len()),
            Place::At(number) => number,
            Place::After(number) => number + 1,
        };
        let expired = self.trimmed.checked_sub(1).map_or(0, |last| self.entries[last].number);
        // The platform counts the last expired record as expired, although nothing after it is lost.
        let is_kept = match place {
            Place::After(number) | Place::At(number) => number > expired,
            Place::TrimHorizon | Place::Latest => true,
        };
        is_kept.then(|| self.entries.partition_point(|entry| entry.number < from))
    }

    /// Returns at most so many records from an index on; `None` if the record at the index has expired.
    pub fn page(&self, index: usize, most: usize) -> Option<Vec<Value>> {
        if index < self.trimmed {
            return None;
        }
        let end = self.entries.len().min(index + most);
        Some(self.entries[index..end].iter().map(|entry| entry.record.clone()).collect())
    }

    /// Returns all records, oldest first.
    pub fn records(&self) -> impl Iterator<Item = &Value> {
        self.entries.iter().map(|entry| &entry.record)
    }

    /// Returns true if there is nothing at an index, and never will be.
    pub fn is_end(&self, index: usize) -> bool {
        !self.is_open && index == self.entries.len()
    }

    /// Returns true if the platform knows the shard no longer.
    pub fn is_gone(&self) -> bool {
        !self.is_open && !self.is_listed && self.trimmed == self.entries.len()
    }

    /// Returns the shard as `DescribeStream` does.
    pub fn described(&self) -> Value {
        let mut range = json!({ "StartingSequenceNumber": (self.begun + 1).to_string() });
        if !self.is_open {
            range["EndingSequenceNumber"] = json!(self.ended.max(self.begun + 1).to_string());
        }
        let mut described = json!({ "ShardId": self.id, "SequenceNumberRange": range });
        if let Some(parent) = &self.parent {
            described["ParentShardId"] = json!(parent);
        }
        described
    }
}

/// A stream.
pub struct Stream {
    /// The shards in the order in which they began.
    pub shards: Vec<Shard>,
    /// Iterator at the end of the one shard that Dynoxide has; `None` before it was read.
    pub upstream: Option<String>,
    /// Last sequence number.
    last: u128,
}

impl Stream {
    /// Creates an empty stream of open shards.
    pub fn new(shards: usize) -> Self {
        let mut stream = Self { shards: Vec::new(), upstream: None, last: BEFORE_FIRST };
        stream.add(0..HASHES, shards, None);
        stream
    }

    /// Adds shards that divide a range of hashes.
    fn add(&mut self, hashes: Range<u64>, shards: usize, parent: Option<&str>) {
        let width = (hashes.end - hashes.start).div_ceil(shards as u64);
        for index in 0..shards as u64 {
            let start = (hashes.start + index * width).min(hashes.end);
            let number = self.shards.len();
            self.shards.push(Shard {
                id: format!("shardId-{number:020}-{:08x}", number.wrapping_mul(0x9e37_79b9) & 0xffff_ffff),
                is_open: true,
                is_listed: true,
                parent: parent.map(str::to_owned),
                hashes: start..(start + width).min(hashes.end),
                begun: self.last,
                ended: self.last,
                entries: Vec::new(),
                trimmed: 0,
            });
        }
    }

    /// Appends a record to the open shard that takes its partition key.
    pub fn append(&mut self, record: Value) {
        let number = record["dynamodb"]["SequenceNumber"].as_str().and_then(|number| number.parse().ok());
        let number: u128 = number.expect("a record has a sequence number");
        let key = &record["dynamodb"]["Keys"]["pk"];
        assert!(key.is_object(), "the partition key of every table is pk: {record:#}");
        let mut hasher = DefaultHasher::new();
        key.to_string().hash(&mut hasher);
        let hash = hasher.finish() % HASHES;
        let takes = |shard: &&mut Shard| shard.is_open && shard.hashes.contains(&hash);
        let shard = self.shards.iter_mut().find(takes).expect("open shards take every key");
        shard.entries.push(Entry { number, record });
        self.last = number;
    }

    /// Ends an open shard; two begin in its place.
    pub fn split(&mut self, index: usize) {
        let shard = &mut self.shards[index];
        shard.is_open = false;
        shard.ended = self.last;
        let (hashes, id) = (shard.hashes.clone(), shard.id.clone());
        self.add(hashes, 2, Some(&id));
    }

    /// Lets all records expire.
    pub fn trim(&mut self) {
        for shard in &mut self.shards {
            shard.trimmed = shard.entries.len();
        }
    }

    /// Returns a shard that the platform knows.
    pub fn shard(&self, id: &str) -> Option<&Shard> {
        self.shards.iter().find(|shard| shard.id == id && !shard.is_gone())
    }
}
