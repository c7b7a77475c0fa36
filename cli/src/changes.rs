//! `cutover changes …`: changes that need a second person's approval.

use crate::{
    client::{Client, encode},
    failure::Failure,
    output::{self, Format, pick},
};
use clap::Subcommand;
use reqwest::Method;
use serde_json::Value;

/// Commands on pending changes.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List pending changes.
    List,
    /// Show a pending change.
    Show {
        /// Id of the change.
        id: String,
    },
    /// Approve a change requested by another operator, and apply it at once.
    Approve {
        /// Id of the change.
        id: String,
    },
    /// Withdraw a pending change.
    Withdraw {
        /// Id of the change.
        id: String,
    },
}

/// Runs a command.
///
/// # Errors
///
/// Fails if the management API refuses the request or cannot be reached.
pub fn run(command: Command, client: &Client, format: Format) -> Result<(), Failure> {
    let path = |id: &str| format!("/changes/{}", encode(id));
    match command {
        Command::List => {
            let response = client.whole("/changes", "changes")?;
            output::show(format, &response, || {
                let names = ["change", "action", "objects", "requested_by", "expires_at", "reason"];
                let row = |change: &Value| {
                    let mut row = pick(change, &names);
                    if let Some(expiry) = row.get_mut(4) {
                        *expiry = output::time(expiry);
                    }
                    row
                };
                let rows: Vec<_> = output::list(&response, "changes").map(row).collect();
                output::table(&["ID", "ACTION", "OBJECTS", "BY", "EXPIRES", "REASON"], &rows);
            });
        }
        Command::Show { id } => output::json(&client.get(&path(&id))?),
        Command::Approve { id } => {
            let response = client.send(Method::POST, &format!("{}/approve", path(&id)), None)?;
            output::show(format, &response, || {
                println!("approved and applied {id} as revision {}", output::field(&response, "revision"));
            });
        }
        Command::Withdraw { id } => {
            let response = client.send(Method::DELETE, &path(&id), None)?;
            output::show(format, &response, || println!("withdrew {id}"));
        }
    }
    Ok(())
}
