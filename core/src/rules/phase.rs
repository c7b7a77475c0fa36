//! Phases of a migration: of the part that one flag moves, and of the whole.

use serde::{Deserialize, Serialize};

/// Phase of the migration that begins when a flag gets its first users. Later phases are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlagPhase {
    /// The flag moves requests that only read.
    ReadOperations,
    /// The flag moves requests that change something.
    WriteOperations,
    /// The flag moves what is left after reads and writes.
    Full,
}

impl FlagPhase {
    /// All phases that a flag can declare, by their names in documents.
    pub const ALL: [(&'static str, Self); 3] = [
        ("read_operations", Self::ReadOperations),
        ("write_operations", Self::WriteOperations),
        ("full", Self::Full),
    ];
}

/// Phase of the whole migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// All users are on legacy.
    Preparation,
    /// Only flags that move reads have users on the new backend.
    ReadOperations,
    /// A flag that moves writes has users on the new backend.
    WriteOperations,
    /// Every flag is at 100 %, but legacy may still be needed; or a flag that declares this phase has users on the new
    /// backend.
    Full,
    /// Every flag is at 100 %, and none has a canary, a blacklist or a condition that sends users to legacy.
    Completed,
    /// An emergency is in force.
    Emergency,
}

impl From<FlagPhase> for Phase {
    fn from(phase: FlagPhase) -> Self {
        match phase {
            FlagPhase::ReadOperations => Self::ReadOperations,
            FlagPhase::WriteOperations => Self::WriteOperations,
            FlagPhase::Full => Self::Full,
        }
    }
}
