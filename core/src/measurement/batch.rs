//! Batches of counts that an isolate sends to the control plane, and the receipt that it gets in
//! return. Both are JSON, a batch with a schema number; readers tolerate unknown fields.
//!
//! A batch with two requests on the new arm, one of which failed, and one assignment unit:
//!
//! ```json
//! {
//!   "schema": 1, "isolate": "0123456789abcdef0123456789abcdef", "sequence": 17, "revision": 42,
//!   "idle": false, "age_ms": 1200, "lost": 0,
//!   "cells": [{
//!     "flag": "reviews_read", "route": "reviews", "arm": "new", "reason": "ROLLOUT",
//!     "revision": 42, "canary": ["r40", 1], "window": 1767225600000,
//!     "counts": {
//!       "requests": 2, "server_errors": 1, "duration_ms": 161, "histogram": [[43, 1], [56, 1]]
//!     }
//!   }],
//!   "units": [{ "flag": "reviews_read", "run": "r40", "step": 1, "new": [2847113], "legacy": [] }]
//! }
//! ```

use crate::{
    compare::ComparisonWindow,
    measurement::counts::Counts,
    rules::emergency::Emergency,
    vocabulary::{
        arm::Arm,
        names::{FlagName, RouteId, RunId},
        reason::Reason,
        revision::Revision,
    },
};
use serde::{Deserialize, Serialize};

/// Schema number of this wire format.
pub const SCHEMA: u32 = 1;

/// Length of a window, in milliseconds. Windows begin at multiples of it since 1970.
pub const WINDOW_MS: i64 = 10_000;

/// Counts of the requests of one window that share flag, route, arm, reason, revision and canary
/// step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// The flag that decided; `None` if no route matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flag: Option<FlagName>,
    /// The route; `None` if none matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteId>,
    /// The arm that served the requests.
    pub arm: Arm,
    /// The reason for this arm.
    pub reason: Reason,
    /// Revision of the configuration that decided the requests.
    pub revision: Revision,
    /// The run of the flag's canary and its step at that revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<(RunId, u32)>,
    /// Start of the window, in milliseconds since 1970.
    pub window: i64,
    /// Counts of these requests.
    pub counts: Counts,
}

/// Assignment units first seen since the last batch: hashes of user ids, by the arm that the users
/// were assigned to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignmentUnits {
    /// The flag that assigned the users.
    pub flag: FlagName,
    /// The run of its canary.
    pub run: RunId,
    /// The step of the run.
    pub step: u32,
    /// Units on the new arm.
    pub new: Vec<u32>,
    /// Units on the legacy arm.
    pub legacy: Vec<u32>,
}

/// A batch of counts, as described in the [module documentation](self).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Schema number of the batch, [`SCHEMA`].
    pub schema: u32,
    /// Identifier of the isolate: 128 random bits as hexadecimal digits.
    pub isolate: String,
    /// Number of the batch, from 1. Together with the isolate it identifies the batch.
    pub sequence: u64,
    /// Revision of the isolate's snapshot; 0 if it has none.
    pub revision: Revision,
    /// True if the isolate will send nothing more until it serves another request. An isolate that
    /// falls silent without having announced it was lost, along with its counts since its last
    /// batch.
    #[serde(default)]
    pub idle: bool,
    /// Milliseconds since the isolate's snapshot was last confirmed to be the newest.
    #[serde(default)]
    pub age_ms: u64,
    /// Outcomes that were counted but could not be kept.
    #[serde(default)]
    pub lost: u64,
    /// Counts of requests.
    #[serde(default)]
    pub cells: Vec<Cell>,
    /// New assignment units.
    #[serde(default)]
    pub units: Vec<AssignmentUnits>,
    /// Counts of comparisons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comparisons: Vec<ComparisonWindow>,
}

/// Response of the control plane to a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// Current revision of the configuration.
    pub revision: Revision,
    /// Emergency in force, if any.
    #[serde(default)]
    pub emergency: Option<Emergency>,
    /// Snapshot document, if the isolate's is older and the document fits into a response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// True if the batch had been stored before.
    #[serde(default)]
    pub duplicate: bool,
}
