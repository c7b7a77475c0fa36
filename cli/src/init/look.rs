//! A look at a backend: one request, and the sentence that tells its result.

use crate::{
    address::is_loopback,
    http::{cause, tls_failure},
};
use reqwest::{Method, StatusCode, Url, blocking, header};
use std::time::{Duration, Instant};

/// Longest wait for a connection to a backend.
pub(super) const CONNECTION: Duration = Duration::from_secs(3);

/// Longest wait for a response.
pub(super) const RESPONSE: Duration = Duration::from_secs(5);

/// Result of a look at a backend.
#[derive(Debug)]
pub(super) struct Look {
    /// True if the backend responded, with any status.
    pub is_reachable: bool,
    /// The response, or the cause of its absence.
    pub sentence: String,
    /// Advice that follows from it.
    pub advice: Option<String>,
}

/// Requests a path of a backend with HEAD, and with GET if the backend does not know HEAD. Both change nothing.
pub(super) fn look(http: &blocking::Client, base: &str, path: &str) -> Look {
    let url = format!("{}{path}", base.trim_end_matches('/'));
    let begun = Instant::now();
    let sent = send(http, Method::HEAD, &url).and_then(|response| match response.status() {
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => send(http, Method::GET, &url),
        _ => Ok(response),
    });
    match sent {
        Ok(response) => answered(&response, base, begun.elapsed()),
        Err(error) => Look {
            is_reachable: false,
            sentence: format!("no response: {}", tls_failure(&error).unwrap_or_else(|| cause(&error))),
            advice: Some(
                "check the URL, unless this machine cannot reach the backend and Cloudflare can".to_owned(),
            ),
        },
    }
}

fn send(http: &blocking::Client, method: Method, url: &str) -> Result<blocking::Response, reqwest::Error> {
    http.request(method, url).send()
}

fn answered(response: &blocking::Response, base: &str, elapsed: Duration) -> Look {
    let status = response.status();
    let text = |name: header::HeaderName| response.headers().get(name).and_then(|value| value.to_str().ok());
    let kind = text(header::CONTENT_TYPE).map(|kind| format!(", {kind}")).unwrap_or_default();
    let location = text(header::LOCATION).unwrap_or("another URL");
    let advice = match status.as_u16() {
        300..=399 => Some(format!("it redirects to {location}; if that is the backend, use its URL")),
        401 | 403 => Some("it asks for credentials, which Cutover forwards from the client".to_owned()),
        404 => Some(
            "nothing is at the path itself, which is usual; paths below it were not requested".to_owned(),
        ),
        500..=599 => Some("it fails at present".to_owned()),
        _ => None,
    };
    let is_local = Url::parse(base).is_ok_and(|url| is_loopback(&url));
    let advice = advice.or_else(|| is_local.then(|| LOCAL.to_owned()));
    let sentence = format!("answered {} after {} ms{kind}", status.as_u16(), elapsed.as_millis());
    Look { is_reachable: true, sentence, advice }
}

const LOCAL: &str = "only this machine reaches that URL: fine for cargo xtask dev, but not for Cloudflare";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fake_server::answering, http::client};

    #[test]
    fn a_look_tells_the_response_and_what_follows_from_it() {
        let http = client(CONNECTION, RESPONSE).unwrap();
        for (status, advice) in [
            (200, "only this machine"),
            (302, "redirects to another URL"),
            (401, "asks for credentials"),
            (404, "nothing is at the path itself"),
            (503, "fails at present"),
        ] {
            let (url, paths) = answering(status, "");
            let found = look(&http, &format!("{url}/"), "/api");
            assert!(found.sentence.starts_with(&format!("answered {status} after ")), "{found:?}");
            assert!(found.is_reachable && found.advice.as_deref().unwrap().contains(advice), "{found:?}");
            assert_eq!(*paths.lock().unwrap(), ["/api"]);
        }
    }

    #[test]
    fn a_backend_without_head_is_asked_with_get() {
        let http = client(CONNECTION, RESPONSE).unwrap();
        let (url, paths) = answering(405, "");
        look(&http, &url, "/api");
        assert_eq!(*paths.lock().unwrap(), ["/api", "/api"]);
    }

    #[test]
    fn a_backend_that_is_down_is_told_with_its_cause() {
        let http = client(CONNECTION, RESPONSE).unwrap();
        let found = look(&http, "http://127.0.0.1:9", "/api");
        assert!(!found.is_reachable && found.sentence.starts_with("no response: "), "{found:?}");
    }
}
