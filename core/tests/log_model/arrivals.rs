//! The table of batches and its stream of shards.

use crate::setup::FLAGS;
use cutover_core::{
    measurement::log::{Position, Positions, Progress},
    statistics::split_mix::mix,
};
use std::collections::BTreeSet;

/// Number of isolates. Batch `n` is the batch `n / ISOLATES` of isolate `n % ISOLATES`.
pub const ISOLATES: u32 = 5;

/// Sequence number of a shard's first record. The numbers soon have more digits.
const FIRST: usize = 8;

/// A number of batches with their checksum: equal tallies hold the same batches, each as often.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Tally {
    /// Number of batches.
    pub batches: u64,
    sum: u64,
}

impl Tally {
    /// Adds another tally.
    pub fn add(&mut self, other: Self) {
        self.batches += other.batches;
        self.sum = self.sum.wrapping_add(other.sum);
    }
}

/// Returns the counts of a batch for a flag. Two batches of three have some.
pub fn counts(batch: u32, flag: usize) -> Option<Tally> {
    let flag = flag as u64;
    let batch = u64::from(batch);
    let has_counts = (batch + flag) % 3 != 2;
    has_counts.then(|| Tally { batches: 1, sum: mix(batch * FLAGS.len() as u64 + flag + 1) })
}

/// A shard of the stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Shard {
    pub name: String,
    pub is_open: bool,
    pub is_listed: bool,
    /// Number of first records that have expired.
    pub trimmed: usize,
    records: Vec<u32>,
    /// Counts of the first `n` records, by flag.
    sums: Vec<[Tally; FLAGS.len()]>,
}

impl Shard {
    fn new(index: usize) -> Self {
        Self {
            name: format!("shard-{index}"),
            is_open: true,
            is_listed: true,
            trimmed: 0,
            records: Vec::new(),
            sums: vec![<[Tally; FLAGS.len()]>::default()],
        }
    }

    fn append(&mut self, batch: u32) {
        let mut sums = self.sums[self.records.len()];
        for (flag, sum) in sums.iter_mut().enumerate() {
            sum.add(counts(batch, flag).unwrap_or_default());
        }
        self.records.push(batch);
        self.sums.push(sums);
    }

    /// Returns the number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Returns the batch of a record.
    pub fn batch(&self, index: usize) -> u32 {
        self.records[index]
    }

    /// Returns the position of a record.
    pub fn position(index: usize) -> Position {
        Position::new(&(FIRST + index).to_string())
    }

    /// Returns the number of first records that lie before positions, or have expired.
    pub fn held(&self, positions: &Positions) -> usize {
        let held = match positions.of(&self.name) {
            None => 0,
            Some(Progress::Through(position)) => position.as_str().parse::<usize>().unwrap() + 1 - FIRST,
            Some(Progress::End(_)) => self.len(),
        };
        held.max(self.trimmed)
    }

    /// Returns the progress of a reader that read the records of a range.
    pub fn progress(&self, from: usize, to: usize, now: i64) -> Option<Progress> {
        if !self.is_open && to == self.len() {
            return Some(Progress::End(now));
        }
        (to > from).then(|| Progress::Through(Self::position(to - 1)))
    }
}

/// The table of batches and its stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Log {
    pub shards: Vec<Shard>,
    stored: BTreeSet<u32>,
}

impl Log {
    /// Creates an empty table whose stream has one shard.
    pub fn new() -> Self {
        Self { shards: vec![Shard::new(0)], stored: BTreeSet::new() }
    }

    /// Stores a batch on condition that it is not stored. A new item is one record in a shard.
    pub fn put(&mut self, batch: u32) {
        if self.stored.insert(batch) {
            let mut open: Vec<&mut Shard> = self.shards.iter_mut().filter(|shard| shard.is_open).collect();
            let index = (batch % ISOLATES) as usize % open.len();
            open[index].append(batch);
        }
    }

    /// Returns the number of stored batches.
    pub fn stored(&self) -> usize {
        self.stored.len()
    }

    /// Returns true if a batch is stored.
    pub fn has(&self, batch: u32) -> bool {
        self.stored.contains(&batch)
    }

    /// Ends an open shard; others begin in its place.
    pub fn split(&mut self, index: usize, children: usize) {
        self.shards[index].is_open = false;
        for _ in 0..children {
            self.shards.push(Shard::new(self.shards.len()));
        }
    }

    /// Returns the names of the listed shards.
    pub fn listed(&self) -> BTreeSet<String> {
        self.shards.iter().filter(|shard| shard.is_listed).map(|shard| shard.name.clone()).collect()
    }

    /// Returns the counts of a flag in the first records of every shard, as many as the function says.
    pub fn tally(&self, flag: usize, records: impl Fn(&Shard) -> usize) -> Tally {
        let mut tally = Tally::default();
        for shard in &self.shards {
            tally.add(shard.sums[records(shard)][flag]);
        }
        tally
    }
}
