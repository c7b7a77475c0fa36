//! The phases of experiments that are counted: when each began, and the secret key of its user hashes. They are stored beside
//! the experiments, and not in them, so that a key is in no export and in no audit record.

use cutover_core::{Timestamp, measurement::label::ExperimentLabel, rules::experiment::document::Experiment};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Section of the phases that are counted. Users do not write it, so the configuration file does not have it.
pub const PHASES: &str = "experiment_phases";

/// A phase of an experiment that is counted: from its start until it is stopped, over all its pauses.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountedPhase {
    /// Number of the phase.
    pub phase: u32,
    /// Time at which the phase began to run.
    pub began: Timestamp,
    /// Secret key of the phase's user hashes, 32 hexadecimal digits.
    pub key: String,
}

impl fmt::Debug for CountedPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Keeps the key out of logs, even by accident.
        let Self { phase, began, .. } = self;
        f.debug_struct("CountedPhase").field("phase", phase).field("began", began).finish_non_exhaustive()
    }
}

impl CountedPhase {
    /// Returns the label of the phase for the edge.
    pub fn label(&self) -> ExperimentLabel {
        ExperimentLabel { phase: self.phase, key: self.key.clone() }
    }

    /// Returns true if this is the present phase of an experiment.
    pub fn is_of(&self, experiment: &Experiment) -> bool {
        self.phase == experiment.phase
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_not_shown() {
        let key = "0123456789abcdef0123456789abcdef".to_owned();
        let phase = CountedPhase { phase: 2, began: Timestamp::from_millis(0), key: key.clone() };
        let shown = format!("{phase:?}");
        assert!(shown.contains("phase: 2") && !shown.contains(&key), "{shown}");
    }
}
