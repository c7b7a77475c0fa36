//! `cutover flag …`: creates, edits and deletes flags.

mod command;
mod create;
mod delete;
mod edit;
mod editor;
mod stale;

pub use command::{Command, run};
pub use editor::Draft;
