//! Experiments: named variants with weights, and the assignment of users to them.

pub mod analysis;
pub mod compiled;
pub mod division;
pub mod document;
pub mod metric;
pub mod succession;
