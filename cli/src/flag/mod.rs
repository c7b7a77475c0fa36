//! `cutover flag …`: creates, edits and deletes flags.

mod command;
mod create;
mod delete;
mod edit;
mod editor;

pub use command::{Command, run};
