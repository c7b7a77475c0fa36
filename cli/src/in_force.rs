//! `--wait`: blocks until the isolates confirm a change by their batches, which say the revision that each of them holds.

use crate::{
    client::Client,
    clock, duration,
    failure::Failure,
    notice,
    output::{self, Format},
    poll::Poll,
};
use clap::Args;
use cutover_core::{Epoch, Revision, Stamp, Timestamp};
use serde_json::Value;
use std::{
    fmt, thread,
    time::{Duration, Instant},
};

/// Seconds between two looks; the batches are read every two seconds too.
const EVERY_SECONDS: u64 = 2;

/// Longest time to wait unless stated: the longest interval of reports, and one minute in which silent isolates still count.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Options of commands that can wait until their change is in force.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Wait {
    /// Wait until all isolates that reported within the last minute confirm the change.
    #[arg(long)]
    wait: bool,
    /// Longest time to wait, such as 90s or 5m [default: 2m].
    #[arg(long, value_name = "TIME", value_parser = duration::parse, requires = "wait")]
    timeout: Option<Duration>,
}

impl Wait {
    /// Returns true if the command is to wait.
    pub fn is_asked(self) -> bool {
        self.wait
    }

    /// Waits for a change by the response to it, if that is asked for. Standard error tells the progress.
    ///
    /// # Errors
    ///
    /// Fails if the time is over first, or if the management API refuses a request or does not say which revisions isolates
    /// hold.
    pub fn until_in_force(&self, client: &Client, change: &Value, format: Format) -> Result<(), Failure> {
        if !self.wait {
            return Ok(());
        }
        let (began, mut wanted) = (Instant::now(), Wanted { stamp: stamp(change), since: None });
        let deadline = began.checked_add(self.timeout.unwrap_or(TIMEOUT));
        let mut poll = Poll::answered(client, "/status".to_owned(), EVERY_SECONDS);
        let mut told = String::new();
        loop {
            let line = match poll.read(clock::now())? {
                Some(status) => {
                    wanted = wanted.after(&status);
                    let found = FleetState::read(&status, wanted)?;
                    if found.is_complete() {
                        say(&found.ending(began.elapsed()), format);
                        return Ok(());
                    }
                    format!("waiting for revision {}: {found}", wanted.stamp)
                }
                None => poll.outage().unwrap_or_default(),
            };
            if line != told {
                notice::print(&line);
                told = line;
            }
            let remaining = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if remaining.is_some_and(|remaining| remaining.is_zero()) {
                return Err(Failure::TimeOver(format!(
                    "the time is over; {told}\n  hint: the change is made, and cutover status shows how far it has come"
                )));
            }
            thread::sleep(remaining.map_or(poll.pause(), |remaining| remaining.min(poll.pause())));
        }
    }
}

/// Prints the end of the wait, unless programs read the API's JSON: the exit code tells them.
fn say(ending: &str, format: Format) {
    if format == Format::Table {
        println!("{ending}");
    }
}

/// Returns the revision of a change, or of a count of isolates, with its epoch.
fn stamp(document: &Value) -> Stamp {
    let number = |name: &str| document.get(name).and_then(Value::as_u64).unwrap_or_default();
    Stamp { epoch: Epoch(number("epoch")), revision: Revision(number("revision")) }
}

/// Returns the time in a field; `None` if there is none.
fn time(document: &Value, name: &str) -> Option<Timestamp> {
    document.get(name)?.as_str()?.parse().ok()
}

/// A change that isolates are to confirm.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    /// Revision that they must hold.
    stamp: Stamp,
    /// Time of the first status behind the change, by the clock of the management API; `None` before it is read.
    since: Option<Timestamp>,
}

impl Wanted {
    /// Completes the change by a status. The response to a change that changed nothing has the revision of the head with the
    /// epoch of the object, which is an earlier one if the table was restored since.
    fn after(self, status: &Value) -> Self {
        let epoch = self.stamp.epoch.max(stamp(status).epoch);
        Self { stamp: Stamp { epoch, ..self.stamp }, since: self.since.or_else(|| time(status, "now")) }
    }
}

/// State of the isolates, as far as it confirms a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FleetState {
    /// The batches of isolates are not known, or were not read within the last minute.
    Unread,
    /// No isolate reported, but the batches were not read further than the change.
    Early,
    /// Isolates that hold the revision or a later one, of those that reported within the last minute.
    Held { isolates: u64, reporting: u64 },
}

impl FleetState {
    /// Reads the state of the isolates from the status of the migration.
    fn read(status: &Value, wanted: Wanted) -> Result<Self, Failure> {
        let Some(fleet) = status.get("isolates") else {
            return Err(Failure::Io(
                "the management API does not say which revisions isolates hold\n  hint: the change is made; deploy the \
                 functions in the version of this command"
                    .to_owned(),
            ));
        };
        let Some(reporting) = fleet.get("reporting").and_then(Value::as_u64) else { return Ok(Self::Unread) };
        if reporting == 0 && time(fleet, "as_of") <= wanted.since {
            return Ok(Self::Early);
        }
        let held = output::list(fleet, "revisions").filter(|count| stamp(count) >= wanted.stamp);
        let isolates = held.filter_map(|count| count.get("isolates")?.as_u64()).sum();
        Ok(Self::Held { isolates, reporting })
    }

    fn is_complete(self) -> bool {
        matches!(self, Self::Held { isolates, reporting } if isolates >= reporting)
    }

    /// Describes the end of a wait that took some time.
    fn ending(self, took: Duration) -> String {
        if let Self::Held { reporting: 0, .. } = self {
            return "no isolate reported within the last minute: nothing to confirm".to_owned();
        }
        let took = duration::short(i64::try_from(took.as_millis()).unwrap_or(i64::MAX));
        format!("confirmed by the batches of {self} after {took}")
    }
}

impl fmt::Display for FleetState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unread => f.write_str(
                "no batches were read within the last minute, or too few since a restore; cutover preflight checks \
                 the schedule",
            ),
            Self::Early => f.write_str("no isolate reported before it; the batches since then are being read"),
            Self::Held { isolates, reporting: 1 } => write!(f, "{isolates} of 1 isolate"),
            Self::Held { isolates, reporting } => write!(f, "{isolates} of {reporting} isolates"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_server::answering;
    use serde_json::json;

    fn wanted(epoch: u64, revision: u64) -> Wanted {
        Wanted { stamp: Stamp { epoch: Epoch(epoch), revision: Revision(revision) }, since: None }
    }

    /// Waits for a short time behind a change of revision 8.
    fn waited(url: &str) -> Result<(), Failure> {
        let client = Client::new(url, "t", None).unwrap();
        let wait = Wait { wait: true, timeout: Some(Duration::from_millis(200)) };
        wait.until_in_force(&client, &json!({ "revision": 8, "published": true }), Format::Json)
    }

    #[test]
    fn isolates_confirm_a_revision_by_it_or_a_later_one() {
        let status = json!({ "isolates": { "as_of": "2026-01-31T12:00:00Z", "reporting": 14, "revisions": [
            { "epoch": 5, "revision": 3, "isolates": 1 }, { "revision": 9, "isolates": 2 },
            { "revision": 8, "isolates": 4 }, { "revision": 7, "isolates": 7 },
        ] } });
        for (wanted, isolates) in
            [(wanted(0, 7), 14), (wanted(0, 8), 7), (wanted(0, 9), 3), (wanted(0, 10), 1), (wanted(5, 4), 0)]
        {
            let expected = FleetState::Held { isolates, reporting: 14 };
            assert_eq!(FleetState::read(&status, wanted).unwrap(), expected, "{wanted:?}");
            assert_eq!(expected.is_complete(), isolates == 14);
        }
        let ending = FleetState::Held { isolates: 14, reporting: 14 }.ending(Duration::from_millis(11_400));
        assert_eq!(ending, "confirmed by the batches of 14 of 14 isolates after 12 s");
    }

    #[test]
    fn without_isolates_there_is_nothing_to_confirm() {
        let none = |now: &str, as_of: &str| {
            let fleet = json!({ "as_of": as_of, "reporting": 0, "revisions": [] });
            json!({ "now": now, "isolates": fleet })
        };
        // One that began to report just before the change may not have been read at the first look.
        let first = none("2026-01-31T12:00:00Z", "2026-01-31T11:59:58Z");
        let wanted_now = wanted(0, 7).after(&first);
        for (status, is_complete) in [
            (first, false),
            (none("2026-01-31T12:00:02Z", "2026-01-31T12:00:00Z"), false),
            (none("2026-01-31T12:00:04Z", "2026-01-31T12:00:02Z"), true),
        ] {
            let found = FleetState::read(&status, wanted_now.after(&status)).unwrap();
            assert_eq!(found.is_complete(), is_complete, "{status:#}");
        }
        let found = FleetState::Held { isolates: 0, reporting: 0 };
        let expected = "no isolate reported within the last minute: nothing to confirm";
        assert_eq!(found.ending(Duration::ZERO), expected);
        let unread = FleetState::read(&json!({ "isolates": null }), wanted(0, 7)).unwrap();
        assert_eq!((unread, unread.is_complete()), (FleetState::Unread, false), "unknown is not none");
        let before = FleetState::read(&json!({}), wanted(0, 7)).unwrap_err().to_string();
        assert!(before.contains("deploy the functions"), "{before}");
    }

    #[test]
    fn the_time_is_over_with_exit_code_11() {
        let status = r#"{"isolates":{"reporting":2,"revisions":[{"revision":8,"isolates":1},{"revision":7,"isolates":1}]}}"#;
        for (body, expected) in [
            (status, "waiting for revision 8: 1 of 2 isolates"),
            (r#"{"isolates":null}"#, "no batches were read"),
        ] {
            let (url, paths) = answering(200, body);
            let failure = waited(&url).unwrap_err();
            assert_eq!(failure.json()["exit_code"], 11);
            assert!(failure.to_string().contains(expected), "{failure}");
            assert_eq!(paths.lock().unwrap().first().unwrap(), "/api/migration/status");
        }
    }

    /// The flag was last changed before the restore, and the change changes nothing: its response has no epoch.
    #[test]
    fn a_revision_of_the_time_before_a_restore_confirms_nothing() {
        let (url, _) = answering(
            200,
            r#"{"epoch":5,"revision":8,"isolates":{"reporting":2,"revisions":[
                {"epoch":5,"revision":8,"isolates":1},{"revision":9,"isolates":1}]}}"#,
        );
        let failure = waited(&url).unwrap_err().to_string();
        assert!(failure.contains("waiting for revision 8e5: 1 of 2 isolates"), "{failure}");
    }

    /// A wrong URL would have failed before: the change has just been made there.
    #[test]
    fn a_change_that_was_made_is_waited_for_although_the_connection_breaks() {
        let failure = waited("http://127.0.0.1:1").unwrap_err();
        assert_eq!(failure.json()["exit_code"], 11, "{failure}");
        assert!(failure.to_string().contains("the change is made"), "{failure}");
    }

    #[test]
    fn a_command_that_is_not_to_wait_does_not_ask() {
        let (url, paths) = answering(200, "{}");
        let client = Client::new(&url, "t", None).unwrap();
        Wait::default().until_in_force(&client, &json!({ "revision": 8 }), Format::Table).unwrap();
        assert!(paths.lock().unwrap().is_empty());
    }
}
