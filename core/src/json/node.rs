//! The nodes of a parsed document.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool,
    Number,
    /// A string without escapes.
    Text,
    /// A string with escapes.
    Escaped,
    List,
    Object,
}

/// A value, or the name of a field; a name is followed by its value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// Offsets of the first byte and of the byte after the last, quotes and brackets included.
    pub(super) start: usize,
    pub(super) end: usize,
    /// Index of the next node that is not inside this one; for a name, of the node after its value.
    pub(super) next: usize,
}
