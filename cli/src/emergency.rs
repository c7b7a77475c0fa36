//! `cutover emergency-rollback` and `cutover emergency-clear`. They have two ways: the function for
//! emergencies, which has instances of its own, and management.

use crate::{
    connection::Connection,
    failure::Failure,
    output::{self, Format, cell},
    publication,
};
use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

/// Arguments of `cutover emergency-rollback`.
#[derive(Debug, Args)]
pub struct Rollback {
    /// Reason, recorded in the audit log.
    #[arg(value_name = "REASON")]
    cause: String,
    /// Roll back only these flags [default: all].
    #[arg(long = "flag", value_name = "FLAG")]
    flags: Vec<String>,
    #[command(flatten)]
    way: Way,
}

/// Arguments of `cutover emergency-clear`.
#[derive(Debug, Args)]
pub struct Clear {
    /// Reason, recorded in the audit log.
    #[arg(value_name = "REASON")]
    cause: String,
    #[command(flatten)]
    way: Way,
}

/// Way to the function for emergencies.
#[derive(Debug, Args)]
struct Way {
    /// URL of the function for emergencies, which is tried before --url.
    #[arg(long, env = "CUTOVER_EMERGENCY_URL")]
    emergency_url: Option<String>,
}

impl Way {
    /// Sends a change on the first way that leads to an answer about it.
    fn send(&self, connection: &Connection, path: &str, body: &Value) -> Result<Value, Failure> {
        let clients = connection.connect_for_emergency(self.emergency_url.as_deref())?;
        let mut ways = clients.into_iter().peekable();
        loop {
            let Some(client) = ways.next() else { return Err(Failure::Usage("no URL given".to_owned())) };
            // Only the last one is tried again: another way is sooner than a second attempt.
            let client = if ways.peek().is_some() { client.retrying(false) } else { client };
            match client.send_json(Method::POST, path, body) {
                Err(failure) if is_of_the_way(&failure) && ways.peek().is_some() => {
                    eprintln!("{failure}\ntrying the other URL");
                }
                outcome => return outcome,
            }
        }
    }
}

/// Returns true if another way may lead further: the function was not reached, was busy or failed, or something in front
/// of it refused the request.
fn is_of_the_way(failure: &Failure) -> bool {
    match failure {
        Failure::Unreachable(_) => true,
        Failure::Refused { status, .. } => matches!(status, 403 | 404 | 429 | 500..),
        _ => false,
    }
}

/// Declares an emergency, which holds flags on legacy until it is cleared.
///
/// # Errors
///
/// Fails if the management API refuses the change or cannot be reached.
pub fn roll_back(rollback: &Rollback, connection: &Connection, format: Format) -> Result<(), Failure> {
    let mut body = json!({ "reason": rollback.cause });
    if let (Some(fields), false) = (body.as_object_mut(), rollback.flags.is_empty()) {
        fields.insert("flags".to_owned(), json!(rollback.flags));
    }
    let response = rollback.way.send(connection, "/emergency/rollback", &body)?;
    // The whole emergency: an earlier one may cover more flags than this command named.
    let flags = response.pointer("/emergency/flags").map_or_else(|| "all flags".to_owned(), cell);
    output::show(format, &response, || {
        println!("{flags}: all users on legacy; {}", publication::revision(&response));
    });
    Ok(())
}

/// Ends the emergency.
///
/// # Errors
///
/// Fails if no emergency is in force, or if the management API cannot be reached.
pub fn clear(clear: &Clear, connection: &Connection, format: Format) -> Result<(), Failure> {
    let response = clear.way.send(connection, "/emergency/clear", &json!({ "reason": clear.cause }))?;
    output::show(format, &response, || {
        println!("emergency cleared; {}", publication::revision(&response));
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_server::answering;
    use clap::Parser;

    #[derive(Parser)]
    struct CommandLine {
        #[command(flatten)]
        connection: Connection,
        #[command(flatten)]
        rollback: Rollback,
    }

    const DONE: &str = r#"{"revision":1,"published":true}"#;

    /// Sends the same change to an emergency function and to management. Returns the outcome, and the paths that each was
    /// asked for.
    fn send(
        emergency: (u16, &'static str),
        management: (u16, &'static str),
        more: &[&str],
    ) -> (bool, [Vec<String>; 2]) {
        let ((first, first_paths), (second, second_paths)) =
            (answering(emergency.0, emergency.1), answering(management.0, management.1));
        let words = ["cutover", "why", "--token", "t", "--emergency-url", &first, "--url", &second];
        let parsed = CommandLine::parse_from([&words, more].concat());
        let sent = parsed.rollback.way.send(&parsed.connection, "/emergency/rollback", &json!({}));
        let paths = [first_paths, second_paths].map(|paths| paths.lock().unwrap().clone());
        (sent.is_ok(), paths)
    }

    #[test]
    fn an_emergency_is_declared_on_the_way_that_works() {
        let asked = vec!["/api/migration/emergency/rollback".to_owned()];
        let not_asked = Vec::new();
        assert_eq!(send((200, DONE), (200, DONE), &[]), (true, [asked.clone(), not_asked.clone()]));
        for status in [403, 404, 429, 500, 502, 503] {
            let found = send((status, "{}"), (200, DONE), &[]);
            assert_eq!(found, (true, [asked.clone(), asked.clone()]), "{status}");
        }
        // The answer of the function itself is final.
        for status in [401, 409, 422] {
            assert_eq!(
                send((status, "{}"), (200, DONE), &[]),
                (false, [asked.clone(), not_asked.clone()]),
                "{status}"
            );
        }
        assert_eq!(send((429, "{}"), (429, "{}"), &["--no-retry"]), (false, [asked.clone(), asked]));
    }

    #[test]
    fn one_url_is_enough() {
        let (url, paths) = answering(200, DONE);
        let words = ["cutover", "why", "--token", "t", "--emergency-url", &url, "--no-retry"];
        let mut parsed = CommandLine::parse_from(words);
        // Nobody listens there.
        let send = |parsed: &CommandLine| parsed.rollback.way.send(&parsed.connection, "/x", &json!({}));
        parsed.rollback.way.emergency_url = Some("http://127.0.0.1:9".to_owned());
        assert!(matches!(send(&parsed), Err(Failure::Unreachable(_))));
        parsed.rollback.way.emergency_url = Some(url);
        assert!(send(&parsed).is_ok());
        assert_eq!(paths.lock().unwrap().len(), 1);
    }
}
