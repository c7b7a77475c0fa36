//! Plain HTTP, for every part except the management API.

use crate::failure::Failure;
use reqwest::blocking;
use std::time::Duration;

/// Longest wait for one response.
const TIMEOUT: Duration = Duration::from_secs(8);

/// Builds a client that does not follow redirects.
///
/// # Errors
///
/// Fails if TLS cannot be set up.
pub fn client() -> Result<blocking::Client, Failure> {
    blocking::Client::builder()
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("cutover-preflight/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| Failure::Unreachable(format!("cannot set up an HTTP client: {error}")))
}

/// Describes in a few words why there was no response.
pub fn unreachable(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "no response in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    }
}
