//! The commands below `cutover flag`.

use super::{create, delete, edit, stale};
use crate::{client::Client, failure::Failure, flags, output::Format};
use clap::Subcommand;

/// Commands on flags.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List all flags.
    List,
    /// Show a flag.
    Get(flags::Flag),
    /// Create a flag, which is disabled and at 0 percent unless stated.
    Create(create::Options),
    /// Edit a flag as YAML in your editor (VISUAL or EDITOR).
    Edit(edit::Options),
    /// Delete a flag that no route and no canary uses.
    Delete(delete::Options),
    /// List flags that have done their work, also those with values.
    ///
    /// One that has given all users the same variant for 7 days is settled, one that has not changed for 90 days is old.
    Stale,
}

/// Runs a command.
///
/// # Errors
///
/// Fails if the change is not confirmed, or if the management API refuses the request or cannot be reached.
pub fn run(command: &Command, client: &Client, format: Format) -> Result<(), Failure> {
    match command {
        Command::List => flags::list(client, format),
        Command::Get(flag) => flags::get(flag, client, format),
        Command::Create(options) => create::run(options, client, format),
        Command::Edit(options) => edit::run(options, client, format),
        Command::Delete(options) => delete::run(options, client, format),
        Command::Stale => stale::run(client, format),
    }
}
