//! Repeated reads of one path of the management API, which survive its failures that may pass by themselves.

use crate::{client::Client, failure::Failure, retry};
use cutover_core::Timestamp;
use reqwest::Method;
use serde_json::Value;
use std::time::Duration;

/// Time for which the first read is tried again, in milliseconds.
const FIRST_PATIENCE_MS: i64 = 20_000;

/// Shortest pause after a failure.
const SHORTEST: Duration = Duration::from_secs(2);

/// Longest pause after a failure, unless the management API asks for a longer one (`Retry-After`).
const LONGEST: Duration = Duration::from_secs(30);

/// Failed reads since the last status.
#[derive(Debug, Clone)]
struct Outage {
    since: i64,
    failed: u32,
    cause: String,
    /// Pause that the management API asked for.
    retry_after: Option<Duration>,
}

/// Reads of one path, such as the status of a canary.
#[derive(Debug)]
pub struct Poll<'c> {
    client: &'c Client,
    path: String,
    every: Duration,
    outage: Option<Outage>,
    is_known: bool,
}

impl<'c> Poll<'c> {
    /// Prepares reads of a path below `/api/migration` every few seconds, one at least.
    pub fn new(client: &'c Client, path: String, every: u64) -> Self {
        let every = Duration::from_secs(every.max(1));
        Self { client, path, every, outage: None, is_known: false }
    }

    /// Prepares reads as [`Poll::new`] does, of a management API that has just answered: its URL is right, so that no connection
    /// is a failure that may pass from the first read on.
    pub fn answered(client: &'c Client, path: String, every: u64) -> Self {
        Self { is_known: true, ..Self::new(client, path, every) }
    }

    /// Reads the status at the time `now`, in milliseconds. Returns `None` if the read failed in a way that may pass.
    ///
    /// # Errors
    ///
    /// Fails if the management API refuses the request, or if the first reads fail.
    pub fn read(&mut self, now: i64) -> Result<Option<Value>, Failure> {
        let failure = match self.client.send_once(Method::GET, &self.path, None) {
            Ok(status) => {
                (self.outage, self.is_known) = (None, true);
                return Ok(Some(status));
            }
            Err(failure) => failure,
        };
        let held = self.outage.take();
        let since = held.as_ref().map_or(now, |outage| outage.since);
        let is_patient = self.is_known || now - since < FIRST_PATIENCE_MS;
        if !(self.may_pass(&failure) && is_patient) {
            return Err(failure);
        }
        let failed = held.map_or(1, |outage| outage.failed.saturating_add(1));
        let retry_after = match &failure {
            Failure::Refused { retry_after, .. } => *retry_after,
            _ => None,
        };
        self.outage = Some(Outage { since, failed, cause: failure.cause(), retry_after });
        Ok(None)
    }

    /// Returns true for a failure that may pass by itself. Without a status yet, no connection is rather a wrong URL.
    fn may_pass(&self, failure: &Failure) -> bool {
        match failure {
            Failure::Unreachable(_) => self.is_known,
            Failure::Refused { status, .. } => *status == 500 || retry::is_transient(*status),
            _ => false,
        }
    }

    /// Returns the pause before the next read, which grows with each failure.
    pub fn pause(&self) -> Duration {
        match &self.outage {
            None => self.every,
            Some(outage) => pause(self.every, outage.failed).max(outage.retry_after.unwrap_or_default()),
        }
    }

    /// Returns a line about the reads that fail, and since when. `None` if the last one did not.
    pub fn outage(&self) -> Option<String> {
        let Outage { since, cause, .. } = self.outage.as_ref()?;
        let since = Timestamp::from_millis(since - since.rem_euclid(1_000));
        Some(format!("no status since {since}: {cause}; trying again"))
    }

    /// Returns true if the last read was the first of several that failed.
    pub fn has_just_failed(&self) -> bool {
        self.outage.as_ref().is_some_and(|outage| outage.failed == 1)
    }
}

fn pause(every: Duration, failed: u32) -> Duration {
    let doubled = every.max(SHORTEST).saturating_mul(1 << failed.saturating_sub(1).min(8));
    doubled.min(LONGEST.max(every))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_server;

    #[test]
    fn a_poll_survives_failures_that_may_pass() {
        let (url, paths) = fake_server::answering(
            503,
            r#"{ "code": "store_unavailable", "detail": "the store failed", "hint": "wait" }"#,
        );
        let client = Client::new(&url, "token", None).unwrap();
        let mut poll = Poll::new(&client, "/f".to_owned(), 1);
        assert!(poll.outage().is_none());
        assert_eq!(poll.read(1_000_500).unwrap(), None);
        assert!(poll.has_just_failed());
        assert_eq!(
            poll.outage().unwrap(),
            "no status since 1970-01-01T00:16:40Z: the store failed; trying again"
        );
        assert_eq!(poll.read(1_003_500).unwrap(), None);
        assert!(!poll.has_just_failed());
        assert!(poll.outage().unwrap().contains("00:16:40Z"), "since the first failure");
        assert_eq!(paths.lock().unwrap().len(), 2);
        let failure = poll.read(1_000_500 + FIRST_PATIENCE_MS).unwrap_err();
        assert!(failure.to_string().contains("the store failed"), "the first status never came");
    }

    #[test]
    fn an_outage_after_the_first_status_has_no_limit() {
        let [good, gone] = [(200, "{}"), (502, "")].map(|(status, body)| {
            let (url, _) = fake_server::answering(status, body);
            Client::new(&url, "token", None).unwrap()
        });
        let mut poll = Poll::new(&good, "/f".to_owned(), 5);
        assert!(poll.read(0).unwrap().is_some());
        poll.client = &gone;
        for now in [1_000, 1_000_000, 1_000_000_000] {
            assert_eq!(poll.read(now).unwrap(), None, "{now}");
        }
    }

    #[test]
    fn a_poll_comes_back_when_the_management_api_asks_for_it() {
        let (url, _) = fake_server::answering_with(429, "{}", ("retry-after", "75"));
        let client = Client::new(&url, "token", None).unwrap();
        let mut poll = Poll::new(&client, "/f".to_owned(), 1);
        poll.read(0).unwrap();
        assert_eq!(poll.pause(), Duration::from_secs(75));
    }

    #[test]
    fn a_refusal_ends_the_polls() {
        let (url, _) = fake_server::answering(401, r#"{ "detail": "the token has expired", "hint": "" }"#);
        let client = Client::new(&url, "token", None).unwrap();
        assert!(Poll::new(&client, "/f".to_owned(), 1).read(0).is_err());
    }

    #[test]
    fn no_connection_is_told_at_once_and_survived_later() {
        let (url, _) = fake_server::answering(200, "{}");
        let [good, gone] =
            [url.as_str(), "http://127.0.0.1:1"].map(|url| Client::new(url, "token", None).unwrap());
        assert!(Poll::new(&gone, "/f".to_owned(), 1).read(0).is_err());
        let mut poll = Poll::new(&good, "/f".to_owned(), 1);
        poll.read(0).unwrap();
        poll.client = &gone;
        assert_eq!(poll.read(1_000).unwrap(), None);
    }

    #[test]
    fn pauses_grow_up_to_a_limit() {
        let pauses =
            |every: u64| [1, 2, 5, 1_000].map(|failed| pause(Duration::from_secs(every), failed).as_secs());
        assert_eq!(pauses(1), [2, 4, 30, 30]);
        assert_eq!(pauses(60), [60, 60, 60, 60]);
    }
}
