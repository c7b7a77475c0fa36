//! The commands below `cutover value`.

use super::{change, create, explain, show};
use crate::{client::Client, failure::Failure, output::Format};
use clap::{Args, Subcommand};

/// Commands on flags with values.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List all flags with values.
    List,
    /// Show a flag, with the state of its schedule.
    Get(Flag),
    /// Create a flag, which is disabled unless stated.
    Create(create::Options),
    /// Edit a flag as YAML in your editor (VISUAL or EDITOR).
    Edit(change::Change),
    /// Enable a flag, until a later change of its schedule.
    Enable(change::Change),
    /// Disable a flag, until a later change of its schedule: all its users have the variant off.
    Disable(change::Disable),
    /// Show the value of a user, and the part of the flag that decides.
    Explain(explain::Options),
    /// Delete a flag that is a prerequisite of no other.
    Delete(change::Change),
}

/// Arguments of the commands on one flag.
#[derive(Debug, Args)]
pub struct Flag {
    /// Name of the flag.
    flag: String,
}

/// Runs a command.
///
/// # Errors
///
/// Fails if a change is not confirmed, or if the management API refuses the request or cannot be reached.
pub fn run(command: &Command, client: &Client, format: Format) -> Result<(), Failure> {
    match command {
        Command::List => show::list(client, format),
        Command::Get(Flag { flag }) => show::get(flag, client, format),
        Command::Create(options) => create::run(options, client, format),
        Command::Edit(options) => change::edit(options, client, format),
        Command::Enable(options) => change::enable(options, client, format),
        Command::Disable(options) => change::disable(options, client, format),
        Command::Explain(options) => explain::run(options, client, format),
        Command::Delete(options) => change::delete(options, client, format),
    }
}
