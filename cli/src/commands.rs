//! The command line as a table of contents: each command with its help, and each stage as an enum.
//! The stage decides whether a command connects to the management API: never ([`LocalCommand`]),
//! only if no file is given ([`canary::Command::Plan`]), or always ([`RemoteCommand`],
//! [`canary::Command::Run`]). An emergency has two ways to it.

use crate::{
    adapter, apply, audit, canary, changes,
    client::Client,
    compare, completions,
    connection::Connection,
    context, elsewhere, emergency,
    encoding::{self, Encoding},
    experiment, explain, export,
    failure::Failure,
    flag, flags, help, init, man, metrics, names,
    output::{self, Format},
    preflight, restore, route, segment, status, token, value, version, whoami,
};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, error::ErrorKind};
use clap_complete::Shell;
use std::{ffi::OsString, path::PathBuf};

/// Alias of `cutover canary start`.
const START_CANARY: &str = "start-canary";

/// Heading of the options about the output of every command.
const OUTPUT: &str = "Output options";

/// Move an API from its old backend to its new one, and back.
#[derive(Debug, Parser)]
#[command(name = "cutover", version, propagate_version = true, after_help = help::EXIT_CODES)]
pub struct Cli {
    /// Print the API's JSON instead of tables, and errors as JSON: -o json.
    #[arg(long, global = true, hide_short_help = true, help_heading = OUTPUT)]
    json: bool,
    /// Print documents for programs instead of tables.
    #[arg(
        short = 'o',
        long = "format",
        value_name = "FORMAT",
        global = true,
        hide_short_help = true,
        help_heading = OUTPUT
    )]
    encoding: Option<Encoding>,
    /// Print tables without the line that names their columns.
    #[arg(long, global = true, hide_short_help = true, help_heading = OUTPUT)]
    no_headers: bool,
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

impl Cli {
    /// Returns true if errors are told as JSON.
    pub fn has_json_errors(&self) -> bool {
        self.encoding().is_some_and(Encoding::has_json_errors)
    }

    /// Returns the encoding for programs; `None` for people.
    fn encoding(&self) -> Option<Encoding> {
        self.encoding.or(self.json.then_some(Encoding::Json))
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Remote(RemoteCommand),
    /// Send all users to legacy until the emergency is cleared.
    #[command(after_help = help::EMERGENCY)]
    EmergencyRollback(emergency::Rollback),
    /// End the emergency.
    #[command(after_help = help::EMERGENCY)]
    EmergencyClear(emergency::Clear),
    /// Start, steer, watch and simulate canaries.
    #[command(after_help = help::CANARY)]
    Canary {
        #[command(subcommand)]
        command: canary::Command,
    },
    /// Check a deployment from outside and suggest fixes.
    #[command(after_help = help::PREFLIGHT)]
    Preflight(preflight::Options),
    /// Store a token for the context in use, once it was accepted.
    #[command(after_help = help::LOGIN)]
    Login(context::LoginOptions),
    /// Choose between deployments, such as staging and production.
    #[command(after_help = help::CONTEXT)]
    Context {
        #[command(subcommand)]
        command: context::Command,
    },
    /// Print names for completions.
    #[command(name = "__names", hide = true)]
    Names(names::Options),
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
    Enable(flags::Enable),
    /// Disable a flag; all its users go to legacy.
    Disable(flags::Disable),
    /// Set the percentage of users on the new backend.
    #[command(after_help = help::ROLLOUT)]
    Rollout(flags::Rollout),
    /// Show the progress and health of the migration.
    Status,
    /// Check a configuration file, show its changes, and apply it.
    #[command(after_help = help::APPLY)]
    Apply(apply::Options),
    /// Show the changes that a configuration file would make.
    #[command(after_help = help::DIFF)]
    Diff(apply::Diff),
    /// Create, edit and delete flags.
    #[command(after_help = help::FLAG)]
    Flag {
        #[command(subcommand)]
        command: flag::Command,
    },
    /// Create, edit and explain flags with values.
    #[command(after_help = help::VALUE)]
    Value {
        #[command(subcommand)]
        command: value::Command,
    },
    /// Create, edit and delete segments of users.
    #[command(after_help = help::SEGMENT)]
    Segment {
        #[command(subcommand)]
        command: segment::Command,
    },
    /// List, show and delete routes.
    #[command(after_help = help::ROUTE)]
    Route {
        #[command(subcommand)]
        command: route::Command,
    },
    /// Create, start, pause, stop and look at experiments.
    #[command(after_help = help::EXPERIMENT)]
    Experiment {
        #[command(subcommand)]
        command: experiment::Command,
    },
    /// Create a draft of an A/B test: control and treatment.
    CreateAbTest(experiment::AbTest),
    /// Show differences between both backends' responses.
    Compare {
        #[command(subcommand)]
        command: compare::Command,
    },
    /// Print the configuration as a file to apply again.
    Export,
    /// Explain the edge's decision for a user.
    #[command(after_help = help::EXPLAIN)]
    Explain(explain::Options),
    /// Show the audit log, newest change first.
    #[command(after_help = help::AUDIT)]
    Audit(audit::Options),
    /// Show your name, role and token expiry.
    Whoami,
    /// Manage access tokens.
    #[command(after_help = help::TOKEN)]
    Token {
        #[command(subcommand)]
        command: token::Command,
    },
    /// Approve or withdraw changes that need a second person.
    Changes {
        #[command(subcommand)]
        command: changes::Command,
    },
    /// Print the collected metrics as JSON.
    Metrics(metrics::Options),
    /// Have isolates follow a table restored from a backup.
    Restore(restore::Options),
}

impl RemoteCommand {
    fn run(self, client: &Client, format: Format) -> Result<(), Failure> {
        match self {
            Self::List => flags::list(client, format),
            Self::Get(flag) => flags::get(&flag, client, format),
            Self::Enable(enable) => flags::enable(&enable, client, format),
            Self::Disable(disable) => flags::disable(&disable, client, format),
            Self::Rollout(rollout) => flags::rollout(&rollout, client, format),
            Self::Status => status::run(client, format),
            Self::Apply(options) => apply::run(&options, client, format),
            Self::Diff(options) => apply::diff(&options, client, format),
            Self::Flag { command } => flag::run(&command, client, format),
            Self::Value { command } => value::run(&command, client, format),
            Self::Segment { command } => segment::run(&command, client, format),
            Self::Route { command } => route::run(&command, client, format),
            Self::Experiment { command } => experiment::run(&command, client, format),
            Self::CreateAbTest(options) => experiment::create_ab_test(&options, client, format),
            Self::Compare { command } => compare::run(&command, client, format),
            Self::Export => export::run(client, format),
            Self::Explain(options) => explain::run(&options, client, format),
            Self::Audit(options) => audit::run(&options, client, format),
            Self::Whoami => whoami::run(client, format),
            Self::Token { command } => token::run(command, client, format),
            Self::Changes { command } => changes::run(command, client, format),
            Self::Metrics(options) => metrics::run(&options, client),
            Self::Restore(options) => restore::run(&options, client, format),
        }
    }
}

/// Commands that never need the management API.
#[derive(Debug, Subcommand)]
enum LocalCommand {
    /// Write a first configuration from the URLs of both backends.
    #[command(after_help = help::INIT)]
    Init(init::Options),
    /// Write, try and test adapters.
    Adapter {
        #[command(subcommand)]
        command: Box<adapter::Command>,
    },
    /// Print shell completions, with the names of objects.
    #[command(after_help = help::COMPLETIONS)]
    Completions {
        /// Shell to complete for.
        shell: Shell,
    },
    /// Write manual pages.
    Man {
        /// Folder to write them into.
        folder: PathBuf,
    },
    /// Print the version of the command line.
    Version,
}

impl LocalCommand {
    fn run(self, format: Format) -> Result<(), Failure> {
        match self {
            Self::Init(options) => init::run(&options, format),
            Self::Adapter { command } => adapter::run(&command, format),
            Self::Completions { shell } => {
                completions::print(shell, &mut command());
                Ok(())
            }
            Self::Man { folder } => man::write(&folder, command()),
            Self::Version => {
                version::print(format);
                Ok(())
            }
        }
    }
}

/// Builds the description of the command line.
pub fn command() -> clap::Command {
    help::arranged(Cli::command())
}

/// Parses arguments, the first of which is the name of the program.
///
/// # Errors
///
/// Fails if they are wrong, or if they ask for help.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let mut words: Vec<OsString> = arguments.collect();
    if let Some(place) = words.iter().position(|word| word.to_str() == Some(START_CANARY)) {
        drop(words.splice(place..=place, ["canary".into(), "start".into()]));
    }
    let matches = command().try_get_matches_from(&words);
    Cli::from_arg_matches(&matches.map_err(|error| with_command(error, &words))?)
}

/// Names the command to use in a mistake about one that has another name here.
fn with_command(error: clap::Error, words: &[OsString]) -> clap::Error {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return error;
    }
    let mut root = command();
    let words: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
    match elsewhere::mistake(&words, |word| root.find_subcommand(word).is_some()) {
        Some(mistake) => root.error(ErrorKind::InvalidSubcommand, mistake),
        None => error,
    }
}

/// Runs a command.
///
/// # Errors
///
/// Fails if the command does, or if it needs the management API and its URL or token is missing.
pub fn run(cli: Cli) -> Result<(), Failure> {
    let encoding = cli.encoding();
    let Cli { connection, no_headers, command, .. } = cli;
    if no_headers {
        output::hide_headings();
    }
    encoding.into_iter().for_each(encoding::choose);
    let format = if encoding.is_some() { Format::Json } else { Format::Table };
    let connect = || -> Result<Client, Failure> {
        let client = connection.connect()?;
        client.environment().announce(format);
        Ok(client)
    };
    let done = match command {
        Command::Local(command) => command.run(format),
        Command::Canary { command: canary::Command::Plan(command) } => command.run(connect, format),
        Command::Canary { command: canary::Command::Run(command) } => command.run(&connect()?, format),
        Command::EmergencyRollback(rollback) => {
            connection.announce(format);
            emergency::roll_back(&rollback, &connection, format)
        }
        Command::EmergencyClear(clear) => {
            connection.announce(format);
            emergency::clear(&clear, &connection, format)
        }
        Command::Preflight(options) => {
            let client = connect()?;
            let options = options.with_addresses(&connection, connection.context()?.as_ref())?;
            preflight::run(&options, &client, format)
        }
        Command::Login(options) => context::login(&options, &connection, format),
        Command::Context { command } => context::run(&command, &connection, format),
        Command::Names(options) => names::run(&options, &connection),
        Command::Remote(RemoteCommand::Explain(options)) if options.is_legend() => {
            explain::legend(format);
            Ok(())
        }
        Command::Remote(command) => command.run(&connect()?, format),
    };
    match output::refusal() {
        Some(cause) => Err(Failure::Usage(format!("{cause}\n  hint: use -o json"))),
        None => done,
    }
}

#[cfg(test)]
mod tests;
