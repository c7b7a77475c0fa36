//! `cutover value …`: flags with values, which applications evaluate.

mod change;
mod command;
mod create;
mod explain;
mod path;
mod show;

pub use command::{Command, run};
