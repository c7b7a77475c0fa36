//! `cutover changes …`: what waits for a second person.

use crate::{
    client::{Client, encode},
    failure::Failure,
    output::{self, Format, pick},
};
use clap::Subcommand;
use reqwest::Method;
use serde_json::Value;

/// What can be done with changes that wait.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// All of them.
    List,
    /// What one of them would change.
    Show {
        /// Its id.
        id: String,
    },
    /// Agree to one, as the second person. It is made at once.
    Approve {
        /// Its id.
        id: String,
    },
    /// Give one up.
    Withdraw {
        /// Its id.
        id: String,
    },
}

/// Runs a command.
pub fn run(command: Command, client: &Client, format: Format) -> Result<(), Failure> {
    let answer = match &command {
        Command::List => client.get("/changes")?,
        Command::Show { id } => client.get(&format!("/changes/{}", encode(id)))?,
        Command::Approve { id } => {
            client.send(Method::POST, &format!("/changes/{}/approve", encode(id)), None)?
        }
        Command::Withdraw { id } => client.send(Method::DELETE, &format!("/changes/{}", encode(id)), None)?,
    };
    match (format, command) {
        (Format::Json, _) => output::json(&answer),
        (Format::Table, Command::List) => {
            let changes = answer.get("changes").and_then(Value::as_array).into_iter().flatten();
            let names = ["change", "action", "objects", "requested_by", "expires_at", "reason"];
            let rows: Vec<_> = changes.map(|change| pick(change, &names)).collect();
            output::table(&["ID", "ACTION", "OBJECTS", "BY", "ENDS", "REASON"], &rows);
        }
        (Format::Table, Command::Show { .. }) => output::json(&answer),
        (Format::Table, Command::Approve { id }) => {
            let revision = answer.get("revision").map(output::cell).unwrap_or_default();
            println!("{id} is made; revision {revision}");
        }
        (Format::Table, Command::Withdraw { id }) => println!("{id} is given up"),
    }
    Ok(())
}
