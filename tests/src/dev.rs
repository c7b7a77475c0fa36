//! `cargo xtask dev`: all of Cutover on this machine, with a tour of it, or with backends of the user's own.

pub mod arguments;
pub mod endpoints;
pub mod expectation;
pub mod own;
pub mod schedule;
pub mod serve;
pub mod steps;
pub mod tour;
pub mod welcome;
