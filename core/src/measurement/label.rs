//! Labels that tie counts to a step of a canary run, and to a phase of an experiment.

use crate::vocabulary::{
    names::{RouteId, RunId},
    share::PartsPerMillion,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// Response times in milliseconds above which a response is slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlowLimits {
    /// Limit of the success criterion.
    pub slow_success_ms: u32,
    /// Limit of the rollback criterion.
    pub slow_rollback_ms: u32,
}

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
    /// Limits of the routes with criteria of their own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub routes: BTreeMap<RouteId, SlowLimits>,
}

impl CanaryLabel {
    /// Returns the limits of a route's requests.
    pub fn limits(&self, route: &RouteId) -> SlowLimits {
        let Self { slow_success_ms, slow_rollback_ms, .. } = *self;
        self.routes.get(route).copied().unwrap_or(SlowLimits { slow_success_ms, slow_rollback_ms })
    }
}

/// The phase of an experiment whose users the edge counts.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExperimentLabel {
    /// The phase. A label of another phase than the experiment's is ignored.
    pub phase: u32,
    /// Secret key of the phase's user hashes, 32 hexadecimal digits: see
    /// [`ExperimentKey`](crate::measurement::experiments::ExperimentKey).
    pub key: String,
}

impl fmt::Debug for ExperimentLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key is a secret.
        f.debug_struct("ExperimentLabel").field("phase", &self.phase).finish_non_exhaustive()
    }
}
