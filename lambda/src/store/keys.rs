//! The keys of the single table. Configuration is one partition, so that one query reads all of it.

use aws_sdk_dynamodb::types::AttributeValue;
use cutover_core::Revision;
use std::collections::HashMap;

/// Attribute of the partition key.
pub const PARTITION: &str = "pk";

/// Attribute of the sort key.
pub const SORT: &str = "sk";

/// Time-to-live attribute: DynamoDB removes an item after this time, in seconds since 1970.
pub const EXPIRES: &str = "expires_at";

/// Partition of the configuration and its head.
pub const CONFIG: &str = "CONFIG";

/// Partition of the audit log.
pub const AUDIT: &str = "AUDIT";

/// Partition of the tokens.
pub const TOKENS: &str = "TOKENS";

/// Partition of changes that are waiting for approval.
pub const PENDING: &str = "PENDING";

/// Partition of measurements: ledgers, the cursor, counters.
pub const METRICS: &str = "METRICS";

/// Partition of the reasons that canaries are waiting for.
pub const WAITING: &str = "WAITING";

/// Partition of undelivered notifications.
pub const OUTBOX: &str = "OUTBOX";

/// Partition of gaps: isolates that fell silent before their final report.
pub const GAPS: &str = "GAPS";

/// Number of shards of the partitions that many isolates write to.
pub const SHARDS: u32 = 8;

/// Prefix of the sort keys of ledgers.
pub const LEDGER: &str = "LEDGER#";

/// Prefix of the sort keys of the event counters of canaries.
pub const EVENTS: &str = "EVENTS#";

/// Time covered by one partition of arrivals, in milliseconds.
pub const MINUTE_MS: i64 = 60_000;

/// Returns the partition of the batches that arrived in a minute.
pub fn arrivals(minute: i64, shard: u32) -> String {
    format!("ARRIVALS#{minute}#{shard}")
}

/// Returns the partition of a shard of the isolates.
pub fn isolates(shard: u32) -> String {
    format!("ISOLATES#{shard}")
}

/// Returns the partition of the records of a run.
pub fn records(run: &str) -> String {
    format!("RUN#{run}")
}

fn shard(isolate: &str) -> u32 {
    isolate.chars().next().and_then(|digit| digit.to_digit(16)).unwrap_or_default() % SHARDS
}

/// Primary key of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Value of the partition key.
    pub partition: String,
    /// Value of the sort key.
    pub sort: String,
}

impl Key {
    fn new(partition: &str, sort: impl Into<String>) -> Self {
        Self { partition: partition.to_owned(), sort: sort.into() }
    }

    /// Key of the head: the current revision, the published revision, and the emergency.
    pub fn head() -> Self {
        Self::new(CONFIG, "HEAD")
    }

    /// Key of an object of the configuration.
    pub fn object(section: &str, name: &str) -> Self {
        Self::new(CONFIG, format!("{section}#{name}"))
    }

    /// Key of the audit record of a revision, zero-padded so that string order is numeric order.
    pub fn audit(revision: Revision) -> Self {
        Self::new(AUDIT, format!("{:012}", revision.0))
    }

    /// Key of an audit record that created no revision, by its position in the log. It sorts behind the
    /// record of the revision at which it was written.
    pub fn audit_note(revision: Revision, position: u64) -> Self {
        Self::new(AUDIT, format!("{:012}#{position:012}", revision.0))
    }

    /// Key of a part of changes that are too large for their audit record, by the digest of the whole.
    pub fn audit_changes(digest: &str, part: u64) -> Self {
        Self::new(AUDIT, format!("CHANGES#{digest}#{part:03}"))
    }

    /// Key of a token, by the hash of its secret.
    pub fn token(hash: &str) -> Self {
        Self::new(TOKENS, hash)
    }

    /// Key of a pending change.
    pub fn pending(id: &str) -> Self {
        Self::new(PENDING, id)
    }

    /// Key of the response that was given under an idempotency key.
    pub fn idempotency(hash: &str) -> Self {
        Self::new(&format!("IDEMPOTENCY#{hash}"), "ANSWER")
    }

    /// Key of the mark that a batch has been stored.
    pub fn batch(isolate: &str, sequence: u64) -> Self {
        Self::new(&format!("BATCH#{isolate}"), format!("{sequence:016}"))
    }

    /// Key of a batch, ordered by time of arrival (milliseconds since 1970).
    pub fn arrival(at: i64, isolate: &str, sequence: u64) -> Self {
        let partition = arrivals(at.div_euclid(MINUTE_MS), shard(isolate));
        Self::new(&partition, format!("{at:015}#{isolate}#{sequence:016}"))
    }

    /// Key of the last known state of an isolate.
    pub fn isolate(isolate: &str) -> Self {
        Self::new(&isolates(shard(isolate)), isolate)
    }

    /// Key of the gap that a lost isolate left.
    pub fn gap(at: i64, isolate: &str) -> Self {
        Self::new(GAPS, format!("{at:015}#{isolate}"))
    }

    /// Key of the cursor: the time up to which arrivals have been folded into the ledgers.
    pub fn cursor() -> Self {
        Self::new(METRICS, "CURSOR")
    }

    /// Key of the times at which each scheduled function last completed.
    pub fn ticks() -> Self {
        Self::new(METRICS, "TICKS")
    }

    /// Key of the counters of ingest.
    pub fn ingest() -> Self {
        Self::new(METRICS, "INGEST")
    }

    /// Key of the event counters of a flag's canary.
    pub fn events(flag: &str) -> Self {
        Self::new(METRICS, format!("{EVENTS}{flag}"))
    }

    /// Key of the ledger of a flag; the empty name is for requests that no flag decided.
    pub fn ledger(flag: &str) -> Self {
        Self::new(METRICS, format!("{LEDGER}{flag}"))
    }

    /// Key of a part of the evidence of a flag's newest run, from 0.
    pub fn evidence(flag: &str, part: usize) -> Self {
        Self::new(METRICS, format!("EVIDENCE#{flag}#{part:03}"))
    }

    /// Key of the reason that a flag's canary is waiting for.
    pub fn waiting(flag: &str) -> Self {
        Self::new(WAITING, flag)
    }

    /// Key of a record of a run. `order` distinguishes records of the same millisecond.
    pub fn record(run: &str, at: i64, order: &str) -> Self {
        Self::new(&records(run), format!("{at:015}#{order}"))
    }

    /// Key of an undelivered notification.
    pub fn notification(at: i64, id: &str) -> Self {
        Self::new(OUTBOX, format!("{at:015}#{id}"))
    }

    /// Returns the key as its two attributes.
    pub fn attributes(&self) -> HashMap<String, AttributeValue> {
        HashMap::from([
            (PARTITION.to_owned(), AttributeValue::S(self.partition.clone())),
            (SORT.to_owned(), AttributeValue::S(self.sort.clone())),
        ])
    }
}
