//! `cutover apply` and `cutover diff`: a configuration file against the configuration that is in force.

use crate::{
    client::{Body, Client},
    configuration,
    confirm::Confirmation,
    etag,
    failure::Failure,
    in_force::Wait,
    object_change::describe,
    output::{self, Format},
    publication,
};
use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Arguments of `cutover apply`.
#[derive(Debug, Args)]
pub struct Options {
    /// YAML or JSON file; - for standard input.
    #[arg(short, long)]
    file: PathBuf,
    /// Show the changes without applying them.
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// Exit with 12 if there are changes.
    #[arg(long, requires = "dry_run")]
    exit_status: bool,
    /// Also delete objects that are not in the file.
    #[arg(long)]
    prune: bool,
    /// Apply the file also if it moves users back to legacy.
    #[arg(long)]
    allow_moving_users: bool,
    /// Refuse if the configuration is not at this revision.
    #[arg(long, value_name = "REVISION", value_parser = crate::number::whole::<u64>)]
    if_revision: Option<u64>,
    #[command(flatten)]
    confirmation: Confirmation,
    #[command(flatten)]
    wait: Wait,
}

/// Arguments of `cutover diff`.
#[derive(Debug, Args)]
pub struct Diff {
    /// YAML or JSON file; - for standard input.
    file: PathBuf,
    /// Also show the deletion of objects that are not in the file.
    #[arg(long)]
    prune: bool,
}

/// Checks a file, shows the changes, and applies it to the configuration for which they were shown.
///
/// # Errors
///
/// Fails if the file cannot be read or has mistakes, if the change is not confirmed, if another caller changes the
/// configuration meanwhile, if the management API refuses the change or cannot be reached, or like [`Wait::until_in_force`].
pub fn run(options: &Options, client: &Client, format: Format) -> Result<(), Failure> {
    let upload = Upload::of(&options.file, options.prune)?;
    let trial = upload.trial(client)?;
    if let Some(expected) = options.if_revision {
        check_revision(&trial, expected, &options.file)?;
    }
    if options.dry_run {
        output::show(format, &trial, || report(&trial, !options.allow_moving_users));
        return if options.exit_status { differs(&trial) } else { Ok(()) };
    }
    // The management API refuses a file that moves users back, and there is nothing to confirm then.
    let is_refused = moves_back(&trial) && !options.allow_moving_users;
    if !is_refused && options.confirmation.is_asked(client.environment()) {
        confirm(&trial, options, client)?;
    }
    let tag = etag::as_read(&trial, "revision");
    let path = format!("/config?prune={}&allow_moving_users={}", options.prune, options.allow_moving_users);
    let response = client
        .on_condition("if-match", &tag)
        .send(Method::PUT, &path, Some(upload.body()))
        .map_err(|failure| look_again(failure, &options.file))?;
    output::show_change(format, &response, || report(&response, false));
    options.wait.until_in_force(client, &response, format)
}

/// Shows the changes that a file would make.
///
/// # Errors
///
/// Fails if there are any, if the file cannot be read or has mistakes, or if the management API cannot be reached.
pub fn diff(options: &Diff, client: &Client, format: Format) -> Result<(), Failure> {
    let trial = Upload::of(&options.file, options.prune)?.trial(client)?;
    output::show(format, &trial, || report(&trial, true));
    differs(&trial)
}

/// A file as it is sent to the management API.
struct Upload {
    media_type: &'static str,
    content: String,
    prune: bool,
}

impl Upload {
    fn of(file: &Path, prune: bool) -> Result<Self, Failure> {
        // Checked here first: only the command line knows the file's lines and the files it refers to.
        let (text, parsed) = configuration::load_file(file)?;
        if parsed.config.adapters.is_empty() {
            return Ok(Self { media_type: "application/yaml", content: text, prune });
        }
        // The API has no files: those that the configuration refers to are sent inline.
        let inlined = parsed.written().map_err(|error| Failure::Io(error.to_string()))?;
        Ok(Self { media_type: "application/json", content: inlined.to_string(), prune })
    }

    fn body(&self) -> Body {
        Body { media_type: self.media_type, content: self.content.clone() }
    }

    /// Returns the changes that the file would make.
    fn trial(&self, client: &Client) -> Result<Value, Failure> {
        let path = format!("/config?dry_run=true&prune={}", self.prune);
        client.send(Method::PUT, &path, Some(self.body()))
    }
}

/// Refuses to go on if the configuration is not at the expected revision.
fn check_revision(trial: &Value, expected: u64, file: &Path) -> Result<(), Failure> {
    if trial.get("revision").and_then(Value::as_u64) == Some(expected) {
        return Ok(());
    }
    let revision = output::field(trial, "revision");
    Err(look_again(
        Failure::Refused {
            status: 412,
            detail: format!("the configuration is at revision {revision}, not {expected}"),
            hint: String::new(),
            problem: Box::new(json!({ "code": "changed_meanwhile" })),
            retry_after: None,
        },
        file,
    ))
}

/// Says how to go on after another caller has changed the configuration.
fn look_again(failure: Failure, file: &Path) -> Failure {
    failure.or_overtaken(|| format!("look at the changes again: cutover diff {}", file.display()))
}

/// Fails if a trial has shown changes.
fn differs(trial: &Value) -> Result<(), Failure> {
    match output::list(trial, "changes").count() {
        0 => Ok(()),
        count => Err(Failure::Changes(count)),
    }
}

/// Returns true if a file takes users back to legacy.
fn moves_back(response: &Value) -> bool {
    let back = |movement: &Value| movement.get("back").and_then(Value::as_f64).unwrap_or_default();
    output::list(response, "moves").any(|movement| back(movement) > 0.0)
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
    let deleted = changes.iter().filter(|change| output::text(change, "action") == "delete").count();
    let moves: Vec<&str> =
        output::list(trial, "moves").map(|movement| output::text(movement, "summary")).collect();
    let moved = if moves.is_empty() { "no percentage changes".to_owned() } else { moves.join("; ") };
    let change = format!("apply {} of {}", output::counted(changes.len(), "change"), options.file.display());
    let effect = format!("deletes {}; {moved}", output::counted(deleted, "object"));
    options.confirmation.confirm(client.environment(), &change, &effect)
}

/// Prints the changes of a response. `is_guarded` is true if the file would be refused for moving users back.
fn report(response: &Value, is_guarded: bool) {
    for change in output::list(response, "changes") {
        print!("{}", describe(change));
    }
    for movement in output::list(response, "moves") {
        println!("users of {}", output::text(movement, "summary"));
    }
    output::warnings(response);
    println!("{}", summary(response));
    if is_guarded && moves_back(response) {
        eprintln!("note: cutover apply refuses to move users back without --allow-moving-users");
    }
}

/// Says how many objects a response changes, or would change.
fn summary(response: &Value) -> String {
    let is_dry_run = response.get("dry_run").and_then(Value::as_bool).unwrap_or_default();
    match (output::list(response, "changes").count(), is_dry_run) {
        (0, _) => {
            format!("no change; the configuration is at revision {}", output::field(response, "revision"))
        }
        (count, true) => format!("{} would change; nothing was written", output::counted(count, "object")),
        (count, false) => {
            format!("{} changed; {}", output::counted(count, "object"), publication::revision(response))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        command_line::CommandLine,
        fake_server::{answering, answering_tags},
    };
    use clap::Parser;

    /// Applies a file of one flag against a server that gives this response to everything. Returns the outcome and the
    /// requested paths.
    fn applied(response: &'static str, words: &[&str]) -> (Result<(), Failure>, Vec<String>) {
        let (url, paths) = answering(200, response);
        let outcome = apply(&url, words);
        let paths = paths.lock().unwrap().clone();
        (outcome, paths)
    }

    fn apply(url: &str, words: &[&str]) -> Result<(), Failure> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "feature_flags: { f: { enabled: true } }").unwrap();
        let name = file.path().to_str().unwrap();
        let words = [&["apply", "-f", name][..], words].concat();
        let parsed = CommandLine::<Options>::parse_from(words);
        run(&parsed.arguments, &Client::new(url, "t", None).unwrap(), Format::Json)
    }

    const CHANGED: &str = r#"{"dry_run":true,"revision":7,"moves":[],
        "changes":[{"action":"delete","section":"feature_flags","name":"f","fields":{}}]}"#;

    #[test]
    fn another_revision_than_the_expected_one_is_refused_before_anything_is_changed() {
        let (outcome, paths) = applied(CHANGED, &["--if-revision", "6"]);
        let refused = outcome.unwrap_err();
        assert_eq!(refused.json()["exit_code"], 6);
        assert!(refused.to_string().contains("at revision 7, not 6\n  hint: look at"), "{refused}");
        assert_eq!(paths, ["/api/migration/config?dry_run=true&prune=false"]);
        let (outcome, paths) = applied(CHANGED, &["--if-revision", "7"]);
        assert!(outcome.is_ok(), "{outcome:?}");
        assert_eq!(paths[1], "/api/migration/config?prune=false&allow_moving_users=false");
    }

    #[test]
    fn a_file_waits_until_the_isolates_confirm_it() {
        const HELD: &str = r#"{"revision":7,"moves":[],"changes":[],
            "isolates":{"reporting":1,"revisions":[{"revision":7,"isolates":1}]}}"#;
        let (outcome, paths) = applied(HELD, &["--wait"]);
        assert!(outcome.is_ok(), "{outcome:?}");
        assert_eq!(paths.last().unwrap(), "/api/migration/status");
        let both = CommandLine::<Options>::try_parse_from(["apply", "-f", "f", "--dry-run", "--wait"]);
        assert!(both.is_err(), "nothing is changed that could be in force");
    }

    #[test]
    fn one_object_is_not_several() {
        let summary = |count: usize| summary(&json!({ "dry_run": true, "changes": vec![json!({}); count] }));
        assert_eq!(summary(1), "1 object would change; nothing was written");
        assert_eq!(summary(2), "2 objects would change; nothing was written");
    }

    #[test]
    fn the_changes_that_the_trial_has_shown_are_made_or_none() {
        let (url, tags) = answering_tags(200, CHANGED);
        apply(&url, &[]).unwrap();
        assert_eq!(*tags.lock().unwrap(), ["", "\"7\""], "the trial, and the change on its condition");
    }

    #[test]
    fn a_trial_says_by_its_exit_status_if_there_are_changes() {
        const SAME: &str = r#"{"dry_run":true,"revision":7,"moves":[],"changes":[]}"#;
        for (response, words, expected) in [
            (CHANGED, &["--dry-run", "--exit-status"][..], Some(12)),
            (CHANGED, &["--dry-run"][..], None),
            (SAME, &["--dry-run", "--exit-status"][..], None),
        ] {
            let (outcome, paths) = applied(response, words);
            let code = outcome.err().map(|failure| failure.json()["exit_code"].clone());
            assert_eq!(code, expected.map(Value::from), "{words:?}");
            assert_eq!(paths.len(), 1, "{words:?}");
        }
    }

    #[test]
    fn a_file_that_was_overtaken_is_to_be_looked_at_again() {
        let overtaken = || Failure::Refused {
            status: 412,
            detail: "changed".to_owned(),
            hint: "ETag".to_owned(),
            problem: Box::default(),
            retry_after: None,
        };
        let shown = look_again(overtaken(), Path::new("f.yaml")).to_string();
        assert_eq!(shown, "error: changed\n  hint: look at the changes again: cutover diff f.yaml");
    }
}
