//! The part of a batch for experiments: the users of a phase who were exposed to a variant, and their outcomes.
//!
//! A user who was exposed to variant 1, converted 17 seconds later (metric 0), and spent 12.5 (metric 1, in thousandths):
//!
//! ```json
//! {
//!   "experiment": "checkout", "phase": 1, "since": 1767225600,
//!   "exposures": [[1234567890123456789, 1, 0]],
//!   "outcomes": [[1234567890123456789, 0, 17], [1234567890123456789, 1, 17, 12500]]
//! }
//! ```
//!
//! As with the users of canaries, an isolate reports an outcome only when the event window in which its request began is over
//! and the longer time limit of the variants has passed. Else the variant that fails faster would be learned first.
//!
//! An isolate that has more than a batch holds leaves out the same range of hashes for all variants, so that the users who
//! are left are a fair sample of each.
//!
//! Events of guardrails are there once more, with the variant of their user, in each event window anew:
//! `"guardrails": [[1234567890123456789, 1, 4, 17]]`. They are judged by themselves, and whoever else is left out leaves
//! out none of them.

use crate::{json::omit::is_zero, measurement::user_hash::UserKey, vocabulary::names::ExperimentName};
use serde::{Deserialize, Serialize};

/// Most exposures and outcomes in one batch together, at most 60 KB. An outcome with an id takes the room of two.
pub const MAX_ENTRIES: usize = 1_024;

/// The secret key of the user hashes of one phase of an experiment. Every phase has a key of its own, so that users are not
/// recognised from one phase in the next, nor from one experiment in another.
///
/// It belongs beside the experiment in the snapshot, as the key of a run does in
/// [`CanaryLabel`](crate::measurement::label::CanaryLabel): drawn by the control plane when a phase begins, deleted when it
/// ends, and in no export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExperimentKey(UserKey);

impl ExperimentKey {
    /// Parses a key of 32 hexadecimal digits; `None` for any other string.
    pub fn parse(hex: &str) -> Option<Self> {
        UserKey::parse(hex).map(Self)
    }

    /// Returns the keyed hash of a user id.
    pub fn hash(self, user: &str) -> u64 {
        self.0.hash(user)
    }

    /// Returns the keyed hash of the id of an event, which is never that of a user with the same id: no id of a user has a
    /// line feed.
    pub fn hash_event(self, id: &str) -> u64 {
        self.0.hash(&format!("event\n{id}"))
    }
}

/// A user who was served by a variant. In JSON `[user, variant, after_s]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "(u64, u8, u32)", into = "(u64, u8, u32)")]
pub struct Exposure {
    /// Keyed hash of the user, see [`ExperimentKey`].
    pub user: u64,
    /// Position of the variant in its experiment.
    pub variant: u8,
    /// Seconds from the part's `since` to the first request that the variant served in this isolate.
    pub after_s: u32,
}

impl From<(u64, u8, u32)> for Exposure {
    fn from((user, variant, after_s): (u64, u8, u32)) -> Self {
        Self { user, variant, after_s }
    }
}

impl From<Exposure> for (u64, u8, u32) {
    fn from(Exposure { user, variant, after_s }: Exposure) -> Self {
        (user, variant, after_s)
    }
}

/// An event of a user that a metric counts. In JSON `[user, metric, after_s]`, with the value behind it if it has one. An
/// event with an id is `[user, metric, after_s, value, id]`, in which the value may be null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "WrittenOutcome", into = "WrittenOutcome")]
pub struct UserOutcome {
    /// Keyed hash of the user, see [`ExperimentKey`].
    pub user: u64,
    /// Position of the metric in its experiment.
    pub metric: u8,
    /// Seconds from the part's `since` to the event.
    pub after_s: u32,
    /// Value of the event, in thousandths.
    pub value: Option<u64>,
    /// Keyed hash of the id by which a server repeats the event, see [`ExperimentKey::hash_event`]. Isolates share no
    /// memory, so each reports what it was told, and the fold counts an id once.
    pub id: Option<u64>,
}

/// The three lengths of an outcome in JSON.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(untagged)]
enum WrittenOutcome {
    Identified(u64, u8, u32, Option<u64>, u64),
    Valued(u64, u8, u32, u64),
    Plain(u64, u8, u32),
}

impl From<WrittenOutcome> for UserOutcome {
    fn from(written: WrittenOutcome) -> Self {
        let (user, metric, after_s, value, id) = match written {
            WrittenOutcome::Identified(user, metric, after_s, value, id) => {
                (user, metric, after_s, value, Some(id))
            }
            WrittenOutcome::Valued(user, metric, after_s, value) => {
                (user, metric, after_s, Some(value), None)
            }
            WrittenOutcome::Plain(user, metric, after_s) => (user, metric, after_s, None, None),
        };
        Self { user, metric, after_s, value, id }
    }
}

impl From<UserOutcome> for WrittenOutcome {
    fn from(UserOutcome { user, metric, after_s, value, id }: UserOutcome) -> Self {
        match (id, value) {
            (Some(id), value) => Self::Identified(user, metric, after_s, value, id),
            (None, Some(value)) => Self::Valued(user, metric, after_s, value),
            (None, None) => Self::Plain(user, metric, after_s),
        }
    }
}

/// A user who had events of guardrails in an event window. In JSON `[user, variant, metrics, after_s]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "(u64, u8, u16, u32)", into = "(u64, u8, u16, u32)")]
pub struct GuardrailEvent {
    /// Keyed hash of the user, see [`ExperimentKey`].
    pub user: u64,
    /// Position of the variant that served the user.
    pub variant: u8,
    /// The metrics, as bits by their positions.
    pub metrics: u16,
    /// Seconds from the part's `since` to the first of the events in the window.
    pub after_s: u32,
}

impl From<(u64, u8, u16, u32)> for GuardrailEvent {
    fn from((user, variant, metrics, after_s): (u64, u8, u16, u32)) -> Self {
        Self { user, variant, metrics, after_s }
    }
}

impl From<GuardrailEvent> for (u64, u8, u16, u32) {
    fn from(GuardrailEvent { user, variant, metrics, after_s }: GuardrailEvent) -> Self {
        (user, variant, metrics, after_s)
    }
}

/// The users of one phase of an experiment in a batch, as described in the [module documentation](self).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExperimentPart {
    /// Name under which the experiment is configured.
    pub experiment: ExperimentName,
    /// Phase in the snapshot that decided.
    pub phase: u32,
    /// Time from which the entries count their seconds, in seconds since 1970.
    pub since: i64,
    /// Bound of the hashes: users with this hash and more are left out, here and in all later batches of the isolate.
    #[serde(default = "no_bound", skip_serializing_if = "is_no_bound")]
    pub theta: u64,
    /// Outcomes of users whom this isolate had not seen exposed and for which it had no room, since the last part of the phase.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost: u64,
    /// Users whom this isolate saw exposed for the first time. One who is reported again counts once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exposures: Vec<Exposure>,
    /// Outcomes of exposed users, each reported once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outcomes: Vec<UserOutcome>,
    /// Users with events of guardrails, whom `theta` does not bound.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guardrails: Vec<GuardrailEvent>,
}

fn no_bound() -> u64 {
    u64::MAX
}

fn is_no_bound(theta: &u64) -> bool {
    *theta == no_bound()
}

impl ExperimentPart {
    /// Creates an empty part that leaves no user out.
    pub fn empty(experiment: ExperimentName, phase: u32, since: i64) -> Self {
        Self {
            experiment,
            phase,
            since,
            theta: no_bound(),
            lost: 0,
            exposures: Vec::new(),
            outcomes: Vec::new(),
            guardrails: Vec::new(),
        }
    }

    /// Returns the number of exposures, outcomes and events of guardrails; an outcome with an id takes the room of two.
    pub fn entries(&self) -> usize {
        let with_ids = self.outcomes.iter().filter(|outcome| outcome.id.is_some()).count();
        self.exposures.len() + self.outcomes.len() + with_ids + self.guardrails.len()
    }
}
