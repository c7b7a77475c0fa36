//! What an isolate tells the control plane: a batch of counts, and what it is told in return. Both are JSON and
//! carry a schema number; readers tolerate fields they do not know.

use crate::json::read_fields;
use crate::{
    compare::Compared,
    decide::{Arm, Reason},
    emergency::Emergency,
    histogram::Histogram,
    names::{FlagName, RouteId, RunId},
    snapshot::Revision,
};
use serde::{Deserialize, Serialize};

/// The number of this wire format.
pub const SCHEMA: u32 = 1;

/// Milliseconds that one window lasts. Windows begin at whole multiples of it since 1970.
pub const WINDOW_MS: i64 = 10_000;

/// One in this many users is an assignment unit that is reported by the hash of its id.
pub const UNIT_SAMPLING: u32 = 64;

/// Where a run of a canary stands, as the edge labels what it counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanaryLabel {
    /// The run.
    pub run: RunId,
    /// Its step, from 0.
    pub step: u32,
    /// Answers that take longer are slow by the success criterion, in milliseconds.
    pub slow_success_ms: u32,
    /// Answers that take longer are slow by the rollback criterion, in milliseconds.
    pub slow_rollback_ms: u32,
}

/// What was counted of some requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Requests.
    pub requests: u64,
    /// Answers of 500 and above.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub server_errors: u64,
    /// Answers that did not begin in time.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub timeouts: u64,
    /// Requests that were refused or broken off.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unreachable: u64,
    /// Answers slower than the success limit; no answer at all is slower.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub slow_success: u64,
    /// Answers slower than the rollback limit; no answer at all is slower.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub slow_rollback: u64,
    /// The sum of the times to the response headers, in milliseconds.
    #[serde(default)]
    pub duration_ms: u64,
    /// The times to the response headers.
    #[serde(default)]
    pub histogram: Histogram,
}

/// For counts that are not written where there are none.
pub(crate) fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// With this status.
    Status(u32),
    /// No answer began in time.
    Timeout,
    /// The connection was refused or broken off.
    Unreachable,
}

impl Counts {
    /// Counts a request.
    pub fn add(&mut self, outcome: Outcome, ms: u32, label: Option<&CanaryLabel>) {
        self.requests += 1;
        self.duration_ms += u64::from(ms);
        self.histogram.add(ms);
        let answered = match outcome {
            Outcome::Status(status) => {
                self.server_errors += u64::from(status >= 500);
                true
            }
            Outcome::Timeout => {
                self.timeouts += 1;
                false
            }
            Outcome::Unreachable => {
                self.unreachable += 1;
                false
            }
        };
        if let Some(label) = label {
            self.slow_success += u64::from(!answered || ms > label.slow_success_ms);
            self.slow_rollback += u64::from(!answered || ms > label.slow_rollback_ms);
        }
    }

    /// Errors of every class.
    pub fn errors(&self) -> u64 {
        self.server_errors.saturating_add(self.timeouts).saturating_add(self.unreachable)
    }

    /// Adds other counts.
    pub fn merge(&mut self, other: &Self) {
        for (sum, count) in [
            (&mut self.requests, other.requests),
            (&mut self.server_errors, other.server_errors),
            (&mut self.timeouts, other.timeouts),
            (&mut self.unreachable, other.unreachable),
            (&mut self.slow_success, other.slow_success),
            (&mut self.slow_rollback, other.slow_rollback),
            (&mut self.duration_ms, other.duration_ms),
        ] {
            *sum = sum.saturating_add(count);
        }
        self.histogram.merge(&other.histogram);
    }
}

/// What was counted of one kind of request in one window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// The flag that decided; `None` where no route was for the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flag: Option<FlagName>,
    /// The route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteId>,
    /// The arm that served.
    pub arm: Arm,
    /// Why.
    pub reason: Reason,
    /// The revision that the requests were decided with.
    pub revision: Revision,
    /// The run of the flag's canary and its step at that revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<(RunId, u32)>,
    /// When the window began, in milliseconds since 1970.
    pub window: i64,
    /// What was counted.
    pub counts: Counts,
}

/// Assignment units that were first seen since the last batch: hashes of user ids, on the arm they were given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Units {
    /// The flag.
    pub flag: FlagName,
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: u32,
    /// On the new arm.
    pub new: Vec<u32>,
    /// On legacy.
    pub legacy: Vec<u32>,
}

/// A batch of counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// [`SCHEMA`]
    pub schema: u32,
    /// The isolate, by 128 random bits as hexadecimal digits.
    pub isolate: String,
    /// The number of the batch, from 1. With the isolate it is the identity of the batch.
    pub sequence: u64,
    /// The revision that the isolate holds; 0 where it holds none.
    pub revision: Revision,
    /// The isolate has nothing more to tell until it is asked for something. An isolate that falls silent without
    /// having said so was lost, and with it what it had counted since.
    #[serde(default)]
    pub idle: bool,
    /// Milliseconds since the isolate's snapshot was last known to be the newest.
    #[serde(default)]
    pub age_ms: u64,
    /// Outcomes that were counted and could not be kept.
    #[serde(default)]
    pub lost: u64,
    /// What was counted.
    #[serde(default)]
    pub cells: Vec<Cell>,
    /// Assignment units.
    #[serde(default)]
    pub units: Vec<Units>,
    /// What was compared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comparisons: Vec<Compared>,
}

/// What an isolate is told in return for a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// The revision of the configuration.
    pub revision: Revision,
    /// The emergency in force.
    #[serde(default)]
    pub emergency: Option<Emergency>,
    /// The snapshot document, where the isolate's was older and it fits into an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// The batch had been stored before.
    #[serde(default)]
    pub duplicate: bool,
}

read_fields!(CanaryLabel { run, step, slow_success_ms, slow_rollback_ms });
read_fields!(Receipt { revision, emergency, snapshot, duplicate });
