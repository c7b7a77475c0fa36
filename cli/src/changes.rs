//! `cutover changes …`: changes that need a second person's approval.

use crate::{
    client::{Client, encode},
    confirm::Confirmation,
    failure::Failure,
    object_change::describe,
    output::{self, Format, cell, pick},
};
use clap::Subcommand;
use reqwest::Method;
use serde_json::Value;

/// Fields of a pending change in the table, whose columns have their names in upper case.
const FIELDS: [&str; 6] = ["change", "action", "objects", "requested_by", "expires_at", "reason"];

/// Columns of the table.
const HEADING: [&str; 6] = ["CHANGE", "ACTION", "OBJECTS", "REQUESTED_BY", "EXPIRES_AT", "REASON"];

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
        #[command(flatten)]
        confirmation: Confirmation,
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
                let rows: Vec<_> = output::list(&response, "changes").map(row).collect();
                output::table(&HEADING, &rows);
            });
        }
        Command::Show { id } => {
            let change = client.get(&path(&id))?;
            output::show(format, &change, || print!("{}", described(&change)));
        }
        Command::Approve { id, confirmation } => {
            // A failure to read leaves open what is approved, and the approval itself reports its cause.
            let change = client.get_once(&path(&id)).unwrap_or_default();
            let environment = client.environment();
            // A script that must add --yes reads the refusal alone with --json.
            let is_shown = confirmation.asks(environment) || format == Format::Table;
            if is_shown && confirmation.is_asked(environment) {
                output::list(&change, "changes").for_each(|object| eprint!("{}", describe(object)));
            }
            confirmation.confirm(client.environment(), &format!("approve {id}"), &effect(&change))?;
            let approved = client.send(Method::POST, &format!("{}/approve", path(&id)), None);
            let response = approved.inspect_err(|failure| {
                if let (Failure::Refused { problem, .. }, Format::Table) = (failure, format) {
                    eprint!("{}", difference(problem));
                }
            })?;
            output::show_change(format, &response, || {
                println!("approved and applied {id} as revision {}", output::field(&response, "revision"));
            });
        }
        Command::Withdraw { id } => {
            let response = client.send(Method::DELETE, &path(&id), None)?;
            output::show_change(format, &response, || println!("withdrew {id}"));
        }
    }
    Ok(())
}

/// Returns the cells of a pending change.
fn row(change: &Value) -> Vec<String> {
    let cells = FIELDS.iter().zip(pick(change, &FIELDS));
    cells.map(|(name, cell)| if name.ends_with("_at") { output::time(&cell) } else { cell }).collect()
}

/// Says what the approval of a pending change does; of a null one, that it is unknown.
fn effect(change: &Value) -> String {
    if change.is_null() {
        return "it could not be read, and may move users".to_owned();
    }
    let field = |name: &str| output::field(change, name);
    format!(
        "{} of {}, requested by {}, is made at once",
        field("action"),
        field("objects"),
        field("requested_by")
    )
}

/// Describes a pending change in lines: who requests it, and below that what it changes, field by field.
fn described(change: &Value) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| text.push_str(&format!("{name:<13}{value}\n"));
    line("change", output::field(change, "change"));
    line("action", output::field(change, "action"));
    line("requested by", output::field(change, "requested_by"));
    line("requested", output::time(output::text(change, "requested_at")));
    line("expires", output::time(output::text(change, "expires_at")));
    if let Some(reason) = change.get("reason").filter(|reason| !reason.is_null()) {
        line("reason", cell(reason));
    }
    for object in output::list(change, "changes") {
        text.push_str(&describe(object));
    }
    text
}

/// Describes the details of a change that are not as they were when it was requested; nothing for another problem.
fn difference(problem: &Value) -> String {
    let side = |pointer: &str, title: &str| {
        let details =
            problem.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let lines: String = details.iter().map(describe).collect();
        if lines.is_empty() { lines } else { format!("{title}:\n{lines}") }
    };
    side("/difference/asked", "asked for") + &side("/difference/now", "it would now be")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{environment::Environment, fake_server::answering};
    use serde_json::json;

    #[test]
    fn an_approval_reads_the_change_and_yes_confirms_it() {
        let body = r#"{"change":"8c3f","action":"flag.rollout","objects":["feature_flags/f"],"requested_by":"one","revision":7}"#;
        let (url, paths) = answering(200, body);
        let client = Client::new(&url, "t", None).unwrap();
        let client = client.in_environment(Environment::of_context("live", &url, true));
        let command = Command::Approve { id: "8c3f".to_owned(), confirmation: Confirmation::given() };
        run(command, &client, Format::Json).unwrap();
        let expected = ["/api/migration/changes/8c3f", "/api/migration/changes/8c3f/approve"];
        assert_eq!(*paths.lock().unwrap(), expected);
        let change = serde_json::from_str(body).unwrap();
        assert_eq!(effect(&change), "flag.rollout of feature_flags/f, requested by one, is made at once");
    }

    #[test]
    fn the_columns_of_the_list_have_the_names_of_the_fields() {
        assert_eq!(HEADING.map(str::to_lowercase), FIELDS);
        let change = json!({ "change": "8c3f", "requested_by": "one", "expires_at": "2001-01-01T00:00:00Z" });
        let row = row(&change);
        assert_eq!((row[0].as_str(), row[3].as_str(), row[5].as_str()), ("8c3f", "one", "-"));
        assert!(row[4].starts_with("2001-01-01T00:00:00.000Z ("), "{row:?}");
    }

    #[test]
    fn a_pending_change_is_shown_field_by_field() {
        let change = json!({
            "change": "8c3f", "waits_for": "a second person", "action": "flag.rollout",
            "objects": ["feature_flags/f"], "requested_by": "one", "reason": null,
            "requested_at": "2026-01-01T00:00:00Z", "expires_at": "2026-01-02T00:00:00Z",
            "changes": [{
                "action": "update", "section": "feature_flags", "name": "f",
                "fields": { "rollout_percentage": [25.0, 40.0] },
            }],
        });
        let text = described(&change);
        for line in [
            "change       8c3f",
            "requested by one",
            "~ feature_flags/f",
            "    rollout_percentage: 25.0 -> 40.0",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line:?} is missing: {text}");
        }
        assert!(
            text.contains("\nexpires      2026-01-02T00:00:00.000Z (") && !text.contains("reason"),
            "{text}"
        );
    }

    #[test]
    fn a_change_that_would_be_another_one_is_shown_as_asked_and_as_it_is_now() {
        let detail = |share: f64| json!({ "section": "feature_flags", "name": "f", "returns_to": share });
        let problem = json!({ "difference": { "asked": [detail(25.0)], "now": [detail(10.0)] } });
        let lines = "asked for:\nfeature_flags/f\n    returns_to: 25.0\n\
                     it would now be:\nfeature_flags/f\n    returns_to: 10.0\n";
        assert_eq!(difference(&problem), lines);
        let gone = json!({ "difference": { "asked": [detail(25.0)], "now": [] } });
        assert_eq!(difference(&gone), "asked for:\nfeature_flags/f\n    returns_to: 25.0\n");
        assert_eq!(difference(&json!({ "code": "role_too_low" })), "");
    }
}
