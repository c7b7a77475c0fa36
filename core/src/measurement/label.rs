//! The label that ties counts to a step of a canary run.

use crate::vocabulary::names::RunId;
use serde::{Deserialize, Serialize};

/// The run and step of a canary, which the edge attaches to its counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanaryLabel {
    /// The active run.
    pub run: RunId,
    /// Its step, from 0.
    pub step: u32,
    /// Response time in milliseconds above which a response is slow by the success criterion.
    pub slow_success_ms: u32,
    /// Response time in milliseconds above which a response is slow by the rollback criterion.
    pub slow_rollback_ms: u32,
}
