//! `cutover apply`: replaces the configuration by a file.

use crate::{
    client::{Body, Client},
    configuration,
    confirm::Confirmation,
    difference,
    failure::Failure,
    output::{self, Format},
    publication,
};
use clap::Args;
use reqwest::Method;
use serde_json::Value;
use std::path::PathBuf;

/// Arguments of `cutover apply`.
#[derive(Debug, Args)]
pub struct Options {
    /// YAML or JSON file; - for standard input.
    #[arg(short, long)]
    file: PathBuf,
    /// Show the changes without applying them.
    #[arg(long)]
    dry_run: bool,
    /// Also delete objects that are not in the file.
    #[arg(long)]
    prune: bool,
    #[command(flatten)]
    confirmation: Confirmation,
}

/// Checks a file, shows the changes, and applies it.
///
/// # Errors
///
/// Fails if the file cannot be read or has mistakes, if the change is not confirmed, or if the management API refuses it
/// or cannot be reached.
pub fn run(options: &Options, client: &Client, format: Format) -> Result<(), Failure> {
    // Checked here first: only the command line knows the file's lines and the files it refers to.
    let (text, config) = configuration::load(&options.file)?;
    let (media_type, content) = if config.adapters.is_empty() {
        ("application/yaml", text)
    } else {
        // The API has no files: those that the configuration refers to are sent inline.
        let inlined = config.written().map_err(|error| Failure::Io(error.to_string()))?;
        ("application/json", inlined.to_string())
    };
    let send = |is_dry_run: bool| {
        let path = format!("/config?dry_run={is_dry_run}&prune={}", options.prune);
        client.send(Method::PUT, &path, Some(Body { media_type, content: content.clone() }))
    };
    if !options.dry_run && options.confirmation.is_asked(client.environment()) {
        confirm(&send(true)?, options, client)?;
    }
    let response = send(options.dry_run)?;
    output::show(format, &response, || report(&response, options.dry_run));
    Ok(())
}

/// Asks for a confirmation of the changes that a trial has shown, if there are any.
fn confirm(trial: &Value, options: &Options, client: &Client) -> Result<(), Failure> {
    let changes: Vec<&Value> = output::list(trial, "changes").collect();
    if changes.is_empty() {
        return Ok(());
    }
    for change in &changes {
        eprint!("{}", describe(change));
    }
    let of = |wanted: &str| changes.iter().filter(|change| output::text(change, "action") == wanted).count();
    let moved = format!("{} of the objects above are deleted, and users may move either way", of("delete"));
    let change = format!("apply {} changes of {}", changes.len(), options.file.display());
    options.confirmation.confirm(client.environment(), &change, &moved)
}

fn report(response: &Value, is_dry_run: bool) {
    for change in output::list(response, "changes") {
        print!("{}", describe(change));
    }
    output::warnings(response);
    let revision = output::field(response, "revision");
    match (output::list(response, "changes").count(), is_dry_run) {
        (0, _) => println!("no change; the configuration is at revision {revision}"),
        (count, true) => println!("{count} objects would change; nothing was written"),
        (count, false) => println!("{count} objects changed; {}", publication::revision(response)),
    }
}

fn describe(change: &Value) -> String {
    let sign = match output::text(change, "action") {
        "create" => "+",
        "delete" => "-",
        _ => "~",
    };
    let mut lines = format!("{sign} {}/{}\n", output::text(change, "section"), output::text(change, "name"));
    if let Some(fields) = change.get("fields").and_then(Value::as_object).filter(|_| sign == "~") {
        for line in difference::lines(fields) {
            lines.push_str(&format!("    {line}\n"));
        }
        if fields.is_empty() {
            lines.push_str("    compiled anew from the same source\n");
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_updates_have_lines_below_their_name() {
        let change = |action: &str, fields: Value| {
            describe(&json!({ "action": action, "section": "adapters", "name": "a", "fields": fields }))
        };
        let routes = |location: &str| json!([{ "id": "r", "headers": { "location": location } }]);
        let fields = json!({ "routes": [routes("/a/{id}"), routes("/b/{id}")], "shapes": [null, {}] });
        let lines =
            "~ adapters/a\n    routes[r].headers.location: \"/a/{id}\" -> \"/b/{id}\"\n    + shapes: {}\n";
        assert_eq!(change("update", fields), lines);
        assert_eq!(change("update", json!({})), "~ adapters/a\n    compiled anew from the same source\n");
        assert_eq!(change("create", json!({ "routes": [null, []] })), "+ adapters/a\n");
        assert_eq!(change("delete", json!({ "routes": [[], null] })), "- adapters/a\n");
    }
}
