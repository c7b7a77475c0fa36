//! Conditions that never hold together.

use crate::rules::condition::compiled::{Comparison, CompiledCondition, Test};
use std::cmp::Ordering;

/// Returns true if no request satisfies both conditions, as far as that is certain from their values. Each of them is assumed
/// to hold for some request.
pub(super) fn exclude_each_other(one: &CompiledCondition, other: &CompiledCondition) -> bool {
    match (one, other) {
        (
            CompiledCondition::TimeWindow { start, end },
            CompiledCondition::TimeWindow { start: other_start, end: other_end },
        ) => {
            let start = start.max(other_start);
            [end, other_end].into_iter().flatten().any(|end| end <= start)
        }
        (CompiledCondition::Attribute(name, test), CompiledCondition::Attribute(other_name, other_test)) => {
            name == other_name && tests_exclude(test, other_test)
        }
        _ => false,
    }
}

fn tests_exclude(one: &Test, other: &Test) -> bool {
    match (one, other) {
        (Test::OneOf(values), test) | (test, Test::OneOf(values)) => {
            !values.iter().any(|value| test.accepts(value))
        }
        (Test::Number(comparison, limit), Test::Number(other, other_limit)) => limit
            .partial_cmp(other_limit)
            .is_some_and(|ordering| comparisons_exclude(*comparison, *other, ordering)),
        (Test::Version(comparison, limit), Test::Version(other, other_limit)) => {
            comparisons_exclude(*comparison, *other, limit.cmp_precedence(other_limit))
        }
        _ => false,
    }
}

/// Returns true if no value satisfies both comparisons. `ordering` is that of the limit of `one` to the limit of `other`.
fn comparisons_exclude(one: Comparison, other: Comparison, ordering: Ordering) -> bool {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
    match (one, other) {
        (Equal, other) => !other.accepts(ordering),
        (one, Equal) => !one.accepts(ordering.reverse()),
        (Greater | GreaterOrEqual, Less | LessOrEqual) => {
            let is_one_value = one == GreaterOrEqual && other == LessOrEqual;
            ordering.is_gt() || (ordering.is_eq() && !is_one_value)
        }
        (Less | LessOrEqual, Greater | GreaterOrEqual) => comparisons_exclude(other, one, ordering.reverse()),
        _ => false,
    }
}
