//! The decision of one request: a snapshot compiled to a ruleset, and its evaluation.

pub mod assignments;
pub mod breaker;
mod circumstances;
pub mod compile;
pub mod counted;
pub mod decide;
pub mod evaluate;
pub mod failover;
pub mod input;
pub mod route;
pub mod ruleset;
mod turns;
