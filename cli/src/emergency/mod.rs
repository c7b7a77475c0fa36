//! `cutover emergency-rollback` and `cutover emergency-clear`. They have two ways: the function for emergencies, which has
//! instances of its own, and management.

mod clear;
mod reason;
mod rollback;
mod way;

pub use clear::{Clear, run as clear};
pub use rollback::{Rollback, run as roll_back};
