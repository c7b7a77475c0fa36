//! The decision of one request: a snapshot compiled to a ruleset, and its evaluation.

pub mod assignments;
pub mod compile;
pub mod decide;
pub mod diversion;
pub mod input;
pub mod route;
pub mod ruleset;
