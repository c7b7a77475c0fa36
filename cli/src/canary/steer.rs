//! `cutover canary promote`, `approve`, `pause`, `resume`, `rollback` and `delete`, and the request of `start` and
//! `retry`: one request, whose path ends in the verb for most, with a query for some.

use super::{ascent, ladder::share, path::path};
use crate::{
    client::Client,
    confirm::Confirmation,
    failure::Failure,
    in_force::Wait,
    notice,
    output::{self, Format, cell},
    percentage, publication,
};
use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

/// Sends the verb to a flag's canary.
///
/// # Errors
///
/// Fails if the management API refuses the change or cannot be reached.
pub(super) fn run(client: &Client, flag: &str, verb: &str, format: Format) -> Result<(), Failure> {
    let response = client.send(Method::POST, &path(flag, &format!("/{verb}")), None)?;
    show(&response, format);
    Ok(())
}

/// A promotion of a flag's canary.
#[derive(Debug, Args)]
pub struct Promotion {
    /// Name of the flag.
    flag: String,
    /// Percentage of the step to advance to, such as 50 or 50%, which must be the next one.
    #[arg(long, value_name = "PERCENT", value_parser = percentage::of_step, allow_negative_numbers = true)]
    to: Option<f64>,
    #[command(flatten)]
    confirmation: Confirmation,
}

/// An approval of the next step of a flag's canary.
#[derive(Debug, Args)]
pub struct Approval {
    /// Name of the flag.
    flag: String,
    #[command(flatten)]
    confirmation: Confirmation,
}

/// A rollback of a flag's canary.
#[derive(Debug, Args)]
pub struct Rollback {
    /// Name of the flag.
    flag: String,
    #[command(flatten)]
    wait: Wait,
}

/// A resumption of a flag's canary.
#[derive(Debug, Args)]
pub struct Resumption {
    /// Name of the flag.
    flag: String,
    #[command(flatten)]
    confirmation: Confirmation,
}

/// Promotes a flag's canary to the step of a percentage, or to the one above the step that it is at. The request states that
/// step, so that it is one step however often it arrives. Asks first if it moves users.
///
/// # Errors
///
/// Fails if the change is not confirmed, or if the management API refuses it or cannot be reached.
pub(super) fn promote(promotion: &Promotion, client: &Client, format: Format) -> Result<(), Failure> {
    let Promotion { flag, to, confirmation } = promotion;
    let (status, target) = match to {
        // A failure to read leaves open who is moved, and the change itself reports its cause.
        Some(percentage) => {
            let status = client.get_once(&path(flag, "")).unwrap_or_default();
            (status, json!({ "to_percentage": percentage }))
        }
        None => {
            let status = client.get(&path(flag, ""))?;
            let target = above(&status);
            (status, target)
        }
    };
    if let Some(moved) = ascent::of_promotion(&status, *to) {
        confirm(client, *confirmation, &format!("promote {flag}"), &moved)?;
    }
    let response = client.send_json(Method::POST, &path(flag, "/promote"), &target)?;
    show(&response, format);
    Ok(())
}

/// Resumes a flag's canary. Asks first, because it moves users from then on.
///
/// # Errors
///
/// Fails if the change is not confirmed, or if the management API refuses it or cannot be reached.
pub(super) fn resume(resumption: &Resumption, client: &Client, format: Format) -> Result<(), Failure> {
    let Resumption { flag, confirmation } = resumption;
    // A failure to read leaves open who is moved, and the change itself reports its cause.
    let status = client.get_once(&path(flag, "")).unwrap_or_default();
    if let Some(moved) = ascent::of_resumption(&status) {
        confirm(client, *confirmation, &format!("resume {flag}"), &moved)?;
    }
    run(client, flag, "resume", format)
}

/// Approves the next step of a flag's canary. Asks first, because its evidence moves users from then on.
///
/// # Errors
///
/// Fails if the change is not confirmed, or if the management API refuses it or cannot be reached.
pub(super) fn approve(approval: &Approval, client: &Client, format: Format) -> Result<(), Failure> {
    let Approval { flag, confirmation } = approval;
    // A failure to read leaves open who is moved, and the change itself reports its cause.
    let status = client.get(&path(flag, "")).unwrap_or_default();
    if let Some(moved) = ascent::of_approval(&status) {
        confirm(client, *confirmation, &format!("approve the next step of {flag}"), &moved)?;
    }
    run(client, flag, "approve", format)
}

/// Rolls a flag's canary back, which sends all its users to legacy.
///
/// # Errors
///
/// Fails if the management API refuses the change or cannot be reached, or like [`Wait::until_in_force`].
pub(super) fn roll_back(rollback: &Rollback, client: &Client, format: Format) -> Result<(), Failure> {
    let Rollback { flag, wait } = rollback;
    let response = client.send(Method::POST, &path(flag, "/rollback"), None)?;
    show(&response, format);
    wait.until_in_force(client, &response, format)
}

/// Asks for a confirmation of a change, or says whom it moves if nobody is asked.
fn confirm(client: &Client, confirmation: Confirmation, change: &str, moved: &str) -> Result<(), Failure> {
    if !confirmation.is_asked(client.environment()) {
        notice::print(&format!("{change}: {moved}"));
    }
    confirmation.confirm(client.environment(), change, moved)
}

/// Deletes the plan and the ended run of a flag's canary.
///
/// # Errors
///
/// Fails if the management API refuses the change or cannot be reached.
pub(super) fn delete(client: &Client, flag: &str, format: Format) -> Result<(), Failure> {
    let response = client.send(Method::DELETE, &path(flag, ""), None)?;
    output::show_change(format, &response, || {
        println!("deleted the canary of {flag}{}", publication::note(&response));
        if let Some(salt) = response.get("salt") {
            println!(
                "its users stay on their arms: the salt of the run, {}, is the flag's own now",
                cell(salt)
            );
        }
    });
    Ok(())
}

/// Returns the target one step above the state of a canary. One that was never started has no step; the management API
/// explains that.
fn above(status: &Value) -> Value {
    match status.get("step").and_then(Value::as_u64) {
        Some(step) => json!({ "to_step": step + 1 }),
        None => json!({}),
    }
}

fn show(response: &Value, format: Format) {
    output::show_change(format, response, || {
        let field = |name: &str| output::field(response, name);
        println!(
            "{}: run {} is {} at {}{}",
            field("flag"),
            field("run"),
            field("state"),
            share(response.get("percentage").unwrap_or(&Value::Null)),
            publication::note(response)
        );
        output::warnings(response);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{command_line::CommandLine, environment::Environment, fake_server::answering};
    use clap::Parser;
    use std::sync::{Arc, Mutex};

    const STATUS: &str = r#"{"flag":"f","run":"r1","state":"running","step":0,"steps":[5.0,50.0],"percentage":5.0,"published":true}"#;

    /// Returns a client of a server that shows this status in production, and the requested paths.
    fn production(status: &'static str) -> (Client, Arc<Mutex<Vec<String>>>) {
        let (url, paths) = answering(200, status);
        let client = Client::new(&url, "t", None).unwrap();
        (client.in_environment(Environment::of_context("live", &url, true)), paths)
    }

    /// Tests may run on a terminal; without `--yes` these commands would wait for an answer there.
    #[test]
    fn a_promotion_reads_whom_it_moves_and_yes_confirms_it() {
        for words in [&["promote", "f", "--yes"][..], &["promote", "f", "--to", "50", "-y"]] {
            let (client, paths) = production(STATUS);
            let parsed = CommandLine::<Promotion>::parse_from(words);
            promote(&parsed.arguments, &client, Format::Json).unwrap();
            let expected = ["/api/migration/canary/f", "/api/migration/canary/f/promote"];
            assert_eq!(*paths.lock().unwrap(), expected, "{words:?}");
        }
    }

    #[test]
    fn a_resumption_reads_whom_it_moves_and_yes_confirms_it() {
        let (client, paths) = production(r#"{"flag":"f","run":"r1","state":"paused","percentage":5.0}"#);
        let parsed = CommandLine::<Resumption>::parse_from(["resume", "f", "--yes"]);
        resume(&parsed.arguments, &client, Format::Json).unwrap();
        let expected = ["/api/migration/canary/f", "/api/migration/canary/f/resume"];
        assert_eq!(*paths.lock().unwrap(), expected);
    }

    #[test]
    fn an_approval_reads_whom_it_moves_and_yes_confirms_it() {
        let (client, paths) = production(STATUS);
        let parsed = CommandLine::<Approval>::parse_from(["approve", "f", "--yes"]);
        approve(&parsed.arguments, &client, Format::Json).unwrap();
        let expected = ["/api/migration/canary/f", "/api/migration/canary/f/approve"];
        assert_eq!(*paths.lock().unwrap(), expected);
    }

    #[test]
    fn a_rollback_can_wait_until_it_is_in_force() {
        let body = r#"{"flag":"f","run":"r1","state":"rolled_back","percentage":0.0,"revision":7,"isolates":{"reporting":1,"revisions":[{"revision":7,"isolates":1}]}}"#;
        let (client, paths) = production(body);
        let parsed = CommandLine::<Rollback>::parse_from(["rollback", "f", "--wait", "--timeout", "5s"]);
        roll_back(&parsed.arguments, &client, Format::Json).unwrap();
        let expected = ["/api/migration/canary/f/rollback", "/api/migration/status"];
        assert_eq!(*paths.lock().unwrap(), expected);
    }

    #[test]
    fn a_promotion_that_moves_nobody_is_not_asked_about_in_production() {
        let (client, paths) =
            production(r#"{"flag":"f","state":"baking","step":2,"steps":[5.0,50.0],"percentage":50.0}"#);
        let parsed = CommandLine::<Promotion>::parse_from(["promote", "f"]);
        promote(&parsed.arguments, &client, Format::Json).unwrap();
        assert_eq!(paths.lock().unwrap().len(), 2);
    }

    #[test]
    fn a_promotion_states_the_step_above() {
        assert_eq!(above(&json!({ "state": "running", "step": 0 })), json!({ "to_step": 1 }));
        assert_eq!(above(&json!({ "state": "baking", "step": 7 })), json!({ "to_step": 8 }));
        assert_eq!(above(&json!({ "state": "not_started" })), json!({}));
    }
}
