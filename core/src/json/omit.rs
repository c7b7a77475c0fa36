//! Predicates for fields that documents leave out.

/// Returns true for counts that serialisation leaves out.
pub(crate) fn is_zero<T: Default + PartialEq>(count: &T) -> bool {
    *count == T::default()
}

/// Returns true for conditions that serialisation leaves out.
pub(crate) fn is_false(condition: &bool) -> bool {
    !condition
}
