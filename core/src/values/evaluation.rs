//! The result of evaluating a flag for a user.

use crate::{request::facts::Facts, vocabulary::timestamp::Timestamp};
use std::fmt;

/// The user and the request that flags are evaluated for.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'q> {
    /// Id of the user, if there is one.
    pub user: Option<&'q str>,
    /// Facts that conditions are checked against.
    pub facts: &'q Facts<'q>,
    /// Time of the evaluation.
    pub now: Timestamp,
}

/// Value of a flag for a user. All of it is borrowed from the ruleset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evaluation<'r> {
    /// The value as JSON.
    pub value: &'r str,
    /// Key of the variant; an arm for a flag that decides routes.
    pub variant: &'r str,
    /// The reason for this variant.
    pub reason: EvaluationReason,
    /// The evaluation as JSON, up to its reason: an object with key, variant and value, and the quote of the reason.
    /// `None` for a flag that decides routes: writing its arms ahead would cost each snapshot time and memory.
    pub written: Option<&'r str>,
}

/// Reason for a variant, by the names of OpenFeature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EvaluationReason {
    /// The flag has one variant for everybody, until it is changed.
    Static,
    /// A rule or a list named the variant.
    TargetingMatch,
    /// The user's bucket decided.
    Split,
    /// The flag is disabled, held by an emergency, or lacks a prerequisite.
    Disabled,
    /// No rule matched.
    Default,
}

impl EvaluationReason {
    /// Returns the name in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Static => "STATIC",
            Self::TargetingMatch => "TARGETING_MATCH",
            Self::Split => "SPLIT",
            Self::Disabled => "DISABLED",
            Self::Default => "DEFAULT",
        }
    }
}

impl fmt::Display for EvaluationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The part of a flag that decides for a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decider {
    /// The flag is disabled.
    Disabled,
    /// The prerequisite of this index is not met.
    Prerequisite(usize),
    /// The rule of this index matches.
    Rule(usize),
    /// No rule matches.
    Default,
}

/// Error for a flag that has no value for a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// There is no flag with this name.
    #[error("there is no flag with this name")]
    FlagNotFound,
    /// A bucket decides, and there is no user id.
    #[error("this flag is split by users, and the context has no targetingKey")]
    TargetingKeyMissing,
    /// The compiled flag contradicts itself.
    #[error("the flag could not be evaluated")]
    General,
}
