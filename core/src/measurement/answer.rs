//! The answer of the control plane to a question or a batch: the state that an isolate obeys without waiting for Workers KV.
//! Thousands are sent in a second, so it says nothing that goes without saying.
//!
//! ```json
//! {
//!   "revision": 44, "interval_ms": 20000,
//!   "brakes": [{ "revision": 43, "flag": "reviews_read", "enabled": true, "rollout": 5.0 }]
//! }
//! ```

use crate::{
    json::omit::is_false,
    measurement::health::OpenOrigin,
    rules::emergency::Emergency,
    vocabulary::{
        names::{DeploymentId, FlagName},
        revision::{Epoch, Revision, Stamp},
        share::PartsPerMillion,
    },
};
use serde::{Deserialize, Serialize};

/// Milliseconds between two reports of an isolate that has no answer yet.
pub const FIRST_INTERVAL_MS: u64 = 5_000;

/// A change that lowered a flag, or took it from an experiment. An isolate that holds an older snapshot applies it as a minimum, until it holds a snapshot
/// of that revision: a brake can send a request to legacy, and none to the new arm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brake {
    /// Revision of the change.
    pub revision: Revision,
    /// The flag.
    pub flag: FlagName,
    /// [`Flag::enabled`](crate::Flag::enabled) after the change.
    pub enabled: bool,
    /// [`Flag::rollout_percentage`](crate::Flag::rollout_percentage) after the change.
    pub rollout: PartsPerMillion,
}

/// An answer, as described in the [module documentation](self).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Current revision of the configuration.
    pub revision: Revision,
    /// Epoch of the revision and of the brakes.
    #[serde(default, skip_serializing_if = "Epoch::is_first")]
    pub epoch: Epoch,
    /// Deployment that answers; `None` if its table has none yet, and to a question that named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    /// Emergency in force, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emergency: Option<Emergency>,
    /// Brakes since the isolate's revision, as far back as they are known; all that are known if the isolate is in another
    /// epoch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub brakes: Vec<Brake>,
    /// Revision after which every brake is in the answer, if that of the isolate is older or of another epoch: an isolate that
    /// holds none of at least this revision cannot know which flags were lowered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brakes_after: Option<Revision>,
    /// Milliseconds between two reports of the isolate.
    #[serde(default = "first_interval")]
    pub interval_ms: u64,
    /// Origins that several isolates hold open, for as long as two of them do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health: Vec<OpenOrigin>,
    /// Snapshot document, if the isolate's is older, and the document is small or cannot be had in another way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// True if the batch had been stored before.
    #[serde(default, skip_serializing_if = "is_false")]
    pub duplicate: bool,
}

fn first_interval() -> u64 {
    FIRST_INTERVAL_MS
}

impl Answer {
    /// Creates the answer for an isolate that holds the newest revision.
    pub fn at(revision: Revision) -> Self {
        Self {
            revision,
            epoch: Epoch::default(),
            deployment: None,
            emergency: None,
            brakes: Vec::new(),
            brakes_after: None,
            interval_ms: FIRST_INTERVAL_MS,
            health: Vec::new(),
            snapshot: None,
            duplicate: false,
        }
    }

    /// Returns the revision with its epoch.
    pub fn stamp(&self) -> Stamp {
        Stamp { epoch: self.epoch, revision: self.revision }
    }

    /// Reads an answer from JSON; `None` if it is none.
    pub fn decode(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}
