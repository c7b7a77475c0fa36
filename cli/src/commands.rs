//! The command line as a table of contents: each command with its help, and each stage as an enum.
//! The stage decides whether a command connects to the management API: never ([`LocalCommand`]),
//! only if no file is given ([`canary::Command::Plan`]), or always ([`RemoteCommand`],
//! [`canary::Command::Run`]). An emergency has two ways to it.

use crate::{
    adapter, apply, audit, canary, changes, client::Client, compare, completions, connection::Connection,
    emergency, explain, export, failure::Failure, flags, metrics, output::Format, preflight, restore, status,
    token, whoami,
};
use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

/// Move an API from its old backend to its new one, and back.
#[derive(Debug, Parser)]
#[command(name = "cutover", version, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    connection: Connection,
    /// Print the API's JSON instead of tables.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Remote(RemoteCommand),
    /// Send all users to legacy at once, until the emergency is cleared.
    EmergencyRollback(emergency::Rollback),
    /// End the emergency.
    EmergencyClear(emergency::Clear),
    /// Start, steer, watch and simulate canaries.
    Canary {
        #[command(subcommand)]
        command: canary::Command,
    },
    #[command(flatten)]
    Local(LocalCommand),
}

/// Commands that always need the management API.
#[derive(Debug, Subcommand)]
enum RemoteCommand {
    /// List all flags.
    List,
    /// Show a flag.
    Get(flags::Flag),
    /// Enable a flag.
    Enable(flags::Flag),
    /// Disable a flag; all its users go to legacy.
    Disable(flags::Flag),
    /// Set the percentage of users on the new backend.
    Rollout(flags::Rollout),
    /// Show the progress and health of the migration.
    Status,
    /// Check a configuration file, show its changes, and apply it.
    Apply(apply::Options),
    /// Show differences between both backends' responses.
    Compare {
        #[command(subcommand)]
        command: compare::Command,
    },
    /// Print the configuration as a file that can be applied again.
    Export,
    /// Explain the edge's decision for a user.
    Explain(explain::Options),
    /// Show the audit log, newest change first.
    Audit(audit::Options),
    /// Show your name, role and token expiry.
    Whoami,
    /// Manage access tokens.
    Token {
        #[command(subcommand)]
        command: token::Command,
    },
    /// Approve or withdraw changes that need a second person.
    Changes {
        #[command(subcommand)]
        command: changes::Command,
    },
    /// Check a deployment from outside and suggest fixes.
    Preflight(preflight::Options),
    /// Print the collected metrics as JSON.
    Metrics,
    /// Have isolates follow a table that was restored from a backup.
    Restore(restore::Options),
}

impl RemoteCommand {
    fn run(self, client: &Client, format: Format) -> Result<(), Failure> {
        match self {
            Self::List => flags::list(client, format),
            Self::Get(flag) => flags::get(&flag, client, format),
            Self::Enable(flag) => flags::enable(&flag, client, format),
            Self::Disable(flag) => flags::disable(&flag, client, format),
            Self::Rollout(rollout) => flags::rollout(&rollout, client, format),
            Self::Status => status::run(client, format),
            Self::Apply(options) => apply::run(&options, client, format),
            Self::Compare { command } => compare::run(&command, client, format),
            Self::Export => export::run(client, format),
            Self::Explain(options) => explain::run(&options, client, format),
            Self::Audit(options) => audit::run(&options, client, format),
            Self::Whoami => whoami::run(client, format),
            Self::Token { command } => token::run(command, client, format),
            Self::Changes { command } => changes::run(command, client, format),
            Self::Preflight(options) => preflight::run(&options, client, format),
            Self::Metrics => metrics::run(client),
            Self::Restore(options) => restore::run(&options, client, format),
        }
    }
}

/// Commands that never need the management API.
#[derive(Debug, Subcommand)]
enum LocalCommand {
    /// Write, try and test adapters.
    Adapter {
        #[command(subcommand)]
        command: Box<adapter::Command>,
    },
    /// Print shell completions.
    Completions {
        /// Shell to complete for.
        shell: Shell,
    },
}

impl LocalCommand {
    fn run(self, format: Format) -> Result<(), Failure> {
        match self {
            Self::Adapter { command } => adapter::run(&command, format),
            Self::Completions { shell } => {
                completions::print(shell, &mut Cli::command());
                Ok(())
            }
        }
    }
}

/// Runs a command.
///
/// # Errors
///
/// Fails if the command does, or if it needs the management API and its URL or token is missing.
pub fn run(cli: Cli) -> Result<(), Failure> {
    let Cli { connection, json, command } = cli;
    let format = if json { Format::Json } else { Format::Table };
    match command {
        Command::Local(command) => command.run(format),
        Command::Canary { command: canary::Command::Plan(command) } => {
            command.run(|| connection.connect(), format)
        }
        Command::Canary { command: canary::Command::Run(command) } => {
            command.run(&connection.connect()?, format)
        }
        Command::EmergencyRollback(rollback) => emergency::roll_back(&rollback, &connection, format),
        Command::EmergencyClear(clear) => emergency::clear(&clear, &connection, format),
        Command::Remote(command) => command.run(&connection.connect()?, format),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
