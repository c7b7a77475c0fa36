//! A client of the management API.

use crate::{
    failure::Failure,
    http,
    iam::Signer,
    output,
    retry::{Attempts, is_transient},
};
use reqwest::{Method, blocking};
use serde_json::Value;
use std::{
    thread,
    time::{Duration, SystemTime},
};

/// Usual time limits. That of a response is longer than the management function retries a contended change.
const USUAL: Limits = Limits { connection: Duration::from_secs(10), response: Duration::from_secs(25) };

/// Time limits of one attempt to send a request.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Longest wait for a connection.
    pub connection: Duration,
    /// Longest wait for the response, from the beginning of the attempt.
    pub response: Duration,
}

/// A client with a token.
#[derive(Debug)]
pub struct Client {
    http: blocking::Client,
    base: String,
    token: String,
    reason: Option<String>,
    signer: Option<Signer>,
    is_retrying: bool,
}

/// The body of a request.
#[derive(Debug)]
pub struct Body {
    /// Media type of the content.
    pub media_type: &'static str,
    /// The content itself.
    pub content: String,
}

impl Body {
    fn json(value: &Value) -> Self {
        Self { media_type: "application/json", content: value.to_string() }
    }
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
        Ok(Self {
            http: http_client(USUAL)?,
            base: base.trim_end_matches('/').to_owned(),
            token: token.to_owned(),
            reason,
            signer,
            is_retrying: true,
        })
    }

    /// Sets if changes are sent again after failures that may pass by themselves.
    pub fn retrying(self, is_retrying: bool) -> Self {
        Self { is_retrying, ..self }
    }

    /// Replaces the time limits of each attempt.
    ///
    /// # Errors
    ///
    /// Fails if TLS cannot be set up.
    pub fn within(self, limits: Limits) -> Result<Self, Failure> {
        Ok(Self { http: http_client(limits)?, ..self })
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
        self.send(method, path, Some(Body::json(body)))
    }

    /// Posts a JSON body under an `Idempotency-Key` of the caller, who may post it to other functions over the same table
    /// too: the change is made once. Without a key it is not sent again.
    ///
    /// # Errors
    ///
    /// Fails like [`Client::send`].
    pub fn post_with_key(&self, path: &str, body: &Value, key: Option<&str>) -> Result<Value, Failure> {
        self.exchange(&Method::POST, path, Some(&Body::json(body)), key)
    }

    /// Sends a request to a path below `/api/migration`. Returns the JSON of the response. A change is sent again, with the
    /// same `Idempotency-Key`, after failures that may pass by themselves.
    ///
    /// # Errors
    ///
    /// Fails if the management API cannot be reached, if it refuses the request, or if the change
    /// needs a second person's approval.
    pub fn send(&self, method: Method, path: &str, body: Option<Body>) -> Result<Value, Failure> {
        let key = if is_repeatable(&method, path) { new_key() } else { None };
        self.exchange(&method, path, body.as_ref(), key.as_deref())
    }

    /// Sends a request like [`Client::send`], but never again.
    ///
    /// # Errors
    ///
    /// Fails like [`Client::send`].
    pub fn send_once(&self, method: Method, path: &str, body: Option<Body>) -> Result<Value, Failure> {
        self.exchange(&method, path, body.as_ref(), None)
    }

    fn exchange(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Body>,
        key: Option<&str>,
    ) -> Result<Value, Failure> {
        let mut attempts = Attempts::new(self.is_retrying && key.is_some());
        let mut may_be_made = false;
        loop {
            let response = Response::read(self.request(method, path, body, key)?.send());
            let (cause, retry_after) = match &response {
                Ok(response) if !is_transient(response.status) => return response.result(),
                Ok(response) => {
                    may_be_made |= response.is_outcome_unknown();
                    (format!("HTTP status {}", response.status), response.retry_after.as_deref())
                }
                Err(error) if error.is_builder() => return Err(unreachable(&self.base, error)),
                Err(error) => {
                    may_be_made |= !error.is_connect();
                    (http::unreachable(error).to_owned(), None)
                }
            };
            let Some(pause) = attempts.pause(retry_after) else {
                let result = match &response {
                    Ok(response) => response.result(),
                    Err(error) => Err(unreachable(&self.base, error)),
                };
                let is_unknown = may_be_made && *method != Method::GET;
                return result
                    .map_err(|failure| if is_unknown { failure.of_unknown_outcome() } else { failure });
            };
            eprintln!("the management API failed: {cause}; trying again in {:.1} s", pause.as_secs_f64());
            thread::sleep(pause);
        }
    }

    /// Builds a request with all of its headers.
    fn request(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Body>,
        key: Option<&str>,
    ) -> Result<blocking::RequestBuilder, Failure> {
        let url = format!("{}/api/migration{path}", self.base);
        let content = body.map(|body| body.content.as_bytes()).unwrap_or_default();
        let mut request = self.authenticated(method, &url, content)?;
        if let Some(trace) = traceparent() {
            request = request.header("traceparent", trace);
        }
        if let Some(reason) = &self.reason {
            request = request.header("x-cutover-reason", reason);
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if let Some(Body { media_type, content }) = body {
            request = request.header("content-type", *media_type).body(content.clone());
        }
        Ok(request)
    }

    fn authenticated(
        &self,
        method: &Method,
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

/// Builds an HTTP client.
fn http_client(limits: Limits) -> Result<blocking::Client, Failure> {
    blocking::Client::builder()
        .connect_timeout(limits.connection)
        .timeout(limits.response)
        .user_agent(concat!("cutover/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| Failure::Unreachable(format!("cannot set up an HTTP client: {error}")))
}

/// A response of the management API.
struct Response {
    status: u16,
    retry_after: Option<String>,
    body: Value,
}

impl Response {
    fn read(sent: reqwest::Result<blocking::Response>) -> reqwest::Result<Self> {
        let response = sent?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let retry_after = retry_after.map(str::to_owned);
        let body = serde_json::from_str(&response.text()?).unwrap_or(Value::Null);
        Ok(Self { status, retry_after, body })
    }

    fn result(&self) -> Result<Value, Failure> {
        match self.status {
            202 => Err(pending(&self.body)),
            200..300 => Ok(self.body.clone()),
            status => Err(refusal(status, &self.body)),
        }
    }

    /// Returns true if a change may have been made although this response is a failure. A gateway in front of the function
    /// does not know, and the function says so if it does not.
    fn is_outcome_unknown(&self) -> bool {
        let code = self.body.get("code").and_then(Value::as_str);
        self.status != 429 && code.is_none_or(|code| code == "outcome_unknown")
    }
}

/// Returns true for a request that may be sent again with the same `Idempotency-Key`. The API remembers no response with the
/// secret of a token, so a token that is created or rotated twice would be two tokens.
fn is_repeatable(method: &Method, path: &str) -> bool {
    *method != Method::GET && !(*method == Method::POST && path.starts_with("/tokens"))
}

/// Returns a new `Idempotency-Key`; `None` if the system has no random numbers.
pub fn new_key() -> Option<String> {
    random::<16>()
}

/// Returns the given number of random bytes as hexadecimal digits; `None` if there are none.
fn random<const BYTES: usize>() -> Option<String> {
    let mut bits = [0_u8; BYTES];
    getrandom::fill(&mut bits).ok()?;
    Some(bits.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Returns a new W3C trace context, so that the functions' log lines of one command can be found.
fn traceparent() -> Option<String> {
    Some(format!("00-{}-{}-01", random::<16>()?, random::<8>()?))
}

fn unreachable(base: &str, error: &reqwest::Error) -> Failure {
    let (cause, hint) = if error.is_builder() {
        (
            "the URL or the token is malformed",
            "check that --url or CUTOVER_URL begins with http:// or https://, and that the token has no line break",
        )
    } else {
        // A connection that does not come in time is none: nothing was sent.
        let is_late = error.is_timeout() && !error.is_connect();
        let cause = if is_late { "no response in time" } else { "no connection" };
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_requests_with_a_remembered_response_are_repeatable() {
        for (method, path, expected) in [
            (Method::PUT, "/flags/f/rollout", true),
            (Method::DELETE, "/tokens/0123", true),
            (Method::POST, "/tokens", false),
            (Method::POST, "/tokens/0123/rotate", false),
            (Method::GET, "/flags", false),
        ] {
            assert_eq!(is_repeatable(&method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn a_failure_that_explains_itself_leaves_nothing_open() {
        for (status, body, expected) in [
            (503, json!({ "code": "store_unavailable" }), false),
            (503, json!({ "code": "outcome_unknown" }), true),
            (503, Value::Null, true),
            (502, Value::Null, true),
            (429, Value::Null, false),
        ] {
            let response = Response { status, retry_after: None, body };
            assert_eq!(response.is_outcome_unknown(), expected, "{status} {}", response.body);
        }
    }
}
