//! The operations of the management API that change state.

use cutover_core::{Epoch, Timestamp};

/// An operation that changes state. Its name is the `action` of audit records and pending changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Creates or replaces a flag.
    FlagPut,
    /// Sets the rollout percentage of a flag.
    FlagRollout,
    /// Enables a flag.
    FlagEnable,
    /// Disables a flag.
    FlagDisable,
    /// Removes a flag.
    FlagDelete,
    /// Creates or replaces a flag with values.
    ValueFlagPut,
    /// Enables a flag with values.
    ValueFlagEnable,
    /// Disables a flag with values.
    ValueFlagDisable,
    /// Removes a flag with values.
    ValueFlagDelete,
    /// Creates or replaces a segment.
    SegmentPut,
    /// Removes a segment.
    SegmentDelete,
    /// Removes a route.
    RouteDelete,
    /// Creates or replaces an experiment.
    ExperimentPut,
    /// Starts an experiment, or goes on with a paused one.
    ExperimentStart,
    /// Pauses an experiment.
    ExperimentPause,
    /// Stops an experiment.
    ExperimentStop,
    /// Removes an experiment.
    ExperimentDelete,
    /// Applies a configuration file.
    ConfigApply,
    /// Starts the first run of a canary, or a new one.
    CanaryStart,
    /// Starts a new run of a canary that has run before.
    CanaryRetry,
    /// Moves a run one step up.
    CanaryPromote,
    /// Approves the next step of a run.
    CanaryApprove,
    /// Pauses a run.
    CanaryPause,
    /// Resumes a run.
    CanaryResume,
    /// Rolls a run back.
    CanaryRollback,
    /// Removes the plan and the ended run of a canary.
    CanaryDelete,
    /// Declares an emergency.
    EmergencyRollback,
    /// Clears the emergency.
    EmergencyClear,
    /// Creates a token.
    TokenCreate,
    /// Revokes a token.
    TokenRevoke,
    /// Replaces the secret of a token.
    TokenRotate,
    /// Begins an epoch, after the table was restored from a backup.
    Restore,
}

impl Operation {
    /// Returns the stable name of the operation.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FlagPut => "flag.put",
            Self::FlagRollout => "flag.rollout",
            Self::FlagEnable => "flag.enable",
            Self::FlagDisable => "flag.disable",
            Self::FlagDelete => "flag.delete",
            Self::ValueFlagPut => "value_flag.put",
            Self::ValueFlagEnable => "value_flag.enable",
            Self::ValueFlagDisable => "value_flag.disable",
            Self::ValueFlagDelete => "value_flag.delete",
            Self::SegmentPut => "segment.put",
            Self::SegmentDelete => "segment.delete",
            Self::RouteDelete => "route.delete",
            Self::ExperimentPut => "experiment.put",
            Self::ExperimentStart => "experiment.start",
            Self::ExperimentPause => "experiment.pause",
            Self::ExperimentStop => "experiment.stop",
            Self::ExperimentDelete => "experiment.delete",
            Self::ConfigApply => "config.apply",
            Self::CanaryStart => "canary.start",
            Self::CanaryRetry => "canary.retry",
            Self::CanaryPromote => "canary.promote",
            Self::CanaryApprove => "canary.approve",
            Self::CanaryPause => "canary.pause",
            Self::CanaryResume => "canary.resume",
            Self::CanaryRollback => "canary.rollback",
            Self::CanaryDelete => "canary.delete",
            Self::EmergencyRollback => "emergency.rollback",
            Self::EmergencyClear => "emergency.clear",
            Self::TokenCreate => "token.create",
            Self::TokenRevoke => "token.revoke",
            Self::TokenRotate => "token.rotate",
            Self::Restore => "restore",
        }
    }

    /// Returns the epoch after the operation at `now`.
    pub fn epoch_after(self, epoch: Epoch, now: Timestamp) -> Epoch {
        if self == Self::Restore { epoch.restored(now) } else { epoch }
    }
}
