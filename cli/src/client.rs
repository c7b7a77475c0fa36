//! The management API, as the command line sees it.

use crate::{failure::Failure, iam::Signer};
use reqwest::{Method, blocking};
use serde_json::Value;
use std::time::{Duration, SystemTime};

/// Longer than the function tries a contended change.
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

impl Client {
    /// A client of the function at this URL.
    pub fn new(base: &str, token: &str, reason: Option<String>, is_guarded: bool) -> Result<Self, Failure> {
        let signer = is_guarded.then(|| Signer::from_env(base)).transpose()?;
        let http = blocking::Client::builder()
            .timeout(TIMEOUT)
            .user_agent(concat!("cutover/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Failure::Unreachable(format!("no HTTP client can be built: {error}")))?;
        Ok(Self {
            http,
            base: base.trim_end_matches('/').to_owned(),
            token: token.to_owned(),
            reason,
            signer,
        })
    }

    /// Asks for something.
    pub fn get(&self, path: &str) -> Result<Value, Failure> {
        self.send(Method::GET, path, None)
    }

    /// Asks for a list, page after page.
    pub fn all(&self, path: &str, name: &str) -> Result<Vec<Value>, Failure> {
        let mut all = Vec::new();
        let mut after = String::new();
        loop {
            let page = self.get(&format!("{path}{after}"))?;
            all.extend(page.get(name).and_then(Value::as_array).into_iter().flatten().cloned());
            match page.get("next_after").and_then(Value::as_str) {
                Some(next) => after = format!("?after={}", encode(next)),
                None => return Ok(all),
            }
        }
    }

    /// Sends a JSON body.
    pub fn send_json(&self, method: Method, path: &str, body: &Value) -> Result<Value, Failure> {
        self.send(method, path, Some(("application/json", body.to_string())))
    }

    /// Sends a request to a path below `/api/migration`.
    pub fn send(&self, method: Method, path: &str, body: Option<(&str, String)>) -> Result<Value, Failure> {
        let url = format!("{}/api/migration{path}", self.base);
        let mut request = self.http.request(method.clone(), &url);
        match &self.signer {
            None => request = request.bearer_auth(&self.token),
            Some(signer) => {
                let content = body.as_ref().map(|(_, body)| body.as_bytes()).unwrap_or_default();
                let token = ("x-cutover-token", self.token.as_str());
                request = request.header(token.0, token.1);
                let signed = signer.headers(method.as_str(), &url, &[token], content, SystemTime::now())?;
                for (name, value) in signed {
                    request = request.header(name, value);
                }
            }
        }
        if let Some(trace) = traceparent() {
            request = request.header("traceparent", trace);
        }
        if let Some(reason) = &self.reason {
            request = request.header("x-cutover-reason", reason);
        }
        if let Some((kind, body)) = body {
            request = request.header("content-type", kind).body(body);
        }
        let response = request.send().map_err(|error| {
            let why = if error.is_timeout() { "it did not answer in time" } else { "no connection" };
            let base = &self.base;
            Failure::Unreachable(format!("the management API at {base} could not be reached: {why}\n  hint: check --url or CUTOVER_URL, and that the function runs"))
        })?;
        let status = response.status().as_u16();
        let text = response.text().unwrap_or_default();
        let body: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        if status == 202 {
            return Err(waits(&body));
        }
        if (200..300).contains(&status) {
            return Ok(body);
        }
        let field = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
        Err(Failure::Refused {
            status,
            detail: field("detail").unwrap_or_else(|| format!("the management API answered {status}")),
            hint: field("hint").unwrap_or_default(),
            errors: body
                .get("errors")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .map(one_error)
                .collect(),
        })
    }
}

/// A trace that begins at the command line, so that the logs of the functions can be found for one command.
fn traceparent() -> Option<String> {
    let mut id = [0_u8; 24];
    getrandom::fill(&mut id).ok()?;
    let digits: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let (trace, span) = digits.split_at_checked(32)?;
    Some(format!("00-{trace}-{span}-01"))
}

fn waits(body: &Value) -> Failure {
    let part = |name: &str| body.get(name).map(crate::output::cell).unwrap_or_default();
    let id = part("change");
    Failure::Waits(format!(
        "{} waits for a second person until {}; nothing has changed yet\n  hint: somebody else types: cutover changes approve {id}",
        part("action"),
        part("expires_at"),
    ))
}

fn one_error(error: &Value) -> String {
    let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
    format!("{}: {}\n  hint: {}", text("field"), text("message"), text("hint"))
}

/// A text as one segment of a path or one value of a query.
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
