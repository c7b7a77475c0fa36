//! Responses of the management API, and of everything else that may answer at its URL.

use crate::{advice, failure::Failure, http, output, retry::delay};
use reqwest::blocking;
use serde_json::Value;
use std::time::SystemTime;

/// Hint for a URL at which something else answers.
const CHECK_URL: &str = "check that --url, CUTOVER_URL or the context has the URL of the management function, not that of \
                         the edge or of a backend";

/// A response of the management API.
#[derive(Debug)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Value of `Retry-After`.
    pub retry_after: Option<String>,
    location: Option<String>,
    /// Emergency in force, as the header of the management API describes it.
    pub emergency: Option<Value>,
    /// The JSON of the body; null if it is none.
    pub body: Value,
}

impl Response {
    /// Reads a response to its end.
    ///
    /// # Errors
    ///
    /// Fails if there is none, or if the connection breaks.
    pub fn read(sent: reqwest::Result<blocking::Response>) -> reqwest::Result<Self> {
        let response = sent?;
        let status = response.status().as_u16();
        let header = |name: &str| {
            response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let (retry_after, location) = (header("retry-after"), header("location"));
        let emergency = header("x-cutover-emergency").and_then(|text| serde_json::from_str(&text).ok());
        let is_packed = header("content-encoding").as_deref() == Some("gzip");
        let content = response.bytes()?;
        let body = if is_packed {
            http::unpacked(&content).ok().and_then(|content| serde_json::from_slice(&content).ok())
        } else {
            serde_json::from_slice(&content).ok()
        };
        let body = body.unwrap_or(Value::Null);
        Ok(Self { status, retry_after, location, emergency, body })
    }

    /// Returns the JSON of a success, or the refusal. `base` is the URL that was called.
    ///
    /// # Errors
    ///
    /// Fails if the request was refused, waits for an approval, or was answered by something else.
    pub fn result(&self, base: &str) -> Result<Value, Failure> {
        match self.status {
            200..300 if !self.body.is_object() => Err(Failure::Unreachable(format!(
                "no management API answers at {base}: the response is not JSON\n  hint: {CHECK_URL}"
            ))),
            202 => Err(pending(&self.body)),
            200..300 => Ok(self.body.clone()),
            status => Err(self.refusal(base, status)),
        }
    }

    fn refusal(&self, base: &str, status: u16) -> Failure {
        let text = |name: &str| self.body.get(name).and_then(Value::as_str);
        let mut problem: Box<Value> = Box::default();
        let (detail, hint) = if let (Some(detail), Some(_)) = (text("detail"), text("code")) {
            *problem = self.body.clone();
            (detail.to_owned(), output::text(&self.body, "hint").to_owned())
        } else if let Some(location) = &self.location {
            (format!("{base} redirects to {location}, and tokens are not sent there"), CHECK_URL.to_owned())
        } else if let (Some(message), 403 | 429 | 500..) = (text("Message").or(text("message")), status) {
            let detail = format!("AWS answered in front of the management function: {status} {message}");
            (detail, advice::of_aws(status).to_owned())
        } else if status >= 500 {
            let detail = format!("the management function at {base} failed: HTTP status {status}");
            (detail, advice::of_aws(status).to_owned())
        } else {
            (format!("no management API answers at {base}: HTTP status {status}"), CHECK_URL.to_owned())
        };
        let retry_after = self.retry_after.as_deref().and_then(|value| delay(value, SystemTime::now()));
        Failure::Refused { status, detail, hint, problem, retry_after }
    }

    /// Returns true if a change may have been made although this response is a failure. A gateway in front of the function
    /// does not know, and the function says so if it does not.
    pub fn is_outcome_unknown(&self) -> bool {
        let code = self.body.get("code").and_then(Value::as_str);
        self.status != 429 && code.is_none_or(|code| code == "outcome_unknown")
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_failure_that_explains_itself_leaves_nothing_open() {
        for (status, body, expected) in [
            (503, json!({ "code": "store_unavailable" }), false),
            (503, json!({ "code": "outcome_unknown" }), true),
            (503, Value::Null, true),
            (502, Value::Null, true),
            (429, Value::Null, false),
        ] {
            let response = Response { status, retry_after: None, location: None, emergency: None, body };
            assert_eq!(response.is_outcome_unknown(), expected, "{status} {}", response.body);
        }
    }
}
