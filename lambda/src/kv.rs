//! Workers KV from outside: the REST API, of Cloudflare or of a local `wrangler dev`, which differ in their base
//! URL alone.

use crate::{secret::Secret, settings::Settings, telemetry::traced};
use std::{sync::Arc, time::Duration};
use tokio::sync::OnceCell;

/// The key that the edge reads.
pub const SNAPSHOT_KEY: &str = "snapshot";

/// A KV namespace.
#[derive(Debug)]
pub struct Kv {
    // Built when it is first needed: reading the root certificates costs more than the rest of a cold start.
    client: OnceCell<reqwest::Client>,
    url: String,
    token: Arc<Secret>,
    timeout: Duration,
}

/// Why a call to KV brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum KvError {
    /// It answered with this status.
    #[error("Workers KV answered {0}")]
    Refused(u16),
    /// It did not answer.
    #[error("Workers KV could not be reached: {0}")]
    Unreachable(String),
    /// The token for it could not be read, or has no value yet.
    #[error("no token for Workers KV: {0}")]
    NoToken(String),
}

impl Kv {
    /// A namespace, not yet connected.
    pub fn new(settings: &Settings) -> Self {
        let base = settings.kv_api.trim_end_matches('/');
        Self {
            client: OnceCell::new(),
            url: format!("{base}/storage/kv/namespaces/{}/values/{SNAPSHOT_KEY}", settings.kv_namespace),
            token: Arc::clone(&settings.kv_token),
            timeout: settings.kv_timeout,
        }
    }

    async fn client(&self) -> Result<&reqwest::Client, KvError> {
        self.client
            .get_or_try_init(|| async { reqwest::Client::builder().timeout(self.timeout).build() })
            .await
            .map_err(|error| unreachable_kv(&error))
    }

    /// Sends a request, and once more where the token was refused and a newer one can be had.
    async fn send(
        &self,
        request: impl Fn(&reqwest::Client) -> reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, KvError> {
        let client = self.client().await?;
        let no_token = |error: crate::secret::SecretError| KvError::NoToken(error.to_string());
        let mut tokens = self.token.values().await.map_err(no_token)?;
        loop {
            let token =
                tokens.first().ok_or_else(|| KvError::NoToken("the secret has no value yet".to_owned()))?;
            let response = traced(request(client))
                .bearer_auth(token)
                .send()
                .await
                .map_err(|error| unreachable_kv(&error))?;
            let refused = matches!(response.status().as_u16(), 401 | 403);
            match if refused { self.token.again().await.map_err(no_token)? } else { None } {
                Some(newer) => tokens = newer,
                None => return Ok(response),
            }
        }
    }

    /// Writes the snapshot.
    pub async fn put(&self, document: String) -> Result<(), KvError> {
        let response = self.send(|client| client.put(&self.url).body(document.clone())).await?;
        match response.status() {
            status if status.is_success() => Ok(()),
            status => Err(KvError::Refused(status.as_u16())),
        }
    }

    /// Reads the snapshot; `None` where there is none.
    pub async fn get(&self) -> Result<Option<String>, KvError> {
        let response = self.send(|client| client.get(&self.url)).await?;
        match response.status() {
            status if status.is_success() => {
                response.text().await.map(Some).map_err(|error| unreachable_kv(&error))
            }
            status if status.as_u16() == 404 => Ok(None),
            status => Err(KvError::Refused(status.as_u16())),
        }
    }
}

fn unreachable_kv(error: &reqwest::Error) -> KvError {
    // The URL holds the account; what went wrong is enough.
    let kind = if error.is_timeout() {
        "it took too long"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the exchange broke off"
    };
    KvError::Unreachable(kind.to_owned())
}
