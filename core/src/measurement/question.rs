//! The question by which an isolate learns the state of the control plane. It is JSON, signed like a batch, and nothing is
//! stored of it:
//!
//! ```json
//! { "schema": 1, "isolate": "0123456789abcdef0123456789abcdef", "revision": 42, "behind_ms": 0 }
//! ```

use crate::{
    json::omit::is_zero,
    measurement::health::OpenOrigin,
    vocabulary::{
        names::DeploymentId,
        revision::{Epoch, Revision, Stamp},
    },
};
use serde::{Deserialize, Serialize};

/// Schema number of this wire format.
pub const SCHEMA: u32 = 1;

/// A question, as described in the [module documentation](self).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Schema number of the question, [`SCHEMA`].
    pub schema: u32,
    /// Identifier of the isolate, if an isolate asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolate: Option<String>,
    /// Revision of the isolate's snapshot; 0 if it has none.
    pub revision: Revision,
    /// Epoch of that revision.
    #[serde(default, skip_serializing_if = "Epoch::is_first")]
    pub epoch: Epoch,
    /// Deployment of the isolate, once it knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    /// Milliseconds since the isolate learned of a revision that Workers KV has not brought yet; 0 if it holds the newest
    /// that it knows of.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub behind_ms: u64,
    /// Origins that the isolate holds open by its own results.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health: Vec<OpenOrigin>,
}

impl Question {
    /// Creates a question about everything since a revision.
    pub fn since(revision: Revision) -> Self {
        Self {
            schema: SCHEMA,
            isolate: None,
            revision,
            epoch: Epoch::default(),
            deployment: None,
            behind_ms: 0,
            health: Vec::new(),
        }
    }

    /// Returns the revision with its epoch.
    pub fn stamp(&self) -> Stamp {
        Stamp { epoch: self.epoch, revision: self.revision }
    }

    /// Returns the question as JSON.
    pub fn encode(&self) -> String {
        // Serializing a question cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}
