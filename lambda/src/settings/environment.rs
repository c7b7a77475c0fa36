//! Settings of the functions, from environment variables.

use crate::settings::{
    aws::AwsKeys,
    identity_provider::TokenRequirements,
    secret,
    secret::{Secret, Versions},
};
use cutover_core::experiment::DEFAULT_CAPACITY;
use std::{num::IntErrorKind, sync::Arc, time::Duration};

/// Settings of a function.
#[derive(Clone)]
pub struct Settings {
    /// Name of the DynamoDB table.
    pub table: String,
    /// Name of the table of batches.
    pub arrivals: String,
    /// AWS region.
    pub region: String,
    /// Endpoint of DynamoDB, if not that of the region.
    pub dynamodb_endpoint: Option<String>,
    /// AWS credentials of the function's role.
    pub credentials: Option<AwsKeys>,
    /// Base URL of the KV REST API, up to but not including `/storage/kv`.
    pub kv_api: String,
    /// Id of the KV namespace.
    pub kv_namespace: String,
    /// Token for the KV REST API.
    pub kv_token: Arc<Secret>,
    /// Timeout of one call to the KV REST API.
    pub kv_timeout: Duration,
    /// Shortest time between two writes of the snapshot by one process; KV takes one write a second.
    pub kv_interval: Duration,
    /// Secret that signs batches, with its previous value during a rotation.
    pub ingest_secrets: Arc<Secret>,
    /// Time for which an invocation of evaluation works; 0 for one pass.
    pub evaluation: Duration,
    /// Longest time for which the next batch of an isolate is waited for, if it promised one.
    pub isolate_silence: Duration,
    /// Most users of a phase of an experiment that are remembered.
    pub experiment_users: u32,
    /// URL of the webhook for notifications, and the secret that signs them.
    pub webhook: Option<(String, Arc<Secret>)>,
    /// Root token, for the first start; disabled if it has no value.
    pub root_token: Arc<Secret>,
    /// URL of the identity provider's JWKS, and the requirements on its tokens.
    pub jwt: Option<(String, TokenRequirements)>,
    /// Sustained rate limit of one caller, in requests per second and process; `None` means no
    /// limit.
    pub rate_limit: Option<f64>,
    /// True if changes that may move users to the new backend need a second person's approval.
    pub two_person: bool,
    /// True if this function only declares and clears emergencies, so that other callers cannot occupy it.
    pub emergency_only: bool,
}

/// Most users of a phase that may be configured. Whatever is configured, a phase remembers no more than one transaction
/// writes: fewer than these. Tests count up to 200,000 exactly.
const MAX_EXPERIMENT_USERS: u32 = 250_000;

/// Shortest root token, in characters.
pub const MIN_ROOT_TOKEN: usize = 24;

/// An environment variable is missing or invalid.
#[derive(Debug, thiserror::Error)]
pub enum InvalidSettings {
    /// A required variable is not set.
    #[error("the environment variable {0} is not set; {1}")]
    Missing(&'static str, &'static str),
    /// The value is not a number of milliseconds.
    #[error("the environment variable {0} is {1:?}; use a whole number of milliseconds")]
    NotMilliseconds(&'static str, String),
    /// The value is not a number of users. One that is too large is lowered instead.
    #[error(
        "the environment variable {0} is {1:?}; use a whole number of users from 1 to {MAX_EXPERIMENT_USERS}"
    )]
    NotUsers(&'static str, String),
    /// The value is not a rate.
    #[error("the environment variable {0} is {1:?}; use a number of requests per second above 0")]
    NotARate(&'static str, String),
    /// The value is not a bool.
    #[error("the environment variable {0} is {1:?}; use true or false")]
    NotASwitch(&'static str, String),
    /// The value is not a URL, would send secrets over an unencrypted network, or contains
    /// credentials.
    #[error(
        "the environment variable {0} is no usable URL; use https://, or http:// for this machine, without credentials"
    )]
    NotAUrl(&'static str),
    /// The root token is too short.
    #[error("CUTOVER_ROOT_TOKEN has {0} characters; use at least 24 random ones, or remove the variable")]
    ShortRootToken(usize),
}

/// Checks that secrets may be sent to a URL.
fn checked_url(name: &'static str, text: String) -> Result<String, InvalidSettings> {
    let url = reqwest::Url::parse(&text).map_err(|_| InvalidSettings::NotAUrl(name))?;
    let is_here = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_here);
    if !is_safe || !url.username().is_empty() || url.password().is_some() {
        return Err(InvalidSettings::NotAUrl(name));
    }
    Ok(text)
}

fn jwt(
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<(String, TokenRequirements)>, InvalidSettings> {
    let Some(url) = variable("CUTOVER_JWT_JWKS_URL") else { return Ok(None) };
    let required = |name, why| variable(name).ok_or(InvalidSettings::Missing(name, why));
    let expected = TokenRequirements {
        issuer: required("CUTOVER_JWT_ISSUER", "it is the iss of accepted tokens")?,
        audience: required("CUTOVER_JWT_AUDIENCE", "it is the aud of accepted tokens")?,
        role_claim: variable("CUTOVER_JWT_ROLE_CLAIM").unwrap_or_else(|| "role".to_owned()),
    };
    Ok(Some((checked_url("CUTOVER_JWT_JWKS_URL", url)?, expected)))
}

fn milliseconds(
    variable: impl Fn(&str) -> Option<String>,
    name: &'static str,
    otherwise: u64,
) -> Result<Duration, InvalidSettings> {
    match variable(name) {
        None => Ok(Duration::from_millis(otherwise)),
        Some(text) => match text.parse() {
            Ok(ms) => Ok(Duration::from_millis(ms)),
            Err(_) => Err(InvalidSettings::NotMilliseconds(name, text)),
        },
    }
}

/// Returns the number of users that a phase remembers: the largest one for any above it, which is logged. Earlier
/// versions accepted those, and a function that does not start would judge no guardrail at all.
fn experiment_users(text: Option<String>) -> Result<u32, InvalidSettings> {
    const NAME: &str = "CUTOVER_EXPERIMENT_USERS";
    let Some(text) = text else { return Ok(DEFAULT_CAPACITY) };
    let users = match text.parse::<u32>() {
        Err(error) if *error.kind() == IntErrorKind::PosOverflow => u32::MAX,
        Ok(0) | Err(_) => return Err(InvalidSettings::NotUsers(NAME, text)),
        Ok(users) => users,
    };
    if users > MAX_EXPERIMENT_USERS {
        tracing::warn!(
            event = "setting_lowered",
            variable = NAME,
            value = %text,
            used = MAX_EXPERIMENT_USERS,
            "a phase of an experiment cannot remember so many users"
        );
    }
    Ok(users.min(MAX_EXPERIMENT_USERS))
}

fn switch(variable: impl Fn(&str) -> Option<String>, name: &'static str) -> Result<bool, InvalidSettings> {
    match variable(name).as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(InvalidSettings::NotASwitch(name, other.to_owned())),
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Keeps secrets out of logs, even by accident.
        f.debug_struct("Settings")
            .field("table", &self.table)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// Reads the settings from the environment of the process.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidSettings`] for the first variable that is missing or invalid.
    pub fn from_env() -> Result<Self, InvalidSettings> {
        Self::read(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    /// Reads the settings of a function that does not publish and so needs no access to KV.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidSettings`] for the first variable that is missing or invalid.
    pub fn from_env_without_kv() -> Result<Self, InvalidSettings> {
        Self::read(|name| {
            let value = std::env::var(name).ok().filter(|value| !value.is_empty());
            let is_needed = ["CUTOVER_KV_API", "CUTOVER_KV_NAMESPACE", "CUTOVER_KV_TOKEN"].contains(&name);
            value.or_else(|| is_needed.then(String::new))
        })
    }

    /// Reads the settings from a function that returns the value of a variable.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidSettings`] for the first variable that is missing or invalid.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidSettings> {
        let required = |name, why| variable(name).ok_or(InvalidSettings::Missing(name, why));
        if let Some(token) =
            variable("CUTOVER_ROOT_TOKEN").as_deref().filter(|token| token.len() < MIN_ROOT_TOKEN)
        {
            return Err(InvalidSettings::ShortRootToken(token.len()));
        }
        let region = variable("AWS_REGION").unwrap_or_else(|| "us-east-1".to_owned());
        let credentials = variable("AWS_ACCESS_KEY_ID")
            .zip(variable("AWS_SECRET_ACCESS_KEY"))
            .map(|(id, secret)| AwsKeys { id, secret, session: variable("AWS_SESSION_TOKEN") });
        let vault =
            secret::client(&region, variable("AWS_ENDPOINT_URL_SECRETS_MANAGER"), credentials.clone());
        // A stored secret brings its previous value if that is accepted; for one in the environment,
        // further variables hold it.
        let secret = |arn: &str, versions: Versions, names: &[&str]| {
            Arc::new(match variable(arn) {
                Some(arn) => Secret::stored(vault.clone(), arn, versions),
                None => Secret::known(names.iter().filter_map(|name| variable(name))),
            })
        };
        let is_set = |name: &str| variable(name).or_else(|| variable(&format!("{name}_ARN"))).is_some();
        let must_be_set = |name, why| {
            if is_set(name) { Ok(()) } else { Err(InvalidSettings::Missing(name, why)) }
        };
        must_be_set("CUTOVER_KV_TOKEN", "it is a Cloudflare API token with write access to the namespace")?;
        let webhook = variable("CUTOVER_WEBHOOK_URL");
        if webhook.is_some() {
            must_be_set("CUTOVER_WEBHOOK_SECRET", "notifications are signed with it")?;
        }
        Ok(Self {
            arrivals: match variable("CUTOVER_ARRIVALS_TABLE") {
                Some(name) => name,
                None => format!("{}-arrivals", required("CUTOVER_TABLE", "it names the DynamoDB table")?),
            },
            table: required("CUTOVER_TABLE", "it names the DynamoDB table")?,
            dynamodb_endpoint: variable("AWS_ENDPOINT_URL_DYNAMODB"),
            kv_api: match required(
                "CUTOVER_KV_API",
                "it is the KV REST API up to the account, https://api.cloudflare.com/client/v4/accounts/ID",
            )? {
                none if none.is_empty() => none,
                url => checked_url("CUTOVER_KV_API", url)?,
            },
            kv_namespace: required(
                "CUTOVER_KV_NAMESPACE",
                "it is the id of the KV namespace in wrangler.toml",
            )?,
            kv_token: secret("CUTOVER_KV_TOKEN_ARN", Versions::Current, &["CUTOVER_KV_TOKEN"]),
            kv_timeout: variable("CUTOVER_KV_TIMEOUT_MS")
                .and_then(|text| text.parse().ok())
                .map_or(Duration::from_secs(2), Duration::from_millis),
            kv_interval: milliseconds(&variable, "CUTOVER_KV_INTERVAL_MS", 1_100)?,
            ingest_secrets: secret(
                "CUTOVER_INGEST_SECRET_ARN",
                Versions::CurrentAndPrevious,
                &["CUTOVER_INGEST_SECRET", "CUTOVER_INGEST_SECRET_PREVIOUS"],
            ),
            evaluation: milliseconds(&variable, "CUTOVER_EVALUATION_MS", 0)?,
            isolate_silence: milliseconds(&variable, "CUTOVER_ISOLATE_SILENCE_MS", 600_000)?,
            experiment_users: experiment_users(variable("CUTOVER_EXPERIMENT_USERS"))?,
            webhook: webhook
                .map(|url| {
                    let url = checked_url("CUTOVER_WEBHOOK_URL", url)?;
                    let names = ["CUTOVER_WEBHOOK_SECRET"];
                    Ok((url, secret("CUTOVER_WEBHOOK_SECRET_ARN", Versions::Current, &names)))
                })
                .transpose()?,
            root_token: secret("CUTOVER_ROOT_TOKEN_ARN", Versions::Current, &["CUTOVER_ROOT_TOKEN"]),
            jwt: jwt(&variable)?,
            rate_limit: variable("CUTOVER_RATE_LIMIT")
                .map(|text| match text.parse::<f64>() {
                    Ok(rate) if rate > 0.0 && rate.is_finite() => Ok(rate),
                    _ => Err(InvalidSettings::NotARate("CUTOVER_RATE_LIMIT", text)),
                })
                .transpose()?,
            two_person: switch(&variable, "CUTOVER_TWO_PERSON")?,
            emergency_only: switch(&variable, "CUTOVER_EMERGENCY_ONLY")?,
            region,
            credentials,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPLETE: [(&str, &str); 4] = [
        ("CUTOVER_TABLE", "cutover"),
        ("CUTOVER_KV_API", "https://api.cloudflare.com/client/v4/accounts/0"),
        ("CUTOVER_KV_NAMESPACE", "namespace"),
        ("CUTOVER_KV_TOKEN_ARN", "arn:aws:secretsmanager:us-east-1:0:secret:kv"),
    ];

    fn read(more: &[(&str, &str)]) -> Result<Settings, InvalidSettings> {
        let all: Vec<_> = COMPLETE.iter().chain(more).collect();
        Settings::read(|wanted| {
            all.iter().rev().find(|(name, _)| *name == wanted).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        assert!(read(&[]).is_ok());
        let refused = |more: &[(&str, &str)]| read(more).unwrap_err().to_string();
        assert!(refused(&[("CUTOVER_ROOT_TOKEN", "short")]).contains("at least 24"));
        for (name, value) in [
            ("CUTOVER_RATE_LIMIT", "0"),
            ("CUTOVER_RATE_LIMIT", "many"),
            ("CUTOVER_TWO_PERSON", "perhaps"),
            ("CUTOVER_EMERGENCY_ONLY", "1"),
            ("CUTOVER_EVALUATION_MS", "1s"),
            ("CUTOVER_EXPERIMENT_USERS", "0"),
            ("CUTOVER_EXPERIMENT_USERS", "-1"),
            ("CUTOVER_EXPERIMENT_USERS", "many"),
            ("CUTOVER_KV_INTERVAL_MS", "1s"),
        ] {
            let text = refused(&[(name, value)]);
            assert!(text.contains(name) && text.contains(value), "{text}");
        }
        let without_secret = refused(&[("CUTOVER_WEBHOOK_URL", "https://hooks.example/1")]);
        assert!(without_secret.contains("CUTOVER_WEBHOOK_SECRET is not set"), "{without_secret}");
        let jwt = [("CUTOVER_JWT_ISSUER", "i"), ("CUTOVER_JWT_AUDIENCE", "a")];
        assert!(
            refused(&[("CUTOVER_KV_API", "http://kv.example")]).contains("CUTOVER_KV_API is no usable URL")
        );
        for url in ["http://keys.example/jwks", "https://me:secret@keys.example/jwks", "keys"] {
            let text = refused(&[jwt[0], jwt[1], ("CUTOVER_JWT_JWKS_URL", url)]);
            assert!(text.contains("CUTOVER_JWT_JWKS_URL") && !text.contains("secret@"), "{text}");
        }
        assert!(read(&[jwt[0], jwt[1], ("CUTOVER_JWT_JWKS_URL", "http://127.0.0.1:9/jwks")]).is_ok());
        assert!(refused(&[jwt[0], ("CUTOVER_JWT_JWKS_URL", "https://k.example/")]).contains("AUDIENCE"));
    }

    /// A deployment that has the number from an earlier version must not stop with an upgrade.
    #[test]
    fn more_remembered_users_than_a_phase_can_hold_are_lowered() {
        let users = |value: &str| read(&[("CUTOVER_EXPERIMENT_USERS", value)]).unwrap().experiment_users;
        assert_eq!(read(&[]).unwrap().experiment_users, DEFAULT_CAPACITY);
        for (value, expected) in [
            ("1", 1),
            ("249999", 249_999),
            ("250000", 250_000),
            ("250001", 250_000),
            ("1000000", 250_000),
            ("4294967296", 250_000),
            ("99999999999999999999999999", 250_000),
        ] {
            assert_eq!(users(value), expected, "{value}");
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let settings = read(&[("CUTOVER_ROOT_TOKEN", "a-root-token-that-must-not-be-shown")]).unwrap();
        let shown = format!("{settings:?} {:?}", settings.root_token);
        assert!(!shown.contains("a-root-token"), "{shown}");
    }
}
