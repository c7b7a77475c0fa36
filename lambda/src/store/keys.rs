//! The keys of the single table. Configuration is one partition, so that one query reads all of it.

use aws_sdk_dynamodb::types::AttributeValue;
use cutover_core::Revision;
use std::collections::HashMap;

/// The attribute that holds the partition key.
pub const PARTITION: &str = "pk";
/// The attribute that holds the sort key.
pub const SORT: &str = "sk";
/// The attribute after whose time (seconds since 1970) DynamoDB removes an item.
pub const EXPIRES: &str = "expires_at";

/// The partition of the configuration and its head.
pub const CONFIG: &str = "CONFIG";
/// The partition of the audit log.
pub const AUDIT: &str = "AUDIT";
/// The partition of the tokens.
pub const TOKENS: &str = "TOKENS";

/// The partition of changes that wait for a second person.
pub const PENDING: &str = "PENDING";

/// The partition of what was measured: ledgers, the cursor, counters.
pub const METRICS: &str = "METRICS";
/// The partition of what canaries wait for.
pub const WAITING: &str = "WAITING";
/// The partition of notifications that are not delivered yet.
pub const OUTBOX: &str = "OUTBOX";
/// The partition of gaps: isolates that fell silent with something to tell.
pub const GAPS: &str = "GAPS";

/// Partitions that many isolates write to are divided into this many.
pub const SHARDS: u32 = 8;

/// What the sort key of a ledger begins with.
pub const LEDGER: &str = "LEDGER#";

/// Milliseconds of one partition of arrivals.
pub const MINUTE_MS: i64 = 60_000;

/// The partition of what arrived in a minute.
pub fn arrivals(minute: i64, shard: u32) -> String {
    format!("ARRIVALS#{minute}#{shard}")
}

/// The partition of isolates.
pub fn isolates(shard: u32) -> String {
    format!("ISOLATES#{shard}")
}

/// The partition of the records of a run.
pub fn records(run: &str) -> String {
    format!("RUN#{run}")
}

fn shard(isolate: &str) -> u32 {
    isolate.chars().next().and_then(|digit| digit.to_digit(16)).unwrap_or_default() % SHARDS
}

/// The key of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The partition key.
    pub partition: String,
    /// The sort key.
    pub sort: String,
}

impl Key {
    fn new(partition: &str, sort: impl Into<String>) -> Self {
        Self { partition: partition.to_owned(), sort: sort.into() }
    }

    /// The head: the revision, what of it is published, and the emergency.
    pub fn head() -> Self {
        Self::new(CONFIG, "HEAD")
    }

    /// An object of the configuration.
    pub fn object(section: &str, name: &str) -> Self {
        Self::new(CONFIG, format!("{section}#{name}"))
    }

    /// The audit record of a revision. Padded, so that the order of texts is that of numbers.
    pub fn audit(revision: Revision) -> Self {
        Self::new(AUDIT, format!("{:012}", revision.0))
    }

    /// A token, by the hash of its secret.
    pub fn token(hash: &str) -> Self {
        Self::new(TOKENS, hash)
    }

    /// A change that waits for a second person.
    pub fn pending(id: &str) -> Self {
        Self::new(PENDING, id)
    }

    /// The answer that was given under an idempotency key.
    pub fn idempotency(hash: &str) -> Self {
        Self::new(&format!("IDEMPOTENCY#{hash}"), "ANSWER")
    }

    /// The mark that a batch was stored.
    pub fn batch(isolate: &str, sequence: u64) -> Self {
        Self::new(&format!("BATCH#{isolate}"), format!("{sequence:016}"))
    }

    /// A batch in the order of arrival.
    pub fn arrival(at: i64, isolate: &str, sequence: u64) -> Self {
        let partition = arrivals(at.div_euclid(MINUTE_MS), shard(isolate));
        Self::new(&partition, format!("{at:015}#{isolate}#{sequence:016}"))
    }

    /// What is known of an isolate.
    pub fn isolate(isolate: &str) -> Self {
        Self::new(&isolates(shard(isolate)), isolate)
    }

    /// The gap that a lost isolate left.
    pub fn gap(at: i64, isolate: &str) -> Self {
        Self::new(GAPS, format!("{at:015}#{isolate}"))
    }

    /// How far arrivals have been taken into the ledgers.
    pub fn cursor() -> Self {
        Self::new(METRICS, "CURSOR")
    }

    /// When each scheduled function last came to its end.
    pub fn ticks() -> Self {
        Self::new(METRICS, "TICKS")
    }

    /// Counters of ingest.
    pub fn ingest() -> Self {
        Self::new(METRICS, "INGEST")
    }

    /// Counters of what happened to a flag's canary.
    pub fn events(flag: &str) -> Self {
        Self::new(METRICS, format!("EVENTS#{flag}"))
    }

    /// The ledger of a flag; the empty name is for requests that no flag decided.
    pub fn ledger(flag: &str) -> Self {
        Self::new(METRICS, format!("{LEDGER}{flag}"))
    }

    /// What a flag's canary waits for.
    pub fn waiting(flag: &str) -> Self {
        Self::new(WAITING, flag)
    }

    /// A record of a run. `order` tells apart what was recorded in one millisecond.
    pub fn record(run: &str, at: i64, order: &str) -> Self {
        Self::new(&records(run), format!("{at:015}#{order}"))
    }

    /// A notification that is not delivered yet.
    pub fn notification(at: i64, id: &str) -> Self {
        Self::new(OUTBOX, format!("{at:015}#{id}"))
    }

    /// The two attributes.
    pub fn attributes(&self) -> HashMap<String, AttributeValue> {
        HashMap::from([
            (PARTITION.to_owned(), AttributeValue::S(self.partition.clone())),
            (SORT.to_owned(), AttributeValue::S(self.sort.clone())),
        ])
    }
}
