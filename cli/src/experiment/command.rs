//! The commands below `cutover experiment`.

use super::{assign, create, plan, replay, results, show, steer};
use crate::{client::Client, failure::Failure, output::Format};
use clap::{Args, Subcommand};

/// Commands on experiments.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List all experiments.
    List,
    /// Show an experiment.
    Get(Experiment),
    /// Create a draft with two variants of equal weight, control and treatment.
    Create(create::Options),
    /// Assign users to variants, also after a pause.
    Start(steer::Start),
    /// Assign nobody until the experiment is started again.
    ///
    /// Its users go where its flag sends them, within seconds.
    Pause(steer::Pause),
    /// End an experiment, with its outcome if there is one.
    ///
    /// Its users go where its flag sends them, within seconds. A winner changes nothing: roll it out with a canary.
    Stop(steer::Stop),
    /// Show the users, the tests and the conclusion of an experiment. It may be looked at at any time.
    Status(Experiment),
    /// Follow an experiment until it is stopped: a line for each change.
    Watch(results::Watch),
    /// Judge again what each record of an experiment holds, and compare.
    Replay(Experiment),
    /// Show the users and days that an experiment needs to find an effect.
    Plan(plan::Options),
    /// Show the variant of a user, or why the user has none. Nothing is counted.
    Assign(assign::Options),
    /// Delete an experiment that is not running.
    Delete(steer::Delete),
}

/// Arguments of the commands on one experiment.
#[derive(Debug, Args)]
pub struct Experiment {
    /// Name of the experiment.
    experiment: String,
}

/// Runs a command.
///
/// # Errors
///
/// Fails if a change is not confirmed, or if the management API refuses the request or cannot be reached.
pub fn run(command: &Command, client: &Client, format: Format) -> Result<(), Failure> {
    match command {
        Command::List => show::list(client, format),
        Command::Get(Experiment { experiment }) => show::get(experiment, client, format),
        Command::Create(options) => create::run(options, client, format),
        Command::Start(options) => steer::start(options, client, format),
        Command::Pause(options) => steer::pause(options, client, format),
        Command::Stop(options) => steer::stop(options, client, format),
        Command::Status(Experiment { experiment }) => results::status(experiment, client, format),
        Command::Watch(options) => results::watch(options, client, format),
        Command::Replay(Experiment { experiment }) => replay::run(experiment, client, format),
        Command::Plan(options) => plan::run(options, client, format),
        Command::Assign(options) => assign::run(options, client, format),
        Command::Delete(options) => steer::delete(options, client, format),
    }
}
