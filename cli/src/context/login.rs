//! `cutover login`: stores a token for a context, once the management API has accepted it.

use super::{contexts::Contexts, device::Provider, file::ContextFile};
use crate::{
    bearer,
    connection::Connection,
    failure::Failure,
    output::{self, Format, field},
};
use clap::Args;
use serde_json::Value;

/// Arguments of `cutover login`.
#[derive(Debug, Args)]
pub struct Options {
    /// Read the token from standard input.
    #[arg(long, conflicts_with = "issuer")]
    token_stdin: bool,
    #[command(flatten)]
    provider: Provider,
}

/// Reads a token, checks it with the management API, and stores it for the chosen context.
///
/// # Errors
///
/// Fails if there is no context, or if the management API refuses the token or cannot be reached.
pub fn run(options: &Options, connection: &Connection, format: Format) -> Result<(), Failure> {
    let file = ContextFile::of_user()?;
    let contexts = file.read()?;
    let name = chosen(connection, &contexts)?;
    let token = match (connection.token_option(), options.provider.sign_in()?) {
        (Some(token), _) => bearer::checked(token)?,
        (None, Some(token)) => bearer::checked(&token)?,
        (None, None) => bearer::read(options.token_stdin)?.ok_or_else(nothing)?,
    };
    let client = connection.connect_as(&name, &contexts, &token)?;
    let caller = client.get("/whoami")?;
    // Read again: another command may have changed the file while this one asked.
    let mut contexts = file.read()?;
    contexts.get_mut(&name)?.token = Some(token);
    file.write(&contexts)?;
    output::show_change(format, &caller, || println!("{}", described(&name, &caller)));
    Ok(())
}

fn chosen(connection: &Connection, contexts: &Contexts) -> Result<String, Failure> {
    let variable = std::env::var("CUTOVER_CONTEXT").ok().filter(|name| !name.is_empty());
    connection.context_option().cloned().or(variable).or_else(|| contexts.current.clone()).ok_or_else(|| {
        let hint = "add one with cutover context add NAME --url URL";
        Failure::Usage(format!("no context is in use\n  hint: {hint}"))
    })
}

fn nothing() -> Failure {
    let hint = "pipe the token into cutover login --token-stdin, or run cutover login on a terminal";
    Failure::Usage(format!("no token given\n  hint: {hint}"))
}

fn described(context: &str, caller: &Value) -> String {
    let expiry = match output::text(caller, "expires_at") {
        "" => "it does not expire".to_owned(),
        time => format!("it expires {}", output::time(time)),
    };
    format!(
        "{context}: the token of {} ({}) is stored; {expiry}",
        field(caller, "name"),
        field(caller, "role")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn whoever_signs_in_learns_name_role_and_expiry() {
        let caller = json!({ "name": "ann", "role": "operator", "expires_at": null });
        assert_eq!(
            described("live", &caller),
            "live: the token of ann (operator) is stored; it does not expire"
        );
        let caller = json!({ "name": "ann", "role": "operator", "expires_at": "2026-01-01T00:00:00Z" });
        assert!(described("live", &caller).contains("it expires 2026-01-01T00:00:00.000Z ("));
    }
}
