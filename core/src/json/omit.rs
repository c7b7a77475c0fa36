//! Predicates for fields that documents leave out.

/// Returns true for counts that serialisation leaves out.
pub(crate) fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Returns true for conditions that serialisation leaves out.
pub(crate) fn is_false(condition: &bool) -> bool {
    !condition
}
