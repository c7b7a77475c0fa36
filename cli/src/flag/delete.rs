//! `cutover flag delete`: removes a flag.

use crate::{
    client::Client, confirm::Confirmation, failure::Failure, flags, object_deletion::Deletion, output::Format,
};
use clap::Args;
use serde_json::Value;

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
    let deletion = Deletion { kind: "flag", name: flag, path: &flags::path(flag), lost };
    deletion.run(*confirmation, client, format)?;
    Ok(())
}

/// Describes what is lost with a flag.
fn lost(flag: &Value) -> String {
    let state = if flags::is_on(flag) { "enabled" } else { "disabled" };
    let share = flags::percent(flag).unwrap_or_default();
    format!("it is {state} at {share} percent, and its lists and conditions are lost")
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
