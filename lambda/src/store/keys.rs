//! The keys of the single table. Configuration is one partition, so that one query reads all of it.

use aws_sdk_dynamodb::types::AttributeValue;
use cutover_core::{Epoch, Revision};
use std::collections::HashMap;

/// Attribute of the partition key.
pub const PARTITION: &str = "pk";

/// Attribute of the sort key.
pub const SORT: &str = "sk";

/// Time-to-live attribute: DynamoDB removes an item after this time, in seconds since 1970.
pub const EXPIRES: &str = "expires_at";

/// Attribute of the epoch in which an item was written.
pub const EPOCH: &str = "epoch";

/// Attribute of the head with the identifier of the deployment.
pub const DEPLOYMENT: &str = "deployment";

/// Partition of the configuration and its head.
pub const CONFIG: &str = "CONFIG";

/// Prefix of the sort keys of the last phases of deleted experiments. Unlike the key of an object it has no `#`: functions of
/// earlier versions pass over such items.
pub const LAST_PHASE: &str = "LAST_PHASE:";

/// Partition of the audit log.
pub const AUDIT: &str = "AUDIT";

/// Partition of the tokens.
pub const TOKENS: &str = "TOKENS";

/// Partition of the names that tokens have or had.
pub const TOKEN_NAMES: &str = "TOKEN_NAMES";

/// Partition of changes that are waiting for approval.
pub const PENDING: &str = "PENDING";

/// Partition of the counters of canaries, and of the times of scheduled functions.
pub const METRICS: &str = "METRICS";

/// Partition of evaluation: its lease, the cursor, the interval of reports.
pub const FOLD: &str = "FOLD";

/// Partition of the health of origins, which answers to isolates read and write.
pub const HEALTH: &str = "HEALTH";

/// Partition of the reasons that canaries are waiting for.
pub const WAITING: &str = "WAITING";

/// Partition of undelivered notifications.
pub const OUTBOX: &str = "OUTBOX";

/// Prefix of the partitions of ledgers.
pub const LEDGER: &str = "LEDGER#";

/// Sort key of the head of the configuration, and of that of a ledger.
pub const HEAD: &str = "HEAD";

/// Prefix of the sort keys of parts of records.
pub const RECORD_PART: &str = "PART#";

/// Prefix of the sort keys of the event counters of canaries.
pub const EVENTS: &str = "EVENTS#";

/// Returns the partition of the ledger of a flag, with the evidence of its newest run; the empty name is for requests that no
/// flag decided. A partition takes 1 000 write units a second, so that each ledger has one of its own.
pub fn ledger(flag: &str) -> String {
    format!("{LEDGER}{flag}")
}

/// Returns the partition of the records of a run.
pub fn records(run: &str) -> String {
    format!("RUN#{run}")
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

    /// Key of the head: the current revision and the emergency.
    pub fn head() -> Self {
        Self::new(CONFIG, HEAD)
    }

    /// Key of the note of the published revision. It is an item of its own, because DynamoDB refuses a single write to an
    /// item that a transaction is at work on, and every change is one on the head.
    pub fn published() -> Self {
        Self::new(CONFIG, "PUBLISHED")
    }

    /// Key of an object of the configuration.
    pub fn object(section: &str, name: &str) -> Self {
        Self::new(CONFIG, format!("{section}#{name}"))
    }

    /// Key of the last phase of a deleted experiment.
    pub fn last_phase(experiment: &str) -> Self {
        Self::new(CONFIG, format!("{LAST_PHASE}{experiment}"))
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

    /// Key of a name of tokens. Names that differ only in case or in spaces have the same key, because
    /// readers of the audit log could confuse them.
    pub fn token_name(name: &str) -> Self {
        let words: Vec<&str> = name.split_whitespace().collect();
        Self::new(TOKEN_NAMES, words.join(" ").to_lowercase())
    }

    /// Key of a pending change.
    pub fn pending(id: &str) -> Self {
        Self::new(PENDING, id)
    }

    /// Key of the response that was given under an idempotency key.
    pub fn idempotency(hash: &str, epoch: Epoch) -> Self {
        let epoch = if epoch.is_first() { String::new() } else { format!("#{epoch}") };
        Self::new(&format!("IDEMPOTENCY#{hash}{epoch}"), "ANSWER")
    }

    /// Key of the cursor: the positions in the log up to which ledgers hold all batches.
    pub fn cursor() -> Self {
        Self::new(FOLD, "CURSOR")
    }

    /// Key of the lease of evaluation.
    pub fn lease() -> Self {
        Self::new(FOLD, "LEASE")
    }

    /// Key of the interval between two reports of an isolate.
    pub fn pace() -> Self {
        Self::new(FOLD, "PACE")
    }

    /// Key of the reports of isolates about origins that fail.
    pub fn health() -> Self {
        Self::new(HEALTH, "REPORTS")
    }

    /// Key of the names of the ledgers.
    pub fn ledgers() -> Self {
        Self::new(FOLD, "LEDGERS")
    }

    /// Key of a part of the roll of isolates, each in a partition of its own.
    pub fn roll(part: usize) -> Self {
        Self::new(&format!("ROLL#{part:02}"), "PART")
    }

    /// Key of the times at which each scheduled function last completed.
    pub fn ticks() -> Self {
        Self::new(METRICS, "TICKS")
    }

    /// Key of the event counters of a flag's canary.
    pub fn events(flag: &str) -> Self {
        Self::new(METRICS, format!("{EVENTS}{flag}"))
    }

    /// Key of the head of a flag's ledger; the empty name is for requests that no flag decided.
    pub fn ledger(flag: &str) -> Self {
        Self::new(&ledger(flag), HEAD)
    }

    /// Key of a part of a flag's ledger, by its name.
    pub fn ledger_part(flag: &str, part: &str) -> Self {
        Self::new(&ledger(flag), part)
    }

    /// Key of a part of the evidence of a flag's newest run, from 0.
    pub fn evidence(flag: &str, part: usize) -> Self {
        Self::new(&ledger(flag), format!("EVIDENCE#{part:03}"))
    }

    /// Key of the reason that a flag's canary is waiting for.
    pub fn waiting(flag: &str) -> Self {
        Self::new(WAITING, flag)
    }

    /// Key of a record of a run. `order` distinguishes records of the same millisecond.
    pub fn record(run: &str, at: i64, order: &str) -> Self {
        Self::new(&records(run), format!("{at:015}#{order}"))
    }

    /// Key of a part, from 0, of a record that is too large for one item. Parts sort behind all records.
    pub fn record_part(run: &str, at: i64, order: &str, part: usize) -> Self {
        Self::new(&records(run), format!("{RECORD_PART}{at:015}#{order}#{part:03}"))
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
