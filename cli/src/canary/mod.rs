//! `cutover canary …`: start a canary and steer it, see where it stands, and know beforehand what a plan does.

mod replay;
mod show;
mod simulate;

use crate::{
    apply,
    client::{Client, encode},
    failure::Failure,
    output::{self, Format},
};
use clap::{Args, Subcommand};
use cutover_core::{FlagName, plan::CanaryPlan};
use reqwest::Method;
use serde_json::Value;
use std::path::PathBuf;

/// What can be done with canaries.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// All canaries.
    List,
    /// Where a canary stands, its evidence, and when and why it will move.
    Status(Flag),
    /// The same, again and again, until the run is over.
    Watch {
        #[command(flatten)]
        flag: Flag,
        /// Seconds between two looks.
        #[arg(long, default_value_t = 2)]
        every: u64,
    },
    /// Start a run at the plan's first step.
    Start(Flag),
    /// Start a new run after one that is over.
    Retry(Flag),
    /// Go one step up now, whatever the evidence says.
    Promote(Flag),
    /// Let the run enter its next step once the evidence is there.
    Approve(Flag),
    /// Stay where it is; a breach still takes it back.
    Pause(Flag),
    /// Go on.
    Resume(Flag),
    /// Send everybody back to legacy, and end the run.
    Rollback(Flag),
    /// The traffic that each step needs to be able to decide.
    Plan {
        #[command(flatten)]
        planned: Planned,
        /// The share of requests that fail, from 0 to 1.
        #[arg(long, default_value_t = 0.01)]
        error_rate: f64,
        /// The share of answers that are slower than the success limit, from 0 to 1.
        #[arg(long, default_value_t = 0.01)]
        slow_rate: f64,
    },
    /// What a plan does against a backend with given rates, before anybody is exposed.
    Simulate {
        #[command(flatten)]
        planned: Planned,
        #[command(flatten)]
        assumed: simulate::Assumed,
    },
    /// Make every decision of a run again from its records, and say where they differ.
    Replay {
        /// The flag.
        flag: String,
        /// The run; the newest one where none is named.
        run: Option<String>,
    },
}

/// One canary.
#[derive(Debug, Args)]
pub struct Flag {
    /// The flag.
    flag: String,
}

/// A plan: of the management API, or of a file that is not applied yet.
#[derive(Debug, Args)]
pub struct Planned {
    /// The flag.
    flag: String,
    /// Read the plan from this file instead of asking the management API; - for standard input.
    #[arg(short, long)]
    file: Option<PathBuf>,
}

/// Runs a command. The client is only made where somebody has to be asked.
pub fn run(
    command: Command,
    client: impl FnOnce() -> Result<Client, Failure>,
    format: Format,
) -> Result<(), Failure> {
    match command {
        Command::Plan { planned, error_rate, slow_rate } => {
            for (name, rate) in [("--error-rate", error_rate), ("--slow-rate", slow_rate)] {
                simulate::check_rate(name, rate)?;
            }
            show::forecast(&plan(&planned, client)?, error_rate, slow_rate, format);
            Ok(())
        }
        Command::Simulate { planned, assumed } => simulate::run(&plan(&planned, client)?, &assumed, format),
        Command::List => show::list(&client()?.get("/canary")?, format),
        Command::Status(Flag { flag }) => show::status(&client()?.get(&path(&flag, ""))?, format),
        Command::Watch { flag: Flag { flag }, every } => {
            show::watch(&client()?, &path(&flag, ""), every, format)
        }
        Command::Start(flag) => steer(&client()?, &flag, "start", format),
        Command::Retry(flag) => steer(&client()?, &flag, "retry", format),
        Command::Promote(flag) => steer(&client()?, &flag, "promote", format),
        Command::Approve(flag) => steer(&client()?, &flag, "approve", format),
        Command::Pause(flag) => steer(&client()?, &flag, "pause", format),
        Command::Resume(flag) => steer(&client()?, &flag, "resume", format),
        Command::Rollback(flag) => steer(&client()?, &flag, "rollback", format),
        Command::Replay { flag, run } => replay::run(&client()?, &flag, run.as_deref(), format),
    }
}

fn path(flag: &str, what: &str) -> String {
    format!("/canary/{}{what}", encode(flag))
}

fn steer(client: &Client, Flag { flag }: &Flag, what: &str, format: Format) -> Result<(), Failure> {
    let answer = client.send(Method::POST, &path(flag, &format!("/{what}")), None)?;
    if format == Format::Json {
        output::json(&answer);
        return Ok(());
    }
    let text = |name: &str| answer.get(name).map(output::cell).unwrap_or_default();
    println!(
        "{}: run {} is {} at {} percent{}",
        text("flag"),
        text("run"),
        text("state"),
        text("percentage"),
        apply::published_note(answer.get("published").and_then(Value::as_bool).unwrap_or_default())
    );
    for warning in answer.get("warnings").and_then(Value::as_array).into_iter().flatten() {
        eprintln!("warning: {}", output::cell(warning));
    }
    Ok(())
}

fn plan(planned: &Planned, client: impl FnOnce() -> Result<Client, Failure>) -> Result<CanaryPlan, Failure> {
    let missing = |place: &str| {
        Failure::Usage(format!(
            "{place} has no canary of {}\n  hint: write one under canary_deployments, and check the spelling",
            planned.flag
        ))
    };
    if let Some(file) = &planned.file {
        let (_, config) = apply::configuration(file)?;
        let flag: Option<FlagName> = planned.flag.parse().ok();
        return flag
            .and_then(|flag| config.canary_deployments.get(&flag).cloned())
            .ok_or_else(|| missing(&file.display().to_string()));
    }
    let answer = client()?.get(&path(&planned.flag, ""))?;
    let plan = answer.get("plan").cloned().ok_or_else(|| missing("the management API"))?;
    serde_json::from_value(plan)
        .map_err(|error| Failure::Io(format!("the management API sent a plan that cannot be read: {error}")))
}
