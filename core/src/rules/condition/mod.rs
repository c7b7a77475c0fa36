//! Conditions: typed predicates on a request, as operators write them and as they are evaluated.

pub mod compiled;
pub mod document;
