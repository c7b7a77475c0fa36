//! Workers KV from outside: the REST API, of Cloudflare or of a local `wrangler dev`, which differ in their base
//! URL alone.

use crate::settings::Settings;
use std::time::Duration;
use tokio::sync::OnceCell;

/// The key that the edge reads.
pub const SNAPSHOT_KEY: &str = "snapshot";

/// A KV namespace.
#[derive(Debug)]
pub struct Kv {
    // Built when it is first needed: reading the root certificates costs more than the rest of a cold start.
    client: OnceCell<reqwest::Client>,
    url: String,
    token: String,
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
}

impl Kv {
    /// A namespace, not yet connected.
    pub fn new(settings: &Settings) -> Self {
        let base = settings.kv_api.trim_end_matches('/');
        Self {
            client: OnceCell::new(),
            url: format!("{base}/storage/kv/namespaces/{}/values/{SNAPSHOT_KEY}", settings.kv_namespace),
            token: settings.kv_token.clone(),
            timeout: settings.kv_timeout,
        }
    }

    async fn client(&self) -> Result<&reqwest::Client, KvError> {
        self.client
            .get_or_try_init(|| async { reqwest::Client::builder().timeout(self.timeout).build() })
            .await
            .map_err(|error| unreachable_kv(&error))
    }

    /// Writes the snapshot.
    pub async fn put(&self, document: String) -> Result<(), KvError> {
        let request = self.client().await?.put(&self.url).bearer_auth(&self.token).body(document);
        let response = request.send().await.map_err(|error| unreachable_kv(&error))?;
        match response.status() {
            status if status.is_success() => Ok(()),
            status => Err(KvError::Refused(status.as_u16())),
        }
    }

    /// Reads the snapshot; `None` where there is none.
    pub async fn get(&self) -> Result<Option<String>, KvError> {
        let request = self.client().await?.get(&self.url).bearer_auth(&self.token);
        let response = request.send().await.map_err(|error| unreachable_kv(&error))?;
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
