//! Matching of a method and a path.

pub mod matcher;
pub mod pattern;
pub mod table;
