//! The size of a fleet at which each limit of the platforms is reached, at the same 10 000 requests a second in all.

use crate::cost::{
    bill::{EVALUATION_MB, HEADS_PER_SECOND, Load, SPARE},
    units::FleetUnits,
};

/// Concurrent executions of an account in a region, before it asks for more.
const ACCOUNT_CONCURRENCY: f64 = 1_000.0;

/// Requests in a second for each concurrent execution, of all functions and of a function URL.
const REQUESTS_PER_CONCURRENCY: f64 = 10.0;

/// Read units that a partition of DynamoDB gives in a second.
const PARTITION_READS: f64 = 3_000.0;

/// Write units that a partition of DynamoDB gives in a second.
const PARTITION_WRITES: f64 = 1_000.0;

/// Partitions of a new table on demand.
const FIRST_PARTITIONS: f64 = 4.0;

/// Write units in a second that an account's table has before it asks for more.
const TABLE_WRITES: f64 = 40_000.0;

/// Resident memory of an idle process of evaluation, in MB. The rest of the peak grows with the fleet.
const IDLE_MB: f64 = 20.0;

/// Seconds for which a pass of evaluation reads.
const READING_SECONDS: f64 = 20.0;

/// Records that a shard of the stream gives in a second: five calls, each of 1 000 at most.
const SHARD_RECORDS: f64 = 5_000.0;

/// A limit, and the fleet that reaches it.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// Description of the limit.
    pub name: &'static str,
    /// Value of the limit.
    pub value: String,
    /// Number of isolates that reach it, by the rates of the largest fleet.
    pub isolates: f64,
    /// Remedy when it is reached.
    pub remedy: &'static str,
}

/// Returns the limits, the nearest one first. The rates are those of a large fleet, whose interval is the longest.
pub fn limits(fleet: &FleetUnits) -> Vec<Limit> {
    let size = fleet.isolates as f64;
    let (questions, batches) = (Load::of_questions(fleet), Load::of_batches(fleet));
    let reached = |used: f64, limit: f64| if used > 0.0 { size * limit / used } else { f64::INFINITY };
    let exchanges = questions.rate + batches.rate;
    let requests = ACCOUNT_CONCURRENCY * REQUESTS_PER_CONCURRENCY;
    // Every instance that is awake reads the head.
    let awake = (questions.busy + batches.busy) * SPARE;
    let heads = awake * HEADS_PER_SECOND * fleet.head_reads / 2.0;
    let written = batches.rate * fleet.batch_writes;
    let evaluation = &fleet.evaluation;
    let read_in_time = evaluation.seconds / (evaluation.batches.max(1) as f64) * batches.rate * 60.0;
    let mut limits = vec![
        Limit {
            name: "Lambda: requests a second of an account with 1 000 concurrent executions",
            value: format!("{requests:.0} a second"),
            isolates: reached(exchanges, requests),
            remedy: "ask AWS for more; 10 a second come with each",
        },
        Limit {
            name: "Lambda: concurrent executions",
            value: format!("{ACCOUNT_CONCURRENCY:.0}"),
            isolates: reached(questions.busy + batches.busy, ACCOUNT_CONCURRENCY),
            remedy: "ask AWS for more",
        },
        Limit {
            name: "DynamoDB: reads of the head, one item in one partition",
            value: format!("{PARTITION_READS:.0} units a second"),
            isolates: reached(heads, PARTITION_READS),
            remedy: "a head that answers for longer, which slows the kill switch",
        },
        Limit {
            name: "DynamoDB: writes of batches to a new table",
            value: format!("{:.0} units a second", FIRST_PARTITIONS * PARTITION_WRITES),
            isolates: reached(written, FIRST_PARTITIONS * PARTITION_WRITES),
            remedy: "none needed: the table splits by itself, warm throughput does it beforehand",
        },
        Limit {
            name: "DynamoDB: writes to a table by the default quota",
            value: format!("{TABLE_WRITES:.0} units a second"),
            isolates: reached(written, TABLE_WRITES),
            remedy: "ask AWS for more",
        },
        Limit {
            name: "DynamoDB: records of the four shards of a new stream, 5 calls of 1 000 a second",
            value: format!("{:.0} a second", FIRST_PARTITIONS * SHARD_RECORDS),
            isolates: reached(batches.rate, FIRST_PARTITIONS * SHARD_RECORDS),
            remedy: "none needed: a shard takes what its partition takes, and splits with it",
        },
        Limit {
            name: "Evaluation: reading a minute's batches in a pass",
            value: format!("{READING_SECONDS:.0} s"),
            isolates: reached(read_in_time, READING_SECONDS),
            remedy: "a longer interval; the next pass goes on, so decisions come later",
        },
        Limit {
            name: "Evaluation: memory",
            value: format!("{EVALUATION_MB:.0} MB"),
            isolates: reached((evaluation.peak_mb - IDLE_MB).max(1.0), EVALUATION_MB - IDLE_MB),
            remedy: "memory_mb in the variables",
        },
    ];
    limits.sort_by(|one, other| one.isolates.total_cmp(&other.isolates));
    limits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::units::{EvaluationUnits, ExchangeUnits};

    #[test]
    fn a_limit_is_reached_where_its_use_is_the_limit() {
        let exchange = ExchangeUnits { processor_ms: 0.1, ..ExchangeUnits::default() };
        let evaluation =
            EvaluationUnits { batches: 30_000, seconds: 10.0, peak_mb: 66.0, ..EvaluationUnits::default() };
        let fleet = FleetUnits {
            isolates: 30_000,
            interval_ms: 60_000,
            batch: exchange,
            batch_writes: 1.0,
            question: exchange,
            head_reads: 2.0,
            evaluation,
            ..FleetUnits::default()
        };
        let limits = limits(&fleet);
        let of =
            |name: &str| limits.iter().find(|limit| limit.name.contains(name)).map(|limit| limit.isolates);
        // 555.6 batches a second at 30 000 isolates.
        assert!((of("new table").unwrap() / 216_000.0 - 1.0).abs() < 1e-9);
        // 46 MB above an idle process.
        assert!((of("memory").unwrap() / 320_869.6 - 1.0).abs() < 1e-6);
        // 33 333 batches a minute take 11.1 s.
        assert!((of("in a pass").unwrap() / 54_000.0 - 1.0).abs() < 1e-9);
        assert!(limits.windows(2).all(|pair| pair[0].isolates <= pair[1].isolates));
    }
}
