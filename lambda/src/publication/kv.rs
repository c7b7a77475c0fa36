//! Client of the REST API of Workers KV, at Cloudflare or in a local `wrangler dev`; only the base
//! URL differs.

use crate::{
    observe::telemetry::traced,
    settings::{
        environment::Settings,
        secret::{Secret, SecretError},
    },
};
use std::{sync::Arc, time::Duration};
use tokio::sync::OnceCell;

/// Key that the edge reads.
pub const SNAPSHOT_KEY: &str = "snapshot";

/// Client of a KV namespace.
#[derive(Debug)]
pub struct Kv {
    // Built on first use: loading the root certificates costs more than the rest of a cold start.
    client: OnceCell<reqwest::Client>,
    url: String,
    token: Arc<Secret>,
    timeout: Duration,
}

/// Failure of a call to KV.
#[derive(Debug, thiserror::Error)]
pub enum KvError {
    /// KV responded with this status.
    #[error("Workers KV responded with status {0}")]
    Refused(u16),
    /// KV takes no more writes of the document for now.
    #[error("Workers KV responded with status 429, too many writes")]
    Busy {
        /// Time after which it takes the next one, if it said so.
        retry_after: Option<Duration>,
    },
    /// KV did not respond, so a write may have been made, or may still be made later.
    #[error("Workers KV could not be reached: {0}")]
    Unreachable(String),
    /// The API token could not be read, or has no value yet.
    #[error("no API token for Workers KV: {0}")]
    NoToken(String),
}

impl Kv {
    /// Creates a client of the configured namespace, without connecting.
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

    /// Sends a request. If the token is rejected and a newer one is available, sends it again.
    async fn send(
        &self,
        request: impl Fn(&reqwest::Client) -> reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, KvError> {
        let client = self.client().await?;
        let no_token = |error: SecretError| KvError::NoToken(error.to_string());
        let mut token = self.token.current().await.map_err(no_token)?;
        loop {
            let response = traced(request(client))
                .bearer_auth(&token)
                .send()
                .await
                .map_err(|error| unreachable_kv(&error))?;
            if !is_of_the_token(response.status().as_u16()) {
                return Ok(response);
            }
            match self.token.again().await.map_err(no_token)?.and_then(|newer| newer.into_iter().next()) {
                Some(newer) if newer != token => token = newer,
                _ => return Ok(response),
            }
        }
    }

    /// Writes the snapshot.
    ///
    /// # Errors
    ///
    /// Fails if KV cannot be reached or rejects the write, or the token cannot be read.
    pub async fn put(&self, document: String) -> Result<(), KvError> {
        let response = self.send(|client| client.put(&self.url).body(document.clone())).await?;
        match response.status() {
            status if status.is_success() => Ok(()),
            status if status == reqwest::StatusCode::TOO_MANY_REQUESTS => {
                let header = response.headers().get(reqwest::header::RETRY_AFTER);
                let seconds = header.and_then(|value| value.to_str().ok()?.trim().parse().ok());
                Err(KvError::Busy { retry_after: seconds.map(Duration::from_secs) })
            }
            status => Err(KvError::Refused(status.as_u16())),
        }
    }

    /// Reads the snapshot; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Fails if KV cannot be reached or rejects the read, or the token cannot be read.
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

/// Returns true if a status may be due to the token: 401 and 403, and 400, which Cloudflare answers to a token that is
/// malformed.
fn is_of_the_token(status: u16) -> bool {
    matches!(status, 400 | 401 | 403)
}

fn unreachable_kv(error: &reqwest::Error) -> KvError {
    // The full error contains the URL, which names the account.
    let kind = if error.is_timeout() {
        "the request timed out"
    } else if error.is_connect() {
        "the connection failed"
    } else {
        "the connection was interrupted"
    };
    KvError::Unreachable(kind.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_read_again_after_a_status_that_may_be_due_to_it() {
        for status in [400, 401, 403] {
            assert!(is_of_the_token(status), "{status}");
        }
        for status in [200, 404, 429, 500, 503] {
            assert!(!is_of_the_token(status), "{status}");
        }
    }
}
