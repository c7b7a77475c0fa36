//! `cutover canary promote`, `approve`, `pause`, `resume`, `rollback` and `delete`, and the request of `start` and
//! `retry`: one request, whose path ends in the verb for most, with a query for some.

use super::{ladder::share, path::path};
use crate::{
    client::Client,
    failure::Failure,
    output::{self, Format, cell},
    publication,
};
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

/// Promotes a flag's canary to the step of a percentage, or to the one above the step that it is at. The request states that
/// step, so that it is one step however often it arrives.
///
/// # Errors
///
/// Fails if the management API refuses the change or cannot be reached.
pub(super) fn promote(client: &Client, flag: &str, to: Option<f64>, format: Format) -> Result<(), Failure> {
    let target = match to {
        Some(percentage) => json!({ "to_percentage": percentage }),
        None => above(&client.get(&path(flag, ""))?),
    };
    let response = client.send_json(Method::POST, &path(flag, "/promote"), &target)?;
    show(&response, format);
    Ok(())
}

/// Deletes the plan and the ended run of a flag's canary.
///
/// # Errors
///
/// Fails if the management API refuses the change or cannot be reached.
pub(super) fn delete(client: &Client, flag: &str, format: Format) -> Result<(), Failure> {
    let response = client.send(Method::DELETE, &path(flag, ""), None)?;
    output::show(format, &response, || {
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
    output::show(format, response, || {
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

    #[test]
    fn a_promotion_states_the_step_above() {
        assert_eq!(above(&json!({ "state": "running", "step": 0 })), json!({ "to_step": 1 }));
        assert_eq!(above(&json!({ "state": "baking", "step": 7 })), json!({ "to_step": 8 }));
        assert_eq!(above(&json!({ "state": "not_started" })), json!({}));
    }
}
