//! Secrets, from AWS Secrets Manager if the variable `NAME_ARN` is set, otherwise from the
//! environment (for local stacks). A stored secret is read on first use and again after it was
//! rejected, so that rotating it needs no deployment.

use crate::settings::aws::AwsKeys;
use aws_sdk_secretsmanager::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig, timeout::TimeoutConfig},
    error::DisplayErrorContext,
};
use std::{
    fmt,
    sync::Mutex,
    time::{Duration, Instant},
};

/// Shortest interval between reads of a secret that was rejected.
const READ_AGAIN: Duration = Duration::from_secs(20);

/// Staging label of the version that the current one replaced.
const PREVIOUS: &str = "AWSPREVIOUS";

/// A secret, with its previous value during a rotation.
pub struct Secret {
    stored: Option<SecretSource>,
    held: Mutex<CachedValues>,
}

struct SecretSource {
    client: Client,
    arn: String,
}

#[derive(Clone, Default)]
struct CachedValues {
    values: Vec<String>,
    read_at: Option<Instant>,
}

/// Failure to read a stored secret.
#[derive(Debug, thiserror::Error)]
#[error("the secret {arn} could not be read: {why}")]
pub struct SecretError {
    arn: String,
    why: String,
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
        Self {
            stored: None,
            held: Mutex::new(CachedValues {
                values: values.into_iter().collect(),
                read_at: Some(Instant::now()),
            }),
        }
    }

    /// Creates a secret that is stored in Secrets Manager, without reading it.
    pub fn stored(client: Client, arn: String) -> Self {
        Self { stored: Some(SecretSource { client, arn }), held: Mutex::default() }
    }

    /// Returns the accepted values, the current one first; empty if the secret has no value yet.
    ///
    /// # Errors
    ///
    /// Fails if the secret cannot be read from Secrets Manager.
    pub async fn values(&self) -> Result<Vec<String>, SecretError> {
        let held = self.held.lock().map(|held| held.clone()).unwrap_or_default();
        match held.read_at {
            Some(_) => Ok(held.values),
            None => self.read().await,
        }
    }

    /// Reads the values again after the cached ones were rejected. Returns `None` if no newer
    /// values are to be expected.
    ///
    /// # Errors
    ///
    /// Fails if the secret cannot be read from Secrets Manager.
    pub async fn again(&self) -> Result<Option<Vec<String>>, SecretError> {
        let read_at = self.held.lock().ok().and_then(|held| held.read_at);
        if self.stored.is_none() || read_at.is_some_and(|at| at.elapsed() < READ_AGAIN) {
            return Ok(None);
        }
        self.read().await.map(Some)
    }

    async fn read(&self) -> Result<Vec<String>, SecretError> {
        let Some(stored) = &self.stored else { return Ok(Vec::new()) };
        let (current, previous) = tokio::join!(stored.version(None), stored.version(Some(PREVIOUS)));
        let values: Vec<String> = [current?, previous?].into_iter().flatten().collect();
        if let Ok(mut held) = self.held.lock() {
            *held = CachedValues { values: values.clone(), read_at: Some(Instant::now()) };
        }
        Ok(values)
    }
}

impl SecretSource {
    /// Reads one version; `None` if there is none.
    async fn version(&self, stage: Option<&str>) -> Result<Option<String>, SecretError> {
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
                let error =
                    SecretError { arn: self.arn.clone(), why: DisplayErrorContext(&error).to_string() };
                tracing::error!(event = "secret_unreadable", %error, "a secret cannot be read");
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
