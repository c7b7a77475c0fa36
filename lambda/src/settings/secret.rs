//! Secrets, from AWS Secrets Manager if the variable `NAME_ARN` is set, otherwise from the
//! environment (for local stacks). A stored secret is read on first use and again after it was
//! rejected, so that rotating it needs no deployment, and on each use while it has no value yet, so
//! that functions may be started before their secrets are filled.

use crate::{clock, settings::aws::AwsKeys};
use aws_sdk_secretsmanager::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig, timeout::TimeoutConfig},
    error::DisplayErrorContext,
};
use cutover_core::Timestamp;
use std::{fmt, time::Duration};
use tokio::sync::Mutex;

/// Shortest interval between reads of a secret that was rejected, and age from which [`Secret::recent`]
/// reads it again.
const READ_AGAIN: Duration = Duration::from_secs(20);

/// Shortest interval between reads of a secret that has no value, or cannot be read.
const RETRY: Duration = Duration::from_secs(1);

/// Staging label of the version that the current one replaced.
const PREVIOUS: &str = "AWSPREVIOUS";

/// Versions of a stored secret that are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versions {
    /// The current one. A value that was replaced, because it leaked for example, is worth nothing.
    Current,
    /// The current one and the one that it replaced, for signatures of a sender that takes over a new
    /// value later.
    CurrentAndPrevious,
}

/// A secret, with its previous value during a rotation if that is still accepted.
pub struct Secret {
    stored: Option<SecretSource>,
    // Locked while the secret is read, so that concurrent callers wait for one read.
    held: Mutex<Held>,
}

struct SecretSource {
    client: Client,
    arn: String,
    versions: Versions,
}

/// Values as they were last read.
#[derive(Default)]
struct Held {
    values: Vec<String>,
    /// Time of the last read that succeeded.
    read_at: Option<Timestamp>,
    last: Option<Attempt>,
}

/// The last attempt to read a secret.
struct Attempt {
    at: Timestamp,
    /// Reason for which it failed, if it did.
    failure: Option<String>,
}

impl Held {
    /// Notes the outcome of a read. After a failure the earlier values remain.
    fn note(&mut self, at: Timestamp, outcome: Result<Vec<String>, String>) {
        let failure = match outcome {
            Ok(values) => {
                self.values = values;
                self.read_at = Some(at);
                None
            }
            Err(why) => Some(why),
        };
        self.last = Some(Attempt { at, failure });
    }

    /// Returns true if the last attempt to read the secret was less than `limit` ago.
    fn was_tried_within(&self, limit: Duration, now: Timestamp) -> bool {
        self.last.as_ref().is_some_and(|last| clock::is_within(limit, last.at, now))
    }

    /// Returns true if there are values that were read less than [`READ_AGAIN`] ago.
    fn is_recent(&self, now: Timestamp) -> bool {
        !self.values.is_empty() && self.read_at.is_some_and(|at| clock::is_within(READ_AGAIN, at, now))
    }
}

/// Failure to get the value of a secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Secrets Manager did not return it.
    #[error("the secret {arn} could not be read: {why}")]
    Unreadable {
        /// Name or location of the secret.
        arn: String,
        /// Error of the client.
        why: String,
    },
    /// The secret has no value, or a blank one.
    #[error(
        "the secret {0} has no value; set it with \
         `aws secretsmanager put-secret-value --secret-id {0} --secret-string file:///dev/stdin`"
    )]
    Empty(String),
    /// The environment has neither a value nor the location of one.
    #[error("the environment has no value for this secret")]
    NotGiven,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The location of the secret, never its value.
        f.debug_struct("Secret")
            .field("arn", &self.stored.as_ref().map(|stored| &stored.arn))
            .finish_non_exhaustive()
    }
}

impl Secret {
    /// Creates a secret with known values; the first one is the current one.
    pub fn known(values: impl IntoIterator<Item = String>) -> Self {
        let values = values.into_iter().filter(|value| !value.trim().is_empty()).collect();
        Self { stored: None, held: Mutex::new(Held { values, ..Held::default() }) }
    }

    /// Creates a secret that is stored in Secrets Manager, without reading it.
    pub fn stored(client: Client, arn: String, versions: Versions) -> Self {
        Self { stored: Some(SecretSource { client, arn, versions }), held: Mutex::default() }
    }

    /// Returns the accepted values, the current one first; empty if the secret has no value yet. A
    /// secret without a value is read by each call, but at most once a second.
    ///
    /// # Errors
    ///
    /// Fails if the secret cannot be read from Secrets Manager.
    pub async fn values(&self) -> Result<Vec<String>, SecretError> {
        let mut held = self.held.lock().await;
        match &self.stored {
            Some(stored) if held.values.is_empty() => stored.refresh(&mut held).await,
            _ => Ok(held.values.clone()),
        }
    }

    /// Returns the current value.
    ///
    /// # Errors
    ///
    /// Fails if the secret has no value, or cannot be read from Secrets Manager.
    pub async fn current(&self) -> Result<String, SecretError> {
        let values = self.values().await?;
        values.into_iter().next().ok_or_else(|| match &self.stored {
            Some(stored) => SecretError::Empty(stored.arn.clone()),
            None => SecretError::NotGiven,
        })
    }

    /// Returns the accepted values as they were less than 20 s ago, so that a value that was replaced
    /// before is not among them.
    ///
    /// # Errors
    ///
    /// Fails if the secret cannot be read from Secrets Manager.
    pub async fn recent(&self) -> Result<Vec<String>, SecretError> {
        let mut held = self.held.lock().await;
        match &self.stored {
            Some(stored) if !held.is_recent(clock::now()) => stored.refresh(&mut held).await,
            _ => Ok(held.values.clone()),
        }
    }

    /// Reads the values again after the cached ones were rejected, at most once in 20 s. Returns
    /// `None` if no newer values are to be expected.
    ///
    /// # Errors
    ///
    /// Fails if the secret cannot be read from Secrets Manager.
    pub async fn again(&self) -> Result<Option<Vec<String>>, SecretError> {
        let mut held = self.held.lock().await;
        match &self.stored {
            Some(stored) if !held.was_tried_within(READ_AGAIN, clock::now()) => {
                stored.refresh(&mut held).await.map(Some)
            }
            _ => Ok(None),
        }
    }
}

impl SecretSource {
    /// Reads the values, unless that was tried less than [`RETRY`] ago. Returns the outcome of the last
    /// attempt.
    async fn refresh(&self, held: &mut Held) -> Result<Vec<String>, SecretError> {
        if !held.was_tried_within(RETRY, clock::now()) {
            let outcome = self.read().await;
            held.note(clock::now(), outcome);
        }
        match held.last.as_ref().and_then(|last| last.failure.clone()) {
            Some(why) => Err(SecretError::Unreadable { arn: self.arn.clone(), why }),
            None => Ok(held.values.clone()),
        }
    }

    async fn read(&self) -> Result<Vec<String>, String> {
        let found = match self.versions {
            Versions::Current => [self.version(None).await?, None],
            Versions::CurrentAndPrevious => {
                let (current, previous) = tokio::join!(self.version(None), self.version(Some(PREVIOUS)));
                [current?, previous?]
            }
        };
        let values: Vec<String> = found.into_iter().flatten().collect();
        if values.is_empty() {
            tracing::warn!(error = %SecretError::Empty(self.arn.clone()), "a secret is empty");
        }
        Ok(values)
    }

    /// Reads one version; `None` if there is none, or it is blank.
    async fn version(&self, stage: Option<&str>) -> Result<Option<String>, String> {
        let request =
            self.client.get_secret_value().secret_id(&self.arn).set_version_stage(stage.map(str::to_owned));
        match request.send().await {
            Ok(response) => {
                Ok(response.secret_string.map(|value| value.trim().to_owned()).filter(|v| !v.is_empty()))
            }
            Err(error)
                if error.as_service_error().is_some_and(|error| error.is_resource_not_found_exception()) =>
            {
                Ok(None)
            }
            Err(error) => {
                let error = DisplayErrorContext(&error).to_string();
                tracing::error!(
                    event = "secret_unreadable",
                    arn = self.arn,
                    error,
                    "a secret cannot be read"
                );
                Err(error)
            }
        }
    }
}

/// Creates a client of Secrets Manager, without connecting.
pub fn client(region: &str, endpoint: Option<String>, credentials: Option<AwsKeys>) -> Client {
    let mut config = aws_sdk_secretsmanager::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .retry_config(RetryConfig::standard().with_max_attempts(3))
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(2))
                .operation_timeout(Duration::from_secs(6))
                .build(),
        );
    if let Some(keys) = credentials {
        config = config.credentials_provider(Credentials::from(keys));
    }
    if let Some(endpoint) = endpoint {
        config = config.endpoint_url(endpoint);
    }
    Client::from_conf(config.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + seconds * 1_000)
    }

    fn read(outcome: Result<&[&str], &str>) -> Held {
        let mut held = Held::default();
        let values = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        held.note(seconds(0), outcome.map(values).map_err(str::to_owned));
        held
    }

    #[test]
    fn a_value_is_recent_for_twenty_seconds_of_the_wall_clock_and_none_never_is() {
        let held = read(Ok(&["value"]));
        assert!(held.is_recent(seconds(0)) && held.is_recent(seconds(19)));
        // An hour later is an hour later, also for a process that was frozen meanwhile.
        for later in [20, 3_600, -1] {
            assert!(!held.is_recent(seconds(later)), "after {later} s");
        }
        assert!(!read(Ok(&[])).is_recent(seconds(0)), "a secret without a value is not cached");
        assert!(!Held::default().is_recent(seconds(0)));
    }

    #[test]
    fn a_failure_keeps_the_value_and_makes_it_no_younger() {
        let mut held = read(Ok(&["value"]));
        held.note(seconds(25), Err("no connection".to_owned()));
        assert_eq!(held.values, ["value"]);
        assert!(!held.is_recent(seconds(26)), "it is as old as the read that returned it");
        assert!(held.was_tried_within(READ_AGAIN, seconds(26)), "nor is it asked for at once again");
    }

    #[test]
    fn an_empty_secret_is_read_at_most_once_a_second() {
        for held in [read(Ok(&[])), read(Err("no connection"))] {
            assert!(held.was_tried_within(RETRY, seconds(0)));
            assert!(!held.was_tried_within(RETRY, seconds(1)));
        }
        assert!(!Held::default().was_tried_within(RETRY, seconds(0)), "the first use reads it");
    }

    #[tokio::test]
    async fn blank_values_are_none() {
        let blank = Secret::known([" ".to_owned(), String::new()]);
        assert_eq!(blank.values().await.unwrap(), Vec::<String>::new());
        assert!(blank.current().await.is_err());
        let empty = SecretError::Empty("cutover-staging/kv".to_owned()).to_string();
        assert!(empty.contains("--secret-id cutover-staging/kv "), "{empty}");
    }
}
