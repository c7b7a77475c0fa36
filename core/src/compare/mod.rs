//! Comparison: the same request, answered by both backends, and what is different about the answers.

mod answer;
mod difference;
mod policy;
mod tally;

pub use answer::{Finding, Response, compare_answers};
pub use difference::{Difference, DifferenceKind, Limits, TooMuch, differences};
pub use policy::{Comparison, HiddenError, Mirror, Normalise, Plain, Rule, Share};
pub use tally::{Compared, Counted, Skipped, Tally};
