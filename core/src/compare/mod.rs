//! Comparison of both backends' responses to the same request: the policy of a route, the
//! differences between two responses, and their counts.

mod answer;
mod difference;
mod normalise;
mod policy;
mod redaction;
mod tally;

pub use self::{
    answer::{ComparisonOutcome, Response, compare_answers},
    difference::{Difference, DifferenceKind, Limits, TooMuch, differences},
    policy::{Comparison, HiddenError, Mirror, Normalise, PlainJson, Rule},
    tally::{ComparisonWindow, DifferenceCount, SkipReason, Tally},
};
