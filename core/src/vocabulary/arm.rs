//! The two arms of a migration.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The side of a route that a decision chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    /// The old backend.
    Legacy,
    /// The new backend.
    New,
}

impl Arm {
    /// Returns the name in headers and documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Arm::Legacy => "legacy",
            Arm::New => "new",
        }
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
