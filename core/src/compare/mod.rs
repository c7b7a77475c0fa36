//! Comparison of both backends' responses to the same request: the policy of a route, the
//! differences between two responses, and their counts.

mod answer;
mod budget;
mod canonical;
mod difference;
mod media_type;
mod naming;
mod normalise;
mod pairing;
mod path;
mod place;
mod policy;
mod redaction;
mod rule_search;
mod tally;
mod walk;

pub(crate) use self::redaction::redacted;
pub use self::{
    answer::{ComparisonOutcome, Findings, Response, compare_answers, compare_unfit},
    budget::{Limits, TooMuch},
    difference::{Difference, DifferenceKind},
    policy::{Comparison, HiddenError, Mirror, Normalise, PlainJson, Rule},
    tally::{ComparisonWindow, DifferenceCount, RuleCount, SkipReason, Tally},
    walk::differences,
};
