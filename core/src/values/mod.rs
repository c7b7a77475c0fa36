//! Flags with values, and segments: as operators write them, as they are saved, and compiled for evaluation. Who may evaluate
//! them.

pub mod access;
pub mod compiled;
pub mod document;
pub mod evaluation;
pub mod explanation;
pub mod prerequisites;
pub mod segment;
pub mod split;
pub mod stale;
pub mod state;
pub mod succession;
pub mod variant;
pub mod window;
