//! The commands below `cutover canary`, by stage.

use super::{
    begin, examples, forecast, list,
    outcome::Outcome,
    plan::{self, Source},
    replay, runs, simulate, status, steer, wait, watch,
};
use crate::{client::Client, failure::Failure, output::Format};
use clap::{Args, Subcommand};

/// Commands on canaries.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Commands on runs.
    #[command(flatten)]
    Run(RunCommand),
    /// Commands on plans.
    #[command(flatten)]
    Plan(PlanCommand),
}

/// Commands on runs, which always need the management API.
#[derive(Debug, Subcommand)]
pub enum RunCommand {
    /// List all canaries.
    #[command(after_help = examples::LIST)]
    List,
    /// Show a canary's step, its evidence, and its next move.
    #[command(after_help = examples::STATUS)]
    Status(Flag),
    /// List a flag's runs, newest first.
    #[command(after_help = examples::RUNS)]
    Runs(runs::Options),
    /// Watch the run live until it ends.
    #[command(after_help = examples::WATCH)]
    Watch(watch::Options),
    /// Wait until the run has reached a state or a step, for scripts.
    #[command(after_help = examples::WAIT)]
    Wait(wait::Options),
    /// Start a run at the plan's first step, the first one or one after an earlier run.
    ///
    /// The flag gets the share of the first step, also if its share is larger now, and its evidence moves more users from
    /// then on; this is asked first.
    /// After a rollback users are dealt anew, as by retry.
    #[command(after_help = examples::START)]
    Start(begin::Options),
    /// Start a new run after the last one has ended, and fail if there was none.
    ///
    /// Does the same as start, for scripts that must not begin the first run of a canary, and offers to keep the
    /// users. After a rollback users are dealt anew: the same users on the same backend would repeat a rollback that a
    /// few of them had caused without a fault.
    #[command(after_help = examples::RETRY)]
    Retry {
        #[command(flatten)]
        options: begin::Options,
        /// Keep the users of the last run on the backends that they had.
        #[arg(long)]
        keep_users: bool,
    },
    /// Advance one step now, regardless of the evidence.
    #[command(after_help = examples::PROMOTE)]
    Promote(steer::Promotion),
    /// Approve the next step, which still waits for its evidence.
    #[command(after_help = examples::APPROVE)]
    Approve(steer::Approval),
    /// Pause the run; a breach still rolls it back.
    #[command(after_help = examples::PAUSE)]
    Pause(Flag),
    /// Resume a paused run.
    #[command(after_help = examples::RESUME)]
    Resume(steer::Resumption),
    /// Send all users back to legacy and end the run.
    #[command(after_help = examples::ROLLBACK)]
    Rollback(steer::Rollback),
    /// Remove the plan and the ended run; the flag stays as it is.
    #[command(after_help = examples::DELETE)]
    Delete(Flag),
    /// Recompute every decision of a run from its records, and report differences.
    #[command(after_help = examples::REPLAY)]
    Replay {
        /// Name of the flag.
        flag: String,
        /// Id of the run, from cutover canary runs [default: the newest].
        run: Option<String>,
    },
}

/// Commands on plans, which need the management API only if no file is given.
#[derive(Debug, Subcommand)]
pub enum PlanCommand {
    /// Show the test that decides each step, and the traffic that it needs.
    #[command(after_help = examples::PLAN)]
    Plan {
        #[command(flatten)]
        source: Source,
        #[command(flatten)]
        assumptions: forecast::Assumptions,
    },
    /// Simulate a plan against a backend with given rates, before any user is exposed.
    #[command(after_help = examples::SIMULATE)]
    Simulate {
        #[command(flatten)]
        source: Source,
        #[command(flatten)]
        assumptions: simulate::Assumptions,
    },
}

/// Arguments of the commands on one canary.
#[derive(Debug, Args)]
pub struct Flag {
    /// Name of the flag.
    flag: String,
}

impl RunCommand {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// Fails if the management API refuses the request or cannot be reached.
    pub fn run(self, client: &Client, format: Format) -> Result<(), Failure> {
        match self {
            Self::List => list::run(client, format),
            Self::Status(Flag { flag }) => status::run(client, &flag, format),
            Self::Runs(options) => runs::run(client, &options, format),
            Self::Watch(options) => watch::run(client, &options, format).and_then(Outcome::result),
            Self::Wait(options) => wait::run(client, &options, format).and_then(Outcome::result),
            Self::Start(options) => begin::run(client, &options, "start", format),
            Self::Retry { options, keep_users } => {
                let verb = if keep_users { "retry?keep_salt=true" } else { "retry" };
                begin::run(client, &options, verb, format)
            }
            Self::Promote(promotion) => steer::promote(&promotion, client, format),
            Self::Approve(approval) => steer::approve(&approval, client, format),
            Self::Pause(Flag { flag }) => steer::run(client, &flag, "pause", format),
            Self::Resume(resumption) => steer::resume(&resumption, client, format),
            Self::Rollback(rollback) => steer::roll_back(&rollback, client, format),
            Self::Delete(Flag { flag }) => steer::delete(client, &flag, format),
            Self::Replay { flag, run } => replay::run(client, &flag, run.as_deref(), format),
        }
    }
}

impl PlanCommand {
    /// Runs the command. Calls `connect` only if the plan is not in a file.
    ///
    /// # Errors
    ///
    /// Fails if an argument is out of range, or if the plan cannot be read.
    pub fn run(
        self,
        connect: impl FnOnce() -> Result<Client, Failure>,
        format: Format,
    ) -> Result<(), Failure> {
        match self {
            Self::Plan { source, assumptions } => {
                forecast::run(&plan::read(&source, connect)?, &assumptions, format)
            }
            Self::Simulate { source, assumptions } => {
                simulate::run(&plan::read(&source, connect)?, &assumptions, format)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::Cli;
    use clap::{CommandFactory, Parser};

    #[test]
    fn every_command_has_examples_that_can_be_typed() {
        let mut cli = Cli::command();
        let canary = cli.find_subcommand_mut("canary").unwrap();
        for command in canary.get_subcommands().filter(|command| command.get_name() != "help") {
            let name = command.get_name();
            let help =
                command.get_after_help().unwrap_or_else(|| panic!("{name} has no examples")).to_string();
            let examples: Vec<&str> =
                help.lines().map(str::trim).filter(|line| line.starts_with("cutover ")).collect();
            assert!(!examples.is_empty(), "{name}");
            for example in examples {
                assert!(
                    example.starts_with(&format!("cutover canary {name} ")) || name == "list",
                    "{example}"
                );
                let parsed = Cli::try_parse_from(example.split_whitespace());
                assert!(parsed.is_ok(), "{example}: {}", parsed.unwrap_err());
            }
        }
    }
}
