//! A client of the management API.

use crate::{failure::Failure, iam::Signer, output};
use reqwest::{Method, blocking};
use serde_json::Value;
use std::time::{Duration, SystemTime};

/// Longest wait for a response; longer than the management function retries a contended change.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A client with a token.
#[derive(Debug)]
pub struct Client {
    http: blocking::Client,
    base: String,
    token: String,
    reason: Option<String>,
    signer: Option<Signer>,
}

/// The body of a request.
#[derive(Debug)]
pub struct Body {
    /// Media type of the content.
    pub media_type: &'static str,
    /// The content itself.
    pub content: String,
}

impl Client {
    /// Builds a client of the management function at `base`. Requests are signed for AWS if
    /// `is_guarded`.
    ///
    /// # Errors
    ///
    /// Fails if AWS keys are needed and missing, or if TLS cannot be set up.
    pub fn new(base: &str, token: &str, reason: Option<String>, is_guarded: bool) -> Result<Self, Failure> {
        let signer = is_guarded.then(|| Signer::from_env(base)).transpose()?;
        let http = blocking::Client::builder()
            .timeout(TIMEOUT)
            .user_agent(concat!("cutover/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Failure::Unreachable(format!("cannot set up an HTTP client: {error}")))?;
        Ok(Self {
            http,
            base: base.trim_end_matches('/').to_owned(),
            token: token.to_owned(),
            reason,
            signer,
        })
    }

    /// Returns the URL of the function, without a slash at its end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Sends a GET request.
    ///
    /// # Errors
    ///
    /// Fails like [`Client::send`].
    pub fn get(&self, path: &str) -> Result<Value, Failure> {
        self.send(Method::GET, path, None)
    }

    /// Reads all pages of a list and returns their items, which are in the field `name`.
    ///
    /// # Errors
    ///
    /// Fails like [`Client::send`].
    pub fn all(&self, path: &str, name: &str) -> Result<Vec<Value>, Failure> {
        let mut all = Vec::new();
        let mut after = String::new();
        loop {
            let page = self.get(&format!("{path}{after}"))?;
            all.extend(output::list(&page, name).cloned());
            match page.get("next_after").and_then(Value::as_str) {
                Some(next) => after = format!("?after={}", encode(next)),
                None => return Ok(all),
            }
        }
    }

    /// Sends a request with a JSON body.
    ///
    /// # Errors
    ///
    /// Fails like [`Client::send`].
    pub fn send_json(&self, method: Method, path: &str, body: &Value) -> Result<Value, Failure> {
        self.send(method, path, Some(Body { media_type: "application/json", content: body.to_string() }))
    }

    /// Sends a request to a path below `/api/migration`. Returns the JSON of the response.
    ///
    /// # Errors
    ///
    /// Fails if the management API cannot be reached, if it refuses the request, or if the change
    /// needs a second person's approval.
    pub fn send(&self, method: Method, path: &str, body: Option<Body>) -> Result<Value, Failure> {
        let url = format!("{}/api/migration{path}", self.base);
        let content = body.as_ref().map(|body| body.content.as_bytes()).unwrap_or_default();
        let mut request = self.authenticated(method, &url, content)?;
        if let Some(trace) = traceparent() {
            request = request.header("traceparent", trace);
        }
        if let Some(reason) = &self.reason {
            request = request.header("x-cutover-reason", reason);
        }
        if let Some(Body { media_type, content }) = body {
            request = request.header("content-type", media_type).body(content);
        }
        let response = request.send().map_err(|error| unreachable(&self.base, &error))?;
        let status = response.status().as_u16();
        let body: Value = serde_json::from_str(&response.text().unwrap_or_default()).unwrap_or(Value::Null);
        match status {
            202 => Err(pending(&body)),
            200..300 => Ok(body),
            _ => Err(refusal(status, &body)),
        }
    }

    fn authenticated(
        &self,
        method: Method,
        url: &str,
        content: &[u8],
    ) -> Result<blocking::RequestBuilder, Failure> {
        let mut request = self.http.request(method.clone(), url);
        let Some(signer) = &self.signer else { return Ok(request.bearer_auth(&self.token)) };
        // AWS needs the Authorization header for its signature.
        let token = ("x-cutover-token", self.token.as_str());
        request = request.header(token.0, token.1);
        let signature = signer.headers(method.as_str(), url, &[token], content, SystemTime::now())?;
        for (name, value) in signature {
            request = request.header(name, value);
        }
        Ok(request)
    }
}

/// Returns a new W3C trace context, so that the functions' log lines of one command can be found.
fn traceparent() -> Option<String> {
    let mut id = [0_u8; 24];
    getrandom::fill(&mut id).ok()?;
    let digits: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let (trace, span) = digits.split_at_checked(32)?;
    Some(format!("00-{trace}-{span}-01"))
}

fn unreachable(base: &str, error: &reqwest::Error) -> Failure {
    let (cause, hint) = if error.is_builder() {
        (
            "the URL or the token is malformed",
            "check that --url or CUTOVER_URL begins with http:// or https://, and that the token has no line break",
        )
    } else {
        let cause = if error.is_timeout() { "no response in time" } else { "no connection" };
        (cause, "check --url or CUTOVER_URL, and that the function runs")
    };
    Failure::Unreachable(format!(
        "the management API at {base} could not be reached: {cause}\n  hint: {hint}"
    ))
}

fn pending(body: &Value) -> Failure {
    let field = |name: &str| output::field(body, name);
    Failure::Waits(format!(
        "{} needs a second person's approval before {}; nothing has changed yet\n  hint: ask another operator to run \
         cutover changes approve {}",
        field("action"),
        field("expires_at"),
        field("change"),
    ))
}

fn refusal(status: u16, body: &Value) -> Failure {
    let Some(detail) = body.get("detail").and_then(Value::as_str) else {
        return Failure::Refused {
            status,
            detail: format!("HTTP status {status} without an explanation"),
            hint: "check that --url or CUTOVER_URL is the URL of the management function".to_owned(),
            errors: Vec::new(),
        };
    };
    Failure::Refused {
        status,
        detail: detail.to_owned(),
        hint: output::text(body, "hint").to_owned(),
        errors: output::list(body, "errors").map(mistake).collect(),
    }
}

/// Formats one of the mistakes found in a document.
fn mistake(error: &Value) -> String {
    let text = |name: &str| output::text(error, name);
    format!("{}: {}\n  hint: {}", text("field"), text("message"), text("hint"))
}

/// Percent-encodes a string as one path segment or one query value.
pub fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}
