//! Plain HTTP, for everything except the management API.

use crate::failure::Failure;
use reqwest::blocking;
use std::time::Duration;

/// Builds a client that does not follow redirects. `timeout` is its longest wait for one response.
///
/// # Errors
///
/// Fails if TLS cannot be set up.
pub fn client(timeout: Duration) -> Result<blocking::Client, Failure> {
    blocking::Client::builder()
        .timeout(timeout)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("cutover/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| Failure::Unreachable(format!("cannot set up an HTTP client: {error}")))
}

/// Describes in a few words why there was no response.
pub fn unreachable(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "no response in time"
    } else if error.is_connect() {
        "no connection"
    } else if error.is_builder() {
        "the URL or a header is malformed"
    } else {
        "the connection broke"
    }
}

/// Parses `Name: value`. The name is returned in lower case.
///
/// # Errors
///
/// Fails if there is no colon, or no name before it.
pub fn header(text: &str) -> Result<(String, String), Failure> {
    match text.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        }
        _ => Err(Failure::Usage(format!("{text:?} is not a header\n  hint: use --header \"Name: value\""))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_a_name_and_a_value() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(header("Authorization: Bearer a:b").unwrap(), pair("authorization", "Bearer a:b"));
        assert_eq!(header("x-empty:").unwrap(), pair("x-empty", ""));
        assert!(header("no colon").is_err() && header(": value").is_err());
    }
}
