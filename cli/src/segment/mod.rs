//! `cutover segment …`: users that rules of flags with values name.

mod command;
mod create;
mod show;

pub use command::{Command, run};
