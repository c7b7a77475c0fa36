//! Conditions: typed predicates on a request, as operators write them and as they are evaluated, and why they do not hold.

pub mod compiled;
pub mod document;
pub mod failure;
