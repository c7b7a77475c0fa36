//! The ways of an emergency to the management API: the function for emergencies, and management.

use crate::{
    client::{self, Client},
    connection::Connection,
    environment::Environment,
    etag,
    failure::Failure,
    in_force::Wait,
    notice,
    output::Format,
};
use clap::Args;
use serde_json::Value;
use std::{
    sync::mpsc::{self, Sender},
    thread,
    time::Duration,
};

/// Silence of a way after which the next one is tried too, without giving the first one up.
const SILENCE: Duration = Duration::from_secs(2);

/// Longest wait for the last ways, well above all attempts of one.
const PATIENCE: Duration = Duration::from_secs(60);

/// Way to the function for emergencies.
#[derive(Debug, Args)]
pub(super) struct Way {
    /// URL of the function for emergencies, which is tried before --url [env: CUTOVER_EMERGENCY_URL].
    #[arg(long, value_name = "URL")]
    emergency_url: Option<String>,
}

impl Way {
    /// Builds the clients of all ways. Sends nothing yet.
    ///
    /// # Errors
    ///
    /// Fails if there is no way.
    pub(super) fn open(&self, connection: &Connection) -> Result<Ways, Failure> {
        connection.connect_for_emergency(self.emergency_url.as_deref()).map(Ways)
    }
}

/// The ways to the management API, in the order in which they are tried.
#[derive(Debug)]
pub(super) struct Ways(Vec<Client>);

impl Ways {
    /// Returns the environment that all ways lead to.
    pub(super) fn environment(&self) -> Environment {
        let environment = self.0.first().map(|client| client.environment().clone());
        environment.unwrap_or_else(|| Environment::of_url(""))
    }

    /// Reads the emergency in force, with the flags that it holds and the revision, on the first way that works: once on each
    /// way, and then with the patience of reads.
    ///
    /// # Errors
    ///
    /// Fails if the request is refused, or if no way leads to a response.
    pub(super) fn in_force(&self) -> Result<Value, Failure> {
        let once = self.0.iter().cloned().map(Client::reading_once);
        let again = self.0.iter().filter(|client| client.is_retrying()).cloned();
        let mut last = None;
        for client in once.chain(again) {
            match in_force(&client) {
                Err(failure) if is_of_the_way(&failure) => last = Some(failure),
                result => return result,
            }
        }
        Err(last.unwrap_or_else(no_response))
    }

    /// Waits until the isolates confirm a change by the response to it, if that is asked for, on the first way that leads to
    /// the status.
    ///
    /// # Errors
    ///
    /// Fails like [`Wait::until_in_force`].
    pub(super) fn until_in_force(&self, wait: Wait, change: &Value, format: Format) -> Result<(), Failure> {
        if !wait.is_asked() {
            return Ok(());
        }
        let leading = self.0.iter().find(|client| client.get_once("/status").is_ok());
        let client = leading.or(self.0.first()).ok_or_else(no_response)?;
        wait.until_in_force(client, change, format)
    }

    /// Sends a change on the first way, and on the next one as soon as that has failed or is silent. Returns the first
    /// answer about the change. All ways have one `Idempotency-Key`: the change is made once, on whichever ways it arrives.
    /// `report` is called with a line about each failure, and, if there are several ways, about the one that worked.
    ///
    /// # Errors
    ///
    /// Fails if the change is refused, or if no way leads to an answer.
    pub(super) fn send(&self, change: &Change, report: &mut dyn FnMut(String)) -> Result<Value, Failure> {
        let is_choice = self.0.len() > 1;
        let key = client::new_key();
        let (sender, outcomes) = mpsc::channel();
        let mut ways = self.0.iter().cloned().peekable();
        let mut under_way = 0_usize;
        loop {
            if let Some(client) = ways.next() {
                // Only the last one is tried again: another way is sooner than a second attempt.
                let client = if ways.peek().is_some() { client.retrying(false) } else { client };
                change.begin(client, key.clone(), sender.clone());
                under_way += 1;
            }
            let next = ways.peek().map(Client::base);
            match outcomes.recv_timeout(if next.is_some() { SILENCE } else { PATIENCE }) {
                Ok(Outcome { url, result: Err(failure) }) if is_of_the_way(&failure) => {
                    under_way -= 1;
                    if next.is_none() && under_way == 0 {
                        return Err(failure);
                    }
                    report(format!("{url} failed\n{failure}"));
                }
                Ok(Outcome { url, result }) => {
                    if is_choice && result.is_ok() {
                        report(format!("{url} made the change"));
                    }
                    return result;
                }
                Err(_) if next.is_some() => report(format!("no response for {} s", SILENCE.as_secs())),
                Err(_) => return Err(no_response()),
            }
            if let Some(next) = next {
                report(format!("trying {next}"));
            }
        }
    }
}

/// A change, to be sent on several ways.
#[derive(Debug, Clone)]
pub(super) struct Change {
    /// Path below `/api/migration`.
    pub(super) path: &'static str,
    /// Body of the request.
    pub(super) body: Value,
    /// Entity tag that must still be the current one; `None` for a change without a condition.
    pub(super) tag: Option<String>,
}

/// The end of one way.
struct Outcome {
    url: String,
    result: Result<Value, Failure>,
}

impl Change {
    /// Sends the change on one way, in a thread of its own.
    fn begin(&self, client: Client, key: Option<String>, outcomes: Sender<Outcome>) {
        let Self { path, body, tag } = self.clone();
        let client = match &tag {
            Some(tag) => client.on_condition("if-match", tag),
            None => client,
        };
        thread::spawn(move || {
            let result = client.post_with_key(path, &body, key.as_deref());
            // It fails if another way was faster: then this outcome is not needed.
            let _ = outcomes.send(Outcome { url: client.base().to_owned(), result });
        });
    }
}

/// Reads the emergency in force, from the status if the function has no path for it yet.
fn in_force(client: &Client) -> Result<Value, Failure> {
    let read = match client.get("/emergency") {
        Err(Failure::Refused { status: 404, .. }) => client.get("/status"),
        read => read,
    }?;
    match etag::of(&read, "revision") {
        Some(_) => Ok(read),
        None => {
            Err(Failure::Unreachable(format!("{} does not say which revision is in force", client.base())))
        }
    }
}

fn no_response() -> Failure {
    Failure::Unreachable("no URL led to a response".to_owned())
}

/// Prints a line about the ways. Standard output is for data.
pub(super) fn to_standard_error(line: String) {
    notice::print(&line);
}

/// Returns true if another way may lead further: the function was not reached, was busy or failed, or something in front
/// of it refused the request.
pub(super) fn is_of_the_way(failure: &Failure) -> bool {
    match failure {
        Failure::Unreachable(_) => true,
        Failure::Refused { status, .. } => matches!(status, 300..400 | 403 | 404 | 429 | 500..),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        command_line::CommandLine,
        fake_server::{answering, answering_keys},
    };
    use clap::Parser;
    use serde_json::json;
    use std::{net::TcpListener, time::Instant};

    const DONE: &str = r#"{"revision":1,"published":true}"#;

    /// A URL at which nobody listens.
    const CLOSED: &str = "http://127.0.0.1:9";

    /// Sends a change to an emergency function and to management, with further arguments. Returns the result, and the
    /// lines about the ways.
    fn send_to(emergency: &str, management: &str, more: &[&str]) -> (Result<Value, Failure>, Vec<String>) {
        let words = ["cutover", "--token", "t", "--emergency-url", emergency, "--url", management];
        let parsed = CommandLine::<Way>::parse_from([&words, more].concat());
        let mut lines = Vec::new();
        let mut report = |line| lines.push(line);
        let change = Change { path: "/emergency/rollback", body: json!({}), tag: None };
        let ways = parsed.arguments.open(&parsed.connection);
        let result = ways.and_then(|ways| ways.send(&change, &mut report));
        (result, lines)
    }

    /// Sends the same change to an emergency function and to management. Returns the outcome, and the paths that each was
    /// asked for.
    fn send(
        emergency: (u16, &'static str),
        management: (u16, &'static str),
        more: &[&str],
    ) -> (bool, [Vec<String>; 2]) {
        let ((first, first_paths), (second, second_paths)) =
            (answering(emergency.0, emergency.1), answering(management.0, management.1));
        let (sent, _) = send_to(&first, &second, more);
        let paths = [first_paths, second_paths].map(|paths| paths.lock().unwrap().clone());
        (sent.is_ok(), paths)
    }

    /// Starts a server that accepts connections and never answers. Returns it and its URL.
    fn silent() -> (TcpListener, String) {
        // The kernel accepts.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        (listener, url)
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
    fn all_ways_have_one_key() {
        let ((first, first_keys), (second, second_keys)) =
            (answering_keys(503, "{}"), answering_keys(200, DONE));
        assert!(send_to(&first, &second, &[]).0.is_ok());
        let (first, second) = (first_keys.lock().unwrap().clone(), second_keys.lock().unwrap().clone());
        assert_eq!((first.len(), first[0].len()), (1, 32));
        assert_eq!(first, second, "a change that arrives twice is made once");
    }

    #[test]
    fn a_silent_way_delays_an_emergency_by_seconds() {
        let (_listener, silent) = silent();
        let (working, _) = answering(200, DONE);
        let begun = Instant::now();
        let (result, lines) = send_to(&silent, &working, &[]);
        assert!(result.is_ok());
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        let made = format!("{working} made the change");
        assert_eq!(lines, ["no response for 2 s".to_owned(), format!("trying {working}"), made]);
    }

    #[test]
    fn a_way_that_is_closed_is_named_with_the_cause() {
        let (working, _) = answering(200, DONE);
        let (result, lines) = send_to(CLOSED, &working, &[]);
        assert!(result.is_ok());
        let lines = lines.join("\n");
        assert!(lines.starts_with(&format!("{CLOSED} failed\nerror: ")), "{lines}");
        assert!(lines.contains("could not be reached: no connection"), "{lines}");
        assert!(lines.ends_with(&format!("trying {working}\n{working} made the change")), "{lines}");
    }

    #[test]
    fn a_change_without_an_answer_may_have_been_made() {
        let (_listener, silent) = silent();
        let begun = Instant::now();
        let (result, lines) = send_to(&silent, CLOSED, &["--no-retry"]);
        assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
        let text = result.unwrap_err().to_string();
        assert!(text.contains(&silent) && text.contains("no response in time"), "{text}");
        assert!(text.contains("the change may have been made"), "{text}");
        let lines = lines.join("\n");
        assert!(lines.contains(&format!("{CLOSED} failed\nerror: ")), "{lines}");
    }

    #[test]
    fn one_url_is_enough() {
        let (url, paths) = answering(200, DONE);
        let words = ["cutover", "--token", "t", "--emergency-url", &url, "--no-retry"];
        let mut parsed = CommandLine::<Way>::parse_from(words);
        let send = |parsed: &CommandLine<Way>| {
            let mut lines = Vec::new();
            let mut report = |line| lines.push(line);
            let change = Change { path: "/x", body: json!({}), tag: None };
            let ways = parsed.arguments.open(&parsed.connection);
            let result = ways.and_then(|ways| ways.send(&change, &mut report));
            assert_eq!(lines, Vec::<String>::new(), "there is no choice to report");
            result
        };
        parsed.arguments.emergency_url = Some(CLOSED.to_owned());
        assert!(matches!(send(&parsed), Err(Failure::Unreachable(_))));
        parsed.arguments.emergency_url = Some(url);
        assert!(send(&parsed).is_ok());
        assert_eq!(paths.lock().unwrap().len(), 1);
    }
}
