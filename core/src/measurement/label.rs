//! The label that ties counts to a step of a canary run.

use crate::vocabulary::{names::RunId, share::PartsPerMillion};
use serde::{Deserialize, Serialize};

/// The run and step of a canary, which the edge attaches to its counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanaryLabel {
    /// The active run.
    pub run: RunId,
    /// Its step, from 0.
    pub step: u32,
    /// Share of users on the new arm at this step.
    #[serde(default)]
    pub share: PartsPerMillion,
    /// Secret key of the run's user hashes, 32 hexadecimal digits. `None` for a run that was started
    /// by an earlier version: no users are reported for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Response time in milliseconds above which a response is slow by the success criterion.
    pub slow_success_ms: u32,
    /// Response time in milliseconds above which a response is slow by the rollback criterion.
    pub slow_rollback_ms: u32,
}
