//! The emergency override: sends all traffic of some or all flags to legacy, before any other rule.

use crate::vocabulary::{names::FlagName, timestamp::Timestamp};
use serde::{Deserialize, Serialize};

/// An emergency, in force until an operator clears it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Emergency {
    /// Flags held on legacy; `None` means all flags, including those created later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<Vec<FlagName>>,
    /// Reason given by the operator who declared it.
    pub reason: String,
    /// Name of the operator who declared it.
    pub by: String,
    /// Time at which it was declared.
    pub since: Timestamp,
}

impl Emergency {
    /// Returns true if this emergency holds the flag on legacy.
    pub fn covers(&self, flag: &FlagName) -> bool {
        self.flags.as_ref().is_none_or(|flags| flags.contains(flag))
    }
}
