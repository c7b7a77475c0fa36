//! The emergency override: all traffic of some or all flags goes to legacy, before anything else is looked at.

use crate::json::read_fields;
use crate::{names::FlagName, timestamp::Timestamp};
use serde::{Deserialize, Serialize};

/// An emergency that is in force until a person clears it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Emergency {
    /// The flags that are held on legacy; `None` means all of them, also those created later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<Vec<FlagName>>,
    /// Why, in the words of whoever declared it.
    pub reason: String,
    /// Who declared it.
    pub by: String,
    /// Since when.
    pub since: Timestamp,
}

impl Emergency {
    /// Whether this emergency holds the flag on legacy.
    pub fn covers(&self, flag: &FlagName) -> bool {
        self.flags.as_ref().is_none_or(|flags| flags.contains(flag))
    }
}

read_fields!(Emergency { flags, reason, by, since });
