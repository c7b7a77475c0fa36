//! The subjects of ledgers, and the names that they have in keys.

use crate::store::{config::RUNS, keys::Key, phases::PHASES};
use cutover_core::{ExperimentName, FlagName};
use std::fmt;

/// Prefix of the names of experiments. No name of a flag has a slash in it.
const EXPERIMENT: &str = "experiment/";

/// The subject whose measurements are in a ledger. Displayed, it is the name of the ledger in keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerSubject<'s> {
    /// Requests that no flag decided.
    Undecided,
    /// A flag.
    Flag(&'s FlagName),
    /// An experiment.
    Experiment(&'s ExperimentName),
}

impl<'s> From<Option<&'s FlagName>> for LedgerSubject<'s> {
    fn from(flag: Option<&'s FlagName>) -> Self {
        flag.map_or(Self::Undecided, Self::Flag)
    }
}

impl fmt::Display for LedgerSubject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undecided => Ok(()),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Experiment(experiment) => write!(f, "{EXPERIMENT}{experiment}"),
        }
    }
}

impl LedgerSubject<'_> {
    /// Returns the experiment whose ledger has this name in keys; `None` if it is not one of an experiment.
    pub fn experiment(name: &str) -> Option<ExperimentName> {
        name.strip_prefix(EXPERIMENT)?.parse().ok()
    }

    /// Returns the key of the run or the phase that the evidence belongs to.
    pub(super) fn counted_key(self) -> Option<Key> {
        match self {
            Self::Undecided => None,
            Self::Flag(flag) => Some(Key::object(RUNS, flag.as_str())),
            Self::Experiment(experiment) => Some(Key::object(PHASES, experiment.as_str())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_flags_and_experiments_are_told_apart() {
        let (flag, experiment): (FlagName, ExperimentName) = ("e".parse().unwrap(), "e".parse().unwrap());
        let names =
            [LedgerSubject::Undecided, LedgerSubject::Flag(&flag), LedgerSubject::Experiment(&experiment)]
                .map(|subject| subject.to_string());
        assert_eq!(names, ["", "e", "experiment/e"]);
        let found = names.map(|name| (LedgerSubject::experiment(&name), name.parse::<FlagName>().is_ok()));
        assert_eq!(found, [(None, false), (None, true), (Some(experiment), false)]);
    }
}
