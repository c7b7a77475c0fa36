//! The limits of a document.

use serde::{Deserialize, Serialize};

/// Most of everything that one document may contain. Counts include the fragments that an operation spreads, each
/// time it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Bytes of the document.
    pub bytes: u32,
    /// Tokens of the document; comments and commas are none.
    pub tokens: u32,
    /// Fields inside one another. A fragment, inline or not, adds none of its own.
    pub depth: u32,
    /// Lists and objects inside one another in a value, and lists in the type of a variable.
    pub value_nesting: u32,
    /// Fields with an alias, in an operation.
    pub aliases: u32,
    /// Fields that are in no other field, in an operation.
    pub root_fields: u32,
    /// Fields of an operation.
    pub fields: u32,
    /// Directives of an operation.
    pub directives: u32,
    /// Directives of one field, fragment, operation or variable.
    pub directives_per_node: u32,
    /// Operations of the document.
    pub operations: u32,
    /// Fragments of the document that have a name.
    pub fragments: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 15_000,
            tokens: 1_000,
            depth: 10,
            value_nesting: 20,
            aliases: 15,
            root_fields: 20,
            fields: 1_000,
            directives: 50,
            directives_per_node: 5,
            operations: 5,
            fragments: 50,
        }
    }
}

/// A field of [`Limits`], as the configuration names it.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// Name of the field.
    pub name: &'static str,
    /// Largest value that a configuration may give it.
    pub maximum: u32,
    /// Returns the field.
    pub of: fn(&mut Limits) -> &mut u32,
}

/// Deepest nesting of a value that the scanner can follow: it remembers one bit for each level.
pub(super) const MAX_VALUE_NESTING: u32 = 64;

/// Deepest nesting of selection sets that the scanner can follow, those of inline fragments included.
pub(super) const MAX_SELECTION_SETS: u32 = 128;

impl Limit {
    /// Returns the smallest value that a configuration may give the field: that with which some operation is left.
    pub fn minimum(&self) -> u32 {
        match self.name {
            "bytes" | "tokens" => 3,
            "depth" | "root_fields" | "fields" | "operations" => 1,
            _ => 0,
        }
    }

    /// All limits, in the order of the documentation.
    pub const ALL: [Self; 11] = [
        Self { name: "bytes", maximum: 60_000, of: |limits| &mut limits.bytes },
        Self { name: "tokens", maximum: 20_000, of: |limits| &mut limits.tokens },
        Self { name: "depth", maximum: 100, of: |limits| &mut limits.depth },
        Self { name: "value_nesting", maximum: 60, of: |limits| &mut limits.value_nesting },
        Self { name: "aliases", maximum: 10_000, of: |limits| &mut limits.aliases },
        Self { name: "root_fields", maximum: 10_000, of: |limits| &mut limits.root_fields },
        Self { name: "fields", maximum: 100_000, of: |limits| &mut limits.fields },
        Self { name: "directives", maximum: 10_000, of: |limits| &mut limits.directives },
        Self { name: "directives_per_node", maximum: 100, of: |limits| &mut limits.directives_per_node },
        Self { name: "operations", maximum: 100, of: |limits| &mut limits.operations },
        Self { name: "fragments", maximum: 500, of: |limits| &mut limits.fragments },
    ];
}
