//! Matching of a method and a path.

pub mod matcher;
pub mod table;
