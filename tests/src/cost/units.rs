//! The units that `cargo xtask bench fleet` measures, stored beside the page of costs, and the rates of a fleet.

use crate::paths;
use cutover_core::measurement::pace::Pace;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Requests per second of all fleets.
pub const REQUESTS_PER_SECOND: f64 = 10_000.0;

/// Mean share of the interval of reports after which an isolate reports: it draws 80 to 100 % of it each time.
const MEAN_INTERVAL: f64 = 0.9;

/// Mean time from an answer to the next question, in seconds: isolates draw 4.0 to 4.8.
const QUESTION_SECONDS: f64 = 4.4;

/// Time for which a longer interval must be wanted, and more, in milliseconds.
const LONG_ENOUGH_MS: i64 = 10 * 60_000;

/// Units of capacity of DynamoDB, and calls of its streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Units {
    /// Read units.
    pub reads: f64,
    /// Write units.
    pub writes: f64,
    /// Calls of `GetRecords`.
    pub stream_reads: f64,
}

impl Units {
    /// Returns the units that these are more than others, divided by a number; none if they are less.
    #[must_use]
    pub fn more_than(self, other: Self, divisor: f64) -> Self {
        let part = |own: f64, other: f64| rounded(((own - other) / divisor).max(0.0));
        Self {
            reads: part(self.reads, other.reads),
            writes: part(self.writes, other.writes),
            stream_reads: part(self.stream_reads, other.stream_reads),
        }
    }
}

/// Means of a batch or a question and its answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ExchangeUnits {
    /// Bytes of the body that is sent.
    pub request_bytes: f64,
    /// Bytes of the answer: the function's headers and its body.
    pub answer_bytes: f64,
    /// Bytes of logs, as CloudWatch counts them, at the level that is deployed.
    pub log_bytes: f64,
    /// Bytes of logs at the level `warn`.
    pub quiet_log_bytes: f64,
    /// Processor time of the function on the machine of the measurement, in milliseconds.
    pub processor_ms: f64,
}

/// Units of evaluation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct EvaluationUnits {
    /// A pass without batches.
    pub pass: Units,
    /// Beginning, reading [`Self::batches`] and writing everything, without a pass.
    pub checkpoint: Units,
    /// Bytes of logs of an invocation.
    pub log_bytes: f64,
    /// Batches that one pass read.
    pub batches: u64,
    /// Duration of that pass with its checkpoint, in seconds, over the emulator of DynamoDB.
    pub seconds: f64,
    /// Peak of the resident memory of its process, in MB.
    pub peak_mb: f64,
}

/// Units of `promote`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct TickUnits {
    /// Units of one invocation.
    pub units: Units,
    /// Duration, in seconds.
    pub seconds: f64,
    /// Bytes of its logs.
    pub log_bytes: f64,
}

/// Measured units of one fleet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct FleetUnits {
    /// Number of isolates.
    pub isolates: u64,
    /// Interval of reports, in milliseconds.
    pub interval_ms: u64,
    /// A batch and its answer.
    pub batch: ExchangeUnits,
    /// Write units of a batch.
    pub batch_writes: f64,
    /// A question and its answer.
    pub question: ExchangeUnits,
    /// Read units for a fresh head.
    pub head_reads: f64,
    /// Bytes of the body of an answer with the snapshot.
    pub snapshot_bytes: f64,
    /// Units of evaluation.
    pub evaluation: EvaluationUnits,
    /// The other scheduled function.
    pub promote: TickUnits,
}

impl FleetUnits {
    /// Returns the mean time between two batches of an isolate, in seconds.
    fn period(&self) -> f64 {
        self.interval_ms as f64 / 1_000.0 * MEAN_INTERVAL
    }

    /// Returns the batches of the fleet in a second.
    pub fn batches_per_second(&self) -> f64 {
        self.isolates as f64 / self.period()
    }

    /// Returns the questions of the fleet in a second. The answer to a batch puts the next question off too, at any time
    /// between two of them: on average it saves half a question.
    pub fn questions_per_second(&self) -> f64 {
        self.isolates as f64 * (1.0 / QUESTION_SECONDS - 0.5 / self.period()).max(0.0)
    }
}

/// A fleet while experiments are counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ExperimentUnits {
    /// Number of experiments.
    pub experiments: u64,
    /// Units of the fleet.
    pub fleet: FleetUnits,
    /// Read units of the page for Prometheus.
    pub page_reads: f64,
}

/// Measured units of all fleets.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MeasuredUnits {
    /// Each fleet, by size.
    pub fleets: Vec<FleetUnits>,
    /// One fleet, by the number of experiments that are counted.
    #[serde(default)]
    pub experiments: Vec<ExperimentUnits>,
}

impl MeasuredUnits {
    /// Returns the file that holds them.
    pub fn path() -> PathBuf {
        paths::root().join("docs/cost.json")
    }

    /// Reads them, or panics with the command that measures them.
    pub fn read() -> Self {
        let path = Self::path();
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask bench fleet`", path.display()));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Writes them.
    pub fn write(&self) {
        let text = serde_json::to_string_pretty(self).expect("units are JSON");
        std::fs::write(Self::path(), format!("{text}\n")).expect("docs is writable");
    }
}

/// Returns the interval that the control plane sets for a fleet, in milliseconds.
pub fn interval_ms(isolates: u64) -> u64 {
    Pace::default().next(isolates, 1).next(isolates, 1 + LONG_ENOUGH_MS).interval_ms
}

/// Rounds a measured number to hundredths, so that the file of units is readable.
pub fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_and_rates_follow_from_the_size_of_a_fleet() {
        assert_eq!([500, 5_000, 30_000].map(interval_ms), [5_000, 20_000, 60_000]);
        let fleet = FleetUnits { isolates: 5_000, interval_ms: 20_000, ..FleetUnits::default() };
        // 5 000 batches in 18 s; 5 000 / 4.4 questions a second, less half a question for each batch.
        assert_eq!(rounded(fleet.batches_per_second()), 277.78);
        assert_eq!(rounded(fleet.questions_per_second()), 997.47);
    }

    #[test]
    fn units_are_compared_and_never_negative() {
        let units = |reads, writes| Units { reads, writes, stream_reads: 0.0 };
        assert_eq!(units(7.0, 1.0).more_than(units(1.0, 2.0), 4.0), units(1.5, 0.0));
        assert_eq!(rounded(1.0 / 3.0), 0.33);
    }
}
