//! `cutover canary start`, `retry`, `promote`, `approve`, `pause`, `resume` and `rollback`: one
//! request, whose path ends in the verb, with a query for some.

use super::path::path;
use crate::{
    client::Client,
    failure::Failure,
    output::{self, Format},
    publication,
};
use reqwest::Method;

/// Sends the verb to a flag's canary.
///
/// # Errors
///
/// Fails if the management API refuses the change or cannot be reached.
pub(super) fn run(client: &Client, flag: &str, verb: &str, format: Format) -> Result<(), Failure> {
    let response = client.send(Method::POST, &path(flag, &format!("/{verb}")), None)?;
    output::show(format, &response, || {
        let field = |name: &str| output::field(&response, name);
        println!(
            "{}: run {} is {} at {} percent{}",
            field("flag"),
            field("run"),
            field("state"),
            field("percentage"),
            publication::note(&response)
        );
        output::warnings(&response);
    });
    Ok(())
}
