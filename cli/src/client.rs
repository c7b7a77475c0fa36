//! A client of the management API.

mod ids;
mod pages;
mod waiting;

use crate::{
    advice, banner,
    environment::Environment,
    failure::Failure,
    http,
    iam::Signer,
    notice, output,
    response::Response,
    retry::{Attempts, PATIENCE, PATIENCE_OF_READS, is_transient},
    style,
};
use anstyle::AnsiColor;
use cutover_core::config::nearest;
use reqwest::{Method, blocking};
use serde_json::Value;
use std::{
    io::stderr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
};
use waiting::Waiting;

pub use ids::new_key;

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
#[derive(Debug, Clone)]
pub struct Client {
    http: blocking::Client,
    base: String,
    token: String,
    reason: Option<String>,
    signer: Option<Signer>,
    is_retrying: bool,
    /// True if reads are sent again like changes.
    is_reading_again: bool,
    /// True if an operator waits for the response, and not a command that polls.
    is_waited_for: bool,
    environment: Environment,
    /// True once the emergency in force was told of, or if that is left to the command.
    has_told: Arc<AtomicBool>,
    /// True once the command has said that a request is sent again.
    has_told_retry: Arc<AtomicBool>,
    /// Header and value of the precondition of changes.
    precondition: Option<(&'static str, String)>,
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
    /// Builds a client of the management function at `base`.
    ///
    /// # Errors
    ///
    /// Fails if TLS cannot be set up.
    pub fn new(base: &str, token: &str, reason: Option<String>) -> Result<Self, Failure> {
        Ok(Self {
            // Follows no redirects: a token is for the server that it was given for.
            http: http::client(USUAL.connection, USUAL.response)?,
            base: base.trim_end_matches('/').to_owned(),
            token: token.to_owned(),
            reason,
            signer: None,
            is_retrying: true,
            is_reading_again: true,
            is_waited_for: true,
            environment: Environment::of_url(base),
            has_told: Arc::default(),
            has_told_retry: Arc::default(),
            precondition: None,
        })
    }

    /// Signs requests for AWS.
    pub fn signing(self, signer: Signer) -> Self {
        Self { signer: Some(signer), ..self }
    }

    /// Sets if requests are sent again after failures that may pass by themselves.
    pub fn retrying(self, is_retrying: bool) -> Self {
        Self { is_retrying, ..self }
    }

    /// Sends reads once, for commands that must not wait for one.
    pub fn reading_once(self) -> Self {
        Self { is_reading_again: false, ..self }
    }

    /// Returns a client whose changes have a precondition: `if-match` with an entity tag, or `if-none-match` with `*`.
    pub fn on_condition(&self, header: &'static str, value: &str) -> Self {
        Self { precondition: Some((header, value.to_owned())), ..self.clone() }
    }

    /// Replaces the time limits of each attempt.
    ///
    /// # Errors
    ///
    /// Fails if TLS cannot be set up.
    pub fn within(self, limits: Limits) -> Result<Self, Failure> {
        Ok(Self { http: http::client(limits.connection, limits.response)?, ..self })
    }

    /// Sets the environment of the management API, as contexts name it.
    pub fn in_environment(self, environment: Environment) -> Self {
        Self { environment, ..self }
    }

    /// Leaves it to the command to tell of an emergency in force.
    pub fn without_banner(self) -> Self {
        Self { has_told: Arc::new(AtomicBool::new(true)), ..self }
    }

    /// Tells once of the emergency in force: it may explain all that the command finds.
    fn tell_of_emergency(&self, response: &Response) {
        if let Some(emergency) = &response.emergency
            && !self.has_told.swap(true, Ordering::Relaxed)
        {
            let style = AnsiColor::Red.on_default();
            notice::print(&style::painted(&banner::line(emergency), style, &stderr()));
        }
    }

    /// Returns true if a response has told of an emergency in force, or if that is left to the command.
    pub fn is_in_emergency(&self) -> bool {
        self.has_told.load(Ordering::Relaxed)
    }

    /// Returns true if requests are sent again after failures that may pass by themselves.
    pub fn is_retrying(&self) -> bool {
        self.is_retrying
    }

    /// Returns the environment of the management API.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Returns the reason of changes.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Returns the URL of the function, without a slash at its end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Sends a GET request, and sends it again after failures that may pass by themselves.
    ///
    /// # Errors
    ///
    /// Fails like [`Client::send`].
    pub fn get(&self, path: &str) -> Result<Value, Failure> {
        self.send(Method::GET, path, None)
    }

    /// Sends a GET request once, for a question or a warning: the command does not need its response.
    ///
    /// # Errors
    ///
    /// Fails like [`Client::send`].
    pub fn get_once(&self, path: &str) -> Result<Value, Failure> {
        self.clone().reading_once().get(path)
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
        let client = Self { is_waited_for: false, ..self.clone().retrying(false) };
        client.exchange(&method, path, body.as_ref(), None)
    }

    fn exchange(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Body>,
        key: Option<&str>,
    ) -> Result<Value, Failure> {
        let is_read = *method == Method::GET;
        let is_repeated = if is_read { self.is_reading_again } else { key.is_some() };
        let patience = if is_read { PATIENCE_OF_READS } else { PATIENCE };
        let mut attempts = Attempts::new(self.is_retrying && is_repeated, patience);
        let mut may_be_made = false;
        let _waiting = self.is_waited_for.then(|| Waiting::begin(&self.base)).flatten();
        loop {
            let response = Response::read(self.request(method, path, body, key)?.send());
            if let Ok(response) = &response {
                self.tell_of_emergency(response);
            }
            let pause = match &response {
                Ok(response) if !is_transient(response.status) => return self.result(response, path),
                Ok(response) => {
                    may_be_made |= response.is_outcome_unknown();
                    attempts.pause(response.retry_after.as_deref())
                }
                Err(error) if error.is_builder() => return Err(unreachable(&self.base, error)),
                Err(error) if !error.is_connect() => {
                    may_be_made = true;
                    attempts.pause(None)
                }
                Err(error) if !is_read && http::is_unanswered(error) => attempts.pause_unconnected(),
                Err(_) => None,
            };
            let Some(pause) = pause else {
                let result = match &response {
                    Ok(response) => self.result(response, path),
                    Err(error) => Err(unreachable(&self.base, error)),
                };
                let is_unknown = may_be_made && !is_read;
                return result
                    .map_err(|failure| if is_unknown { failure.of_unknown_outcome() } else { failure });
            };
            self.tell_of_retry(&response, pause, patience);
            thread::sleep(pause);
        }
    }

    /// Tells once that a command sends requests again.
    fn tell_of_retry(&self, response: &reqwest::Result<Response>, pause: Duration, patience: Duration) {
        if self.has_told_retry.swap(true, Ordering::Relaxed) {
            return;
        }
        let cause = match response {
            Ok(response) => format!("HTTP status {}", response.status),
            Err(error) => http::unreachable(error).to_owned(),
        };
        let (pause, limit) = (pause.as_secs_f64(), patience.as_secs());
        notice::print(&format!(
            "the management API failed: {cause}; trying again in {pause:.1} s, for up to {limit} s"
        ));
    }

    /// Returns the JSON of a response, or the refusal with a hint for users of the command line.
    fn result(&self, response: &Response, path: &str) -> Result<Value, Failure> {
        match response.result(&self.base) {
            Err(Failure::Refused { status, detail, hint, problem, retry_after }) => {
                let code = output::text(&problem, "code");
                let hint =
                    advice::hint(code, path, &detail).unwrap_or_else(|| advice::in_commands(&hint, path));
                let is_unknown = code == "not_found" && advice::of_other_kind(path, &detail).is_none();
                let near = if is_unknown { self.nearest(path) } else { None };
                let hint = near.map_or(hint.clone(), |near| format!("did you mean {near}? {hint}"));
                Err(Failure::Refused { status, detail, hint, problem, retry_after })
            }
            result => result,
        }
    }

    /// Returns the flag or canary that was most likely meant by the name in a path.
    fn nearest(&self, path: &str) -> Option<String> {
        let (list, name) = (advice::list_of(path)?, advice::name_in(path)?);
        let response = Response::read(self.request(&Method::GET, list.path, None, None).ok()?.send()).ok()?;
        let known: Vec<&str> =
            output::list(&response.body, list.items).map(|item| output::text(item, list.name)).collect();
        nearest(name, known.into_iter()).map(str::to_owned)
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
        if *method == Method::GET {
            request = request.header("accept-encoding", "gzip");
        }
        if let Some(trace) = ids::traceparent() {
            request = request.header("traceparent", trace);
        }
        if let Some(reason) = &self.reason {
            request = request.header("x-cutover-reason", reason);
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if let Some((header, value)) = self.precondition.as_ref().filter(|_| *method != Method::GET) {
            request = request.header(*header, value.as_str());
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

/// Returns true for a request that may be sent again with the same `Idempotency-Key`. The API remembers no response with the
/// secret of a token, so a token that is created or rotated twice would be two tokens.
fn is_repeatable(method: &Method, path: &str) -> bool {
    *method != Method::GET && !(*method == Method::POST && path.starts_with("/tokens"))
}

fn unreachable(base: &str, error: &reqwest::Error) -> Failure {
    let (cause, hint) = if error.is_builder() {
        ("the URL or a header is malformed".to_owned(), "check the URL and the reason")
    } else if let Some(cause) = http::tls_failure(error) {
        (cause, "check the scheme and the port of the URL, and the certificate of the server")
    } else {
        // A connection that does not come in time is none: nothing was sent.
        let is_late = error.is_timeout() && !error.is_connect();
        let cause = if is_late { "no response in time" } else { "no connection" };
        (cause.to_owned(), "check the URL, and that the function runs: cutover context show, or CUTOVER_URL")
    };
    Failure::Unreachable(format!(
        "the management API at {base} could not be reached: {cause}\n  hint: {hint}"
    ))
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
mod tests;
