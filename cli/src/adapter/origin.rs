//! The servers that requests are sent to: the new backend and legacy.

use crate::{
    failure::Failure,
    http::{self, cause},
};
use cutover_core::config::SentRequest;
use reqwest::{Method, blocking};
use std::time::Duration;

/// Longest wait for one response.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A server.
#[derive(Debug)]
pub struct Origin {
    http: blocking::Client,
    url: String,
}

/// A request to a server.
#[derive(Debug)]
pub struct Outgoing<'r> {
    /// The HTTP method.
    pub method: &'r str,
    /// Path and query below the server's URL.
    pub target: &'r str,
    /// The headers.
    pub headers: &'r [(String, String)],
    /// The body; empty if there is none.
    pub body: &'r str,
}

/// A response as a client receives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientResponse {
    /// The HTTP status.
    pub status: u16,
    /// The headers; names in lower case, each once.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl ClientResponse {
    /// Returns the header with this name, which must be in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(held, _)| held == name).map(|(_, value)| value.as_str())
    }
}

/// Sets a header, in place of one of the same name.
pub fn set(headers: &mut Vec<(String, String)>, name: &str, value: &str) {
    headers.retain(|(held, _)| held != name);
    headers.push((name.to_owned(), value.to_owned()));
}

/// Builds the failure of a request without a response.
pub fn unreachable(request: &str, cause: &str) -> Failure {
    Failure::Unreachable(format!("{request}: {cause}\n  hint: check the URL, and that the server runs"))
}

impl Origin {
    /// Builds a client of the server at a URL. `option` names the URL in messages.
    ///
    /// # Errors
    ///
    /// Fails if the URL is not one of http or https.
    pub fn new(option: &str, url: &str) -> Result<Self, Failure> {
        if http::is_url(url) {
            return Ok(Self {
                http: http::client(TIMEOUT, TIMEOUT)?,
                url: url.trim_end_matches('/').to_owned(),
            });
        }
        Err(Failure::Usage(format!(
            "{option} {url:?} is not a URL\n  hint: write http:// or https://, the host and, if it has one, its port"
        )))
    }

    /// Returns the full URL of a path and query.
    pub fn url(&self, target: &str) -> String {
        format!("{}{target}", self.url)
    }

    /// Sends a request, without following redirects.
    ///
    /// # Errors
    ///
    /// Fails if there is no complete response.
    pub fn send(&self, sent: &Outgoing<'_>) -> Result<ClientResponse, reqwest::Error> {
        let method = Method::from_bytes(sent.method.as_bytes()).unwrap_or_default();
        let mut request = self.http.request(method, self.url(sent.target));
        for (name, value) in sent.headers {
            request = request.header(name.as_str(), value.as_str());
        }
        if !sent.body.is_empty() {
            request = request.body(sent.body.to_owned());
        }
        let response = request.send()?;
        let joined = |name: &reqwest::header::HeaderName| {
            let values = response.headers().get_all(name).iter();
            let values: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
            (name.as_str().to_owned(), values.join(", "))
        };
        let headers = response.headers().keys().map(joined).collect();
        let status = response.status().as_u16();
        Ok(ClientResponse { status, headers, body: response.bytes()?.to_vec() })
    }

    /// Sends a client's request as the client would. A body is JSON unless a header says otherwise.
    ///
    /// # Errors
    ///
    /// Fails if there is no complete response.
    pub fn send_as_client(&self, request: &SentRequest) -> Result<ClientResponse, Failure> {
        let mut headers = request.headers.clone();
        if !request.body.is_empty() && request.header("content-type").is_none() {
            set(&mut headers, "content-type", "application/json");
        }
        let target = request.line.target();
        let sent = Outgoing {
            method: &request.line.method,
            target: &target,
            headers: &headers,
            body: &request.body,
        };
        self.send(&sent).map_err(|error| {
            let (method, url) = (&request.line.method, self.url(&target));
            unreachable(&format!("{method} {url}"), &cause(&error))
        })
    }
}
