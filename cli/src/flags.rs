//! `cutover list`, `get`, `enable`, `disable` and `rollout`. They share one file because they share
//! a path and a table.

use crate::{
    client::{Client, encode},
    failure::Failure,
    output::{self, Format, pick},
    publication,
};
use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

/// Arguments of the commands on one flag.
#[derive(Debug, Args)]
pub struct Flag {
    /// Name of the flag.
    flag: String,
}

/// Arguments of `cutover rollout`.
#[derive(Debug, Args)]
pub struct Rollout {
    /// Name of the flag.
    flag: String,
    /// Percentage of users, 0 to 100, with at most four decimals.
    percentage: f64,
}

/// Lists all flags.
///
/// # Errors
///
/// Fails if the management API refuses the request or cannot be reached.
pub fn list(client: &Client, format: Format) -> Result<(), Failure> {
    let flags = client.all("/flags", "flags")?;
    output::show(format, &json!({ "flags": flags }), || table(&flags));
    Ok(())
}

/// Shows every field of a flag.
///
/// # Errors
///
/// Fails if there is no such flag, or if the management API cannot be reached.
pub fn get(Flag { flag }: &Flag, client: &Client, format: Format) -> Result<(), Failure> {
    let response = client.get(&path(flag))?;
    output::show(format, &response, || output::fields(&response));
    Ok(())
}

/// Enables a flag, so that its rollout percentage takes effect.
///
/// # Errors
///
/// Fails if the management API refuses the change or cannot be reached.
pub fn enable(Flag { flag }: &Flag, client: &Client, format: Format) -> Result<(), Failure> {
    let response = client.send(Method::POST, &format!("{}/enable", path(flag)), None)?;
    show_change(&response, format);
    Ok(())
}

/// Disables a flag, which sends all its users to legacy.
///
/// # Errors
///
/// Fails if the management API refuses the change or cannot be reached.
pub fn disable(Flag { flag }: &Flag, client: &Client, format: Format) -> Result<(), Failure> {
    let response = client.send(Method::POST, &format!("{}/disable", path(flag)), None)?;
    show_change(&response, format);
    Ok(())
}

/// Sets the rollout percentage of a flag.
///
/// # Errors
///
/// Fails if the management API refuses the change or cannot be reached.
pub fn rollout(rollout: &Rollout, client: &Client, format: Format) -> Result<(), Failure> {
    let body = json!({ "percentage": rollout.percentage });
    let response = client.send_json(Method::PUT, &format!("{}/rollout", path(&rollout.flag)), &body)?;
    show_change(&response, format);
    Ok(())
}

fn path(flag: &str) -> String {
    format!("/flags/{}", encode(flag))
}

/// Prints one row per flag.
fn table(flags: &[Value]) {
    let names = ["name", "enabled", "rollout_percentage", "version", "updated_by", "description"];
    let rows: Vec<_> = flags.iter().map(|flag| pick(flag, &names)).collect();
    output::table(&["FLAG", "ON", "PERCENT", "VERSION", "BY", "DESCRIPTION"], &rows);
}

fn show_change(response: &Value, format: Format) {
    output::show(format, response, || {
        table(std::slice::from_ref(response));
        println!("done; {}", publication::revision(response));
    });
}
