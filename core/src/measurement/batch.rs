//! Batches of counts that an isolate sends to the control plane, as JSON with a schema number; readers tolerate unknown
//! fields. On the wire a batch is compressed with gzip.
//!
//! A batch with two requests on the new arm, one of which failed, and the user who sent it:
//!
//! ```json
//! {
//!   "schema": 3, "isolate": "0123456789abcdef0123456789abcdef", "sequence": 17, "revision": 42,
//!   "age_ms": 1200, "lost": 0, "open": 3, "due_ms": 36250,
//!   "cells": [{
//!     "flag": "reviews_read", "route": "reviews", "arm": "new", "reason": "ROLLOUT",
//!     "revision": 42, "canary": ["r40", 1],
//!     "counts": {
//!       "requests": 2, "server_errors": 1, "duration_ms": 161, "histogram": [[43, 1], [56, 1]]
//!     }
//!   }],
//!   "users": [{
//!     "flag": "reviews_read", "canary": ["r40", 1], "share": 5.0, "window": 1767225600000,
//!     "settle_ms": 5000, "seen": [[1234567890123456789, "new"]],
//!     "events": [{
//!       "user": 1234567890123456789, "arm": "new", "minted": false, "kinds": 1, "errors": 1,
//!       "requests": 1
//!     }]
//!   }]
//! }
//! ```
//!
//! Counts have no time window: they count when they arrive. Events of users do have one, because the
//! two arms are compared by windows of the time at which requests *began*, each taken in at one
//! instant for both arms. Else the arm that fails faster would be learned first.

use crate::{
    compare::ComparisonWindow,
    json::omit::{is_false, is_zero},
    measurement::{counts::Counts, experiments::ExperimentPart},
    vocabulary::{
        arm::Arm,
        names::{FlagName, RouteId, RunId},
        reason::Reason,
        revision::{Epoch, Revision, Stamp},
        share::PartsPerMillion,
    },
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

pub use crate::measurement::event_kinds::EventKinds;

/// Schema number of this wire format.
pub const SCHEMA: u32 = 3;

/// Largest batch that ingest accepts, in bytes of JSON. A DynamoDB item, which holds a compressed one, is limited to 400 KB.
pub const MAX_BYTES: usize = 300_000;

/// Schema from which on a batch says when the next one is due.
const DUE_SCHEMA: u32 = 3;

/// Milliseconds within which an isolate that writes an older schema reports again, unless its batch is idle.
const OLD_DUE_MS: u64 = 60_000;

/// Length of an event window and of an arrival window, in milliseconds. Windows begin at multiples
/// of it since 1970.
pub const WINDOW_MS: i64 = 10_000;

/// Returns the start of the window that a time falls into, both in milliseconds since 1970.
pub fn window_of(time: i64) -> i64 {
    time.div_euclid(WINDOW_MS).saturating_mul(WINDOW_MS)
}

/// Counts since the last batch of the requests that share flag, route, arm, reason, revision and
/// canary step.
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
    /// Counts of these requests.
    pub counts: Counts,
}

impl Cell {
    /// Returns true if the bucket decided the requests, so that they are evidence of a canary. Lists and conditions select
    /// users who are not representative.
    pub fn is_evidence(&self) -> bool {
        matches!(self.reason, Reason::Rollout | Reason::Diverted)
    }
}

/// Users of one flag, run and step whose requests began in one event window. Eligible are requests
/// that the bucket decided, on paths that the new arm can serve.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UserWindow {
    /// The flag that assigned the users.
    pub flag: FlagName,
    /// The run of its canary and its step, in the snapshot that decided.
    pub canary: (RunId, u32),
    /// Rollout of the flag in the snapshot that decided.
    pub share: PartsPerMillion,
    /// Start of the event window, in milliseconds since 1970, a multiple of [`WINDOW_MS`].
    pub window: i64,
    /// The longer time limit of the two arms, in milliseconds. The window is ripe at `window +
    /// WINDOW_MS + settle_ms`.
    pub settle_ms: u32,
    /// Users whom this isolate saw for the first time in this step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<SeenUser>,
    /// Users with an event in this window.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<UserEvents>,
    /// First compared request of each user in this step: the hash of the user, and true if the two
    /// responses differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub compared: Vec<(u64, bool)>,
}

impl UserWindow {
    /// Keeps the users with hashes below three bounds: those seen, those with events, and those compared.
    pub fn keep_below(&mut self, [seen, events, compared]: [u64; 3]) {
        self.seen.retain(|SeenUser(user, _)| *user < seen);
        self.events.retain(|event| event.user < events);
        self.compared.retain(|(user, _)| *user < compared);
    }
}

/// A user, and the arm of the user's bucket, also if something else served the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SeenUser(pub u64, pub Arm);

/// Events of one user in one event window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UserEvents {
    /// Keyed hash of the user, see [`UserKey`](crate::measurement::user_hash::UserKey).
    pub user: u64,
    /// Arm of the user's bucket.
    pub arm: Arm,
    /// True if the id was made for this very request, because the client brought none.
    pub minted: bool,
    /// Kinds of the events.
    pub kinds: EventKinds,
    /// Errors that no earlier entry of this isolate has reported.
    pub errors: u32,
    /// Requests since the user's first error in this isolate and step, itself included, that no
    /// earlier entry has reported; 0 for users without errors.
    pub requests: u32,
}

/// Evidence of one step that can never be stored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StepLoss {
    /// The flag that decided.
    pub flag: FlagName,
    /// The run of its canary and its step.
    pub canary: (RunId, u32),
    /// Number of outcomes that the bucket decided.
    pub outcomes: u64,
    /// Number of users; one in two lost batches counts twice.
    pub users: u64,
}

impl StepLoss {
    /// Returns the loss of a cell; `None` if its requests are no evidence of a canary.
    pub fn of_cell(cell: &Cell) -> Option<Self> {
        let (flag, canary) = cell.flag.as_ref().zip(cell.canary.as_ref()).filter(|_| cell.is_evidence())?;
        Some(Self { flag: flag.clone(), canary: canary.clone(), outcomes: cell.counts.requests, users: 0 })
    }

    /// Adds the loss to a list that has one entry for each step.
    pub fn add_to(self, losses: &mut Vec<Self>) {
        match losses.iter_mut().find(|held| held.flag == self.flag && held.canary == self.canary) {
            Some(held) => {
                held.outcomes = held.outcomes.saturating_add(self.outcomes);
                held.users = held.users.saturating_add(self.users);
            }
            None => losses.push(self),
        }
    }
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
    /// Epoch of that revision.
    #[serde(default, skip_serializing_if = "Epoch::is_first")]
    pub epoch: Epoch,
    /// True in a batch of schema 1 or 2 if the isolate will send nothing more until it serves another request. Ignored in
    /// later schemas, see [`Batch::promised_ms`].
    #[serde(default, skip_serializing_if = "is_false")]
    pub idle: bool,
    /// Milliseconds since the isolate's snapshot was last confirmed to be the newest; without one, since the isolate began.
    #[serde(default)]
    pub age_ms: u64,
    /// Outcomes that were counted but could not be kept.
    #[serde(default)]
    pub lost: u64,
    /// Outcomes and users of canaries among those that were lost, by step. Their evidence has a gap.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<StepLoss>,
    /// Responses of routes with `error_when` that were not inspected, because they were too large or too many at once. They
    /// are counted by their status.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub uninspected: u64,
    /// Requests still open when the batch was made.
    #[serde(default)]
    pub open: u32,
    /// Milliseconds until the isolate's next batch at the latest; 0 if no request is open, because nothing is promised then.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub due_ms: u64,
    /// Counts of requests.
    #[serde(default)]
    pub cells: Vec<Cell>,
    /// Users, by event window.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<UserWindow>,
    /// Counts of comparisons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comparisons: Vec<ComparisonWindow>,
    /// Users of experiments, by phase: at most [`MAX_ENTRIES`](crate::measurement::experiments::MAX_ENTRIES) of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub experiments: Vec<ExperimentPart>,
}

impl Batch {
    /// Creates an empty batch of an isolate without a snapshot.
    pub fn empty(isolate: String, sequence: u64) -> Self {
        Self {
            schema: SCHEMA,
            isolate,
            sequence,
            revision: Revision::default(),
            epoch: Epoch::default(),
            idle: false,
            age_ms: 0,
            lost: 0,
            losses: Vec::new(),
            uninspected: 0,
            open: 0,
            due_ms: 0,
            cells: Vec::new(),
            users: Vec::new(),
            comparisons: Vec::new(),
            experiments: Vec::new(),
        }
    }

    /// Returns the revision of the isolate's snapshot with its epoch.
    pub fn stamp(&self) -> Stamp {
        Stamp { epoch: self.epoch, revision: self.revision }
    }

    /// Returns the milliseconds within which another batch follows; `None` if none is promised.
    pub fn promised_ms(&self) -> Option<u64> {
        let promised = if self.schema >= DUE_SCHEMA {
            self.due_ms
        } else if self.idle {
            0
        } else {
            OLD_DUE_MS
        };
        Some(promised).filter(|ms| *ms > 0)
    }

    /// Returns the evidence of each step that is lost if this batch is, without the losses that it reports itself.
    pub fn evidence(&self) -> Vec<StepLoss> {
        let mut losses = Vec::new();
        self.cells.iter().filter_map(StepLoss::of_cell).for_each(|loss| loss.add_to(&mut losses));
        let mut steps: BTreeMap<(&FlagName, &(RunId, u32)), BTreeSet<u64>> = BTreeMap::new();
        for window in &self.users {
            let users = steps.entry((&window.flag, &window.canary)).or_default();
            users.extend(window.seen.iter().map(|SeenUser(user, _)| *user));
            users.extend(window.events.iter().map(|events| events.user));
            users.extend(window.compared.iter().map(|(user, _)| *user));
        }
        for ((flag, canary), users) in steps {
            let users = users.len() as u64;
            StepLoss { flag: flag.clone(), canary: canary.clone(), outcomes: 0, users }.add_to(&mut losses);
        }
        losses
    }
}

impl Batch {
    /// Returns the batch as JSON.
    pub fn encode(&self) -> String {
        // Serializing a batch cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_promises_the_next_one_by_the_rules_of_its_schema() {
        let batch = |schema, idle, due_ms| Batch { schema, idle, due_ms, ..Batch::empty(String::new(), 1) };
        for (batch, expected) in [
            (batch(2, false, 0), Some(OLD_DUE_MS)),
            (batch(2, true, 0), None),
            (batch(3, false, 0), None),
            (batch(3, true, 36_250), Some(36_250)),
        ] {
            assert_eq!(batch.promised_ms(), expected, "{batch:?}");
        }
    }
}
