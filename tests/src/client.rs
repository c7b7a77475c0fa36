//! A client of the management API, for tests.

use serde_json::Value;

/// A client of the management API with one token.
#[derive(Clone)]
pub struct Management {
    client: reqwest::Client,
    base: String,
    token: String,
}

/// A response of the management API.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body, or null if it is not JSON.
    pub body: Value,
    /// The entity tag.
    pub etag: Option<String>,
    /// True if the response repeats an earlier one, by its idempotency key.
    pub replayed: bool,
    /// The media type.
    pub content_type: String,
    /// The emergency in force, as the header describes it.
    pub emergency: Option<String>,
}

impl Answer {
    /// Returns the response if it has the given status, and panics with its body otherwise.
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:#}", self.body);
        self
    }
}

impl Management {
    /// Returns a client of the function at a base URL.
    pub fn new(base: &str, token: &str) -> Self {
        // Longer than the function retries a change, and short enough to notice a test that hangs.
        let client = reqwest::Client::builder().timeout(std::time::Duration::from_secs(40)).build();
        Self { client: client.expect("a client"), base: base.to_owned(), token: token.to_owned() }
    }

    /// Returns the same client with another token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// Sends a request to a path below `/api/migration`.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Answer {
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = self.client.request(method, format!("{}/api/migration{path}", self.base));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body.to_owned());
        }
        let response = request.send().await.expect("the function responds");
        let header = |name: &str| {
            response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let emergency = header("x-cutover-emergency");
        let (status, etag, replayed, kind) = (
            response.status().as_u16(),
            header("etag"),
            header("idempotency-replayed"),
            header("content-type"),
        );
        let text = response.text().await.expect("the body is read");
        Answer {
            status,
            body: serde_json::from_str(&text).unwrap_or(Value::Null),
            etag,
            replayed: replayed.is_some(),
            content_type: kind.unwrap_or_default(),
            emergency,
        }
    }

    /// Sends a GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], None).await
    }

    /// Sends a PUT with a JSON body.
    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, &[("content-type", "application/json")], Some(&body.to_string())).await
    }

    /// Sends a POST with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[("content-type", "application/json")], Some(&body.to_string())).await
    }

    /// Applies a configuration file.
    pub async fn apply(&self, yaml: &str) -> Answer {
        self.send("PUT", "/config", &[("content-type", "application/yaml")], Some(yaml)).await
    }
}
