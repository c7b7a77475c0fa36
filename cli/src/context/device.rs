//! Signing in with an identity provider, in a browser on any device: the device authorization grant of OAuth 2.0
//! (RFC 8628).

use crate::{
    address,
    client::encode,
    failure::Failure,
    http,
    output::{field, text},
};
use clap::Args;
use reqwest::blocking;
use serde_json::Value;
use std::{thread, time::Duration};

/// Longest wait for one response.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Seconds between two questions, if the identity provider names none, and their increase if it asks for fewer.
const INTERVAL: u64 = 5;

/// Lifetime of a code, in seconds, if the identity provider names none.
const LIFETIME: u64 = 600;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// An identity provider to sign in with.
#[derive(Debug, Args)]
pub struct Provider {
    /// URL of an identity provider to sign in with, in a browser.
    #[arg(long, value_name = "URL", requires = "client_id")]
    issuer: Option<String>,
    /// Id of this command line at the identity provider.
    #[arg(long, value_name = "ID", requires = "issuer")]
    client_id: Option<String>,
    /// Scope of the token at the identity provider.
    #[arg(long, default_value = "openid")]
    scope: String,
    /// Audience of the token, if the identity provider asks for it.
    #[arg(long)]
    audience: Option<String>,
}

impl Provider {
    /// Signs a person in. Returns `None` if no identity provider is given.
    ///
    /// # Errors
    ///
    /// Fails if the identity provider cannot be reached or refuses, or if the person does not confirm in time.
    pub fn sign_in(&self) -> Result<Option<String>, Failure> {
        let (Some(issuer), Some(client)) = (&self.issuer, &self.client_id) else { return Ok(None) };
        let issuer = address::checked(issuer, false)?;
        let http = http::client(TIMEOUT, TIMEOUT)?;
        let found = answer(http.get(format!("{issuer}/.well-known/openid-configuration")).send())?;
        let device_url = endpoint(&found, "device_authorization_endpoint")?;
        let token_url = endpoint(&found, "token_endpoint")?;
        let mut form = vec![("client_id", client.as_str()), ("scope", self.scope.as_str())];
        form.extend(self.audience.as_deref().map(|audience| ("audience", audience)));
        let started = answer(post(&http, device_url, &form))?;
        let device_code = text(&started, "device_code");
        if device_code.is_empty() {
            return Err(refused(&started));
        }
        eprintln!(
            "open {} and confirm the code {}",
            field(&started, "verification_uri"),
            field(&started, "user_code")
        );
        let form = [("client_id", client.as_str()), ("grant_type", GRANT), ("device_code", device_code)];
        poll(&started, || answer(post(&http, token_url, &form)), thread::sleep).map(Some)
    }
}

/// Asks for the token until the person has confirmed the code, or it has expired.
fn poll(
    started: &Value,
    mut ask: impl FnMut() -> Result<Value, Failure>,
    mut sleep: impl FnMut(Duration),
) -> Result<String, Failure> {
    let seconds = |name: &str| started.get(name).and_then(Value::as_u64);
    let mut interval = seconds("interval").unwrap_or(INTERVAL).max(1);
    let mut left = seconds("expires_in").unwrap_or(LIFETIME);
    while left >= interval {
        sleep(Duration::from_secs(interval));
        left = left.saturating_sub(interval);
        let response = ask()?;
        match text(&response, "error") {
            "authorization_pending" => {}
            "slow_down" => interval += INTERVAL,
            "expired_token" => return Err(expired()),
            "" => return token(&response),
            _ => return Err(refused(&response)),
        }
    }
    Err(expired())
}

fn expired() -> Failure {
    Failure::Io("the code has expired\n  hint: run cutover login again".to_owned())
}

/// Returns the token that is a JSON Web Token: the other one may be of a form that only the identity provider reads.
fn token(response: &Value) -> Result<String, Failure> {
    let tokens = ["access_token", "id_token"].map(|name| text(response, name));
    let found = tokens.into_iter().find(|token| token.split('.').count() == 3);
    found.map(str::to_owned).ok_or_else(|| {
        let hint = "add openid to --scope, or name the management API with --audience";
        Failure::Io(format!("the identity provider gave no JSON Web Token\n  hint: {hint}"))
    })
}

fn endpoint<'f>(found: &'f Value, name: &str) -> Result<&'f str, Failure> {
    let url = text(found, name);
    if url.is_empty() {
        let hint = "store a token of it with cutover login --token-stdin";
        return Err(Failure::Io(format!("the identity provider has no {name}\n  hint: {hint}")));
    }
    address::checked(url, false).map(|_| url)
}

fn refused(response: &Value) -> Failure {
    let (error, description) = (field(response, "error"), field(response, "error_description"));
    Failure::Io(format!("the identity provider refused: {error} {description}").trim_end().to_owned())
}

fn post(http: &blocking::Client, url: &str, form: &[(&str, &str)]) -> reqwest::Result<blocking::Response> {
    let pairs: Vec<String> = form.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    http.post(url).header("content-type", "application/x-www-form-urlencoded").body(pairs.join("&")).send()
}

fn answer(sent: reqwest::Result<blocking::Response>) -> Result<Value, Failure> {
    let text = sent.and_then(blocking::Response::text).map_err(|error| {
        Failure::Unreachable(format!("the identity provider could not be reached: {}", http::cause(&error)))
    })?;
    serde_json::from_str(&text)
        .map_err(|_| Failure::Io("the response of the identity provider is not JSON".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Polls an identity provider that gives these responses. Returns the outcome, and the pauses between questions.
    fn check(started: &Value, responses: &[Value]) -> (Result<String, String>, Vec<u64>) {
        let (mut responses, mut pauses) = (responses.iter(), Vec::new());
        let outcome =
            poll(started, || Ok(responses.next().unwrap().clone()), |pause| pauses.push(pause.as_secs()));
        (outcome.map_err(|failure| failure.to_string()), pauses)
    }

    #[test]
    fn questions_are_as_frequent_as_the_identity_provider_wants() {
        let pending = json!({ "error": "authorization_pending" });
        let slower = json!({ "error": "slow_down" });
        let done = json!({ "access_token": "opaque", "id_token": "a.b.c" });
        let started = json!({ "interval": 2, "expires_in": 60 });
        let found = check(&started, &[pending.clone(), slower, pending.clone(), done]);
        assert_eq!(found, (Ok("a.b.c".to_owned()), vec![2, 2, 7, 7]));
        let (late, pauses) = check(&json!({ "interval": 5, "expires_in": 10 }), &[pending.clone(), pending]);
        assert!(late.unwrap_err().contains("has expired"));
        assert_eq!(pauses, [5, 5]);
    }

    #[test]
    fn a_refusal_and_an_unreadable_token_are_told() {
        let denied = json!({ "error": "access_denied", "error_description": "by the person" });
        let (outcome, _) = check(&json!({}), &[denied]);
        assert!(outcome.unwrap_err().contains("refused: access_denied by the person"));
        let (outcome, _) = check(&json!({}), &[json!({ "error": "expired_token" })]);
        assert!(outcome.unwrap_err().contains("the code has expired\n  hint: run cutover login again"));
        let (outcome, _) = check(&json!({}), &[json!({ "access_token": "opaque" })]);
        assert!(outcome.unwrap_err().contains("no JSON Web Token"));
    }
}
