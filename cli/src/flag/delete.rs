//! `cutover flag delete`: removes a flag.

use crate::{
    client::Client,
    confirm::Confirmation,
    etag,
    failure::Failure,
    flags,
    output::{self, Format},
    publication,
};
use clap::Args;
use reqwest::Method;

/// Arguments of `cutover flag delete`.
#[derive(Debug, Args)]
pub struct Options {
    /// Name of the flag.
    flag: String,
    #[command(flatten)]
    confirmation: Confirmation,
}

/// Deletes a flag as it is shown, with its ended run.
///
/// # Errors
///
/// Fails if a route or a canary uses the flag, if the deletion is not confirmed, or if the management API refuses it or
/// cannot be reached.
pub fn run(options: &Options, client: &Client, format: Format) -> Result<(), Failure> {
    let Options { flag, confirmation } = options;
    let path = flags::path(flag);
    let before = client.get(&path)?;
    let state = if flags::is_on(&before) { "enabled" } else { "disabled" };
    let share = flags::percent(&before).unwrap_or_default();
    let lost = format!("it is {state} at {share} percent, and its lists and conditions are lost");
    confirmation.confirm(client.environment(), &format!("delete the flag {flag}"), &lost)?;
    let tag = etag::as_read(&before, "version");
    let response = client.on_condition("if-match", &tag).send(Method::DELETE, &path, None)?;
    output::show_change(format, &response, || {
        println!("deleted {flag}; {}", publication::revision(&response))
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{command_line::CommandLine, environment::Environment, fake_server::answering};
    use clap::Parser;

    #[test]
    fn with_yes_production_is_not_asked() {
        let body = r#"{"name":"f","enabled":true,"rollout_percentage":25.0,"version":3,"revision":4}"#;
        let (url, paths) = answering(200, body);
        let client = Client::new(&url, "t", None).unwrap();
        let client = client.in_environment(Environment::of_context("live", &url, true));
        let parsed = CommandLine::<Options>::parse_from(["delete", "f", "--yes"]);
        run(&parsed.arguments, &client, Format::Json).unwrap();
        assert_eq!(*paths.lock().unwrap(), ["/api/migration/flags/f", "/api/migration/flags/f"]);
    }
}
