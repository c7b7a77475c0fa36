//! What the environment of a function sets.

use std::time::Duration;

/// The settings of a function.
#[derive(Clone)]
pub struct Settings {
    /// The DynamoDB table.
    pub table: String,
    /// The AWS region.
    pub region: String,
    /// Another endpoint for DynamoDB than the region's.
    pub dynamodb_endpoint: Option<String>,
    /// The keys of the function's role.
    pub credentials: Option<AwsKeys>,
    /// The base URL of the KV REST API, up to and without `/storage/kv`.
    pub kv_api: String,
    /// The KV namespace.
    pub kv_namespace: String,
    /// The token for the KV REST API.
    pub kv_token: String,
    /// How long one call to the KV REST API may take.
    pub kv_timeout: Duration,
    /// The secrets that batches may be signed with: the current one, and the one before it while it is rotated.
    pub ingest_secrets: Vec<String>,
    /// How long evaluation waits for batches that are being stored.
    pub settle: Duration,
    /// After this silence an isolate that had more to tell is lost.
    pub isolate_silence: Duration,
    /// Where notifications go, and the secret they are signed with.
    pub webhook: Option<(String, String)>,
    /// The token of the first start; nobody has it where it is not set.
    pub root_token: Option<String>,
}

/// Keys as Lambda hands them to a function.
#[derive(Clone)]
pub struct AwsKeys {
    /// `AWS_ACCESS_KEY_ID`
    pub id: String,
    /// `AWS_SECRET_ACCESS_KEY`
    pub secret: String,
    /// `AWS_SESSION_TOKEN`
    pub session: Option<String>,
}

/// A variable that must be set is not.
#[derive(Debug, thiserror::Error)]
pub enum InvalidSettings {
    /// The variable has no value.
    #[error("the environment variable {0} is not set; {1}")]
    Missing(&'static str, &'static str),
    /// The variable is no number.
    #[error("the environment variable {0} is {1:?}; write whole milliseconds")]
    NotMilliseconds(&'static str, String),
    /// The root token could be guessed.
    #[error("CUTOVER_ROOT_TOKEN has {0} characters; use at least 24 random ones, or remove the variable")]
    ShortRootToken(usize),
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

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Secrets stay out of logs, also by accident.
        f.debug_struct("Settings")
            .field("table", &self.table)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// Reads the environment of the process.
    pub fn from_env() -> Result<Self, InvalidSettings> {
        Self::read(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    /// Reads the environment of a function that does not publish, and so needs no access to KV.
    pub fn from_env_without_kv() -> Result<Self, InvalidSettings> {
        Self::read(|name| {
            let value = std::env::var(name).ok().filter(|value| !value.is_empty());
            value.or_else(|| name.starts_with("CUTOVER_KV_").then(String::new))
        })
    }

    /// Reads the settings through a function that gives the text of a variable.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidSettings> {
        let required = |name, why| variable(name).ok_or(InvalidSettings::Missing(name, why));
        let root_token = variable("CUTOVER_ROOT_TOKEN");
        if let Some(token) = root_token.as_deref().filter(|token| token.len() < 24) {
            return Err(InvalidSettings::ShortRootToken(token.len()));
        }
        Ok(Self {
            table: required("CUTOVER_TABLE", "it names the DynamoDB table")?,
            region: variable("AWS_REGION").unwrap_or_else(|| "us-east-1".to_owned()),
            dynamodb_endpoint: variable("AWS_ENDPOINT_URL_DYNAMODB"),
            credentials: variable("AWS_ACCESS_KEY_ID")
                .zip(variable("AWS_SECRET_ACCESS_KEY"))
                .map(|(id, secret)| AwsKeys { id, secret, session: variable("AWS_SESSION_TOKEN") }),
            kv_api: required(
                "CUTOVER_KV_API",
                "it is the KV REST API up to the account, https://api.cloudflare.com/client/v4/accounts/ID",
            )?,
            kv_namespace: required(
                "CUTOVER_KV_NAMESPACE",
                "it is the id of the KV namespace in wrangler.toml",
            )?,
            kv_token: required(
                "CUTOVER_KV_TOKEN",
                "it is a Cloudflare API token that may write the namespace",
            )?,
            kv_timeout: variable("CUTOVER_KV_TIMEOUT_MS")
                .and_then(|text| text.parse().ok())
                .map_or(Duration::from_secs(2), Duration::from_millis),
            ingest_secrets: ["CUTOVER_INGEST_SECRET", "CUTOVER_INGEST_SECRET_PREVIOUS"]
                .into_iter()
                .filter_map(&variable)
                .collect(),
            settle: milliseconds(&variable, "CUTOVER_SETTLE_MS", 10_000)?,
            isolate_silence: milliseconds(&variable, "CUTOVER_ISOLATE_SILENCE_MS", 60_000)?,
            webhook: variable("CUTOVER_WEBHOOK_URL")
                .map(|url| {
                    let why = "notifications are signed with it";
                    Ok((url, required("CUTOVER_WEBHOOK_SECRET", why)?))
                })
                .transpose()?,
            root_token,
        })
    }
}
