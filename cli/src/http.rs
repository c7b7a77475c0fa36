//! Plain HTTP, for everything except the management API.

use crate::failure::Failure;
use cutover_core::request::token::is_token;
use flate2::read::GzDecoder;
use reqwest::{Url, blocking};
use std::{
    error::Error,
    io::{self, Read as _},
    time::Duration,
};

/// Largest response that is decompressed, in bytes of its plain form.
const MAX_UNPACKED: u64 = 100_000_000;

/// Builds a client that does not follow redirects, with its longest waits for a connection and, from the beginning of the
/// request, for a response.
///
/// # Errors
///
/// Fails if TLS cannot be set up.
pub fn client(connection: Duration, response: Duration) -> Result<blocking::Client, Failure> {
    blocking::Client::builder()
        .connect_timeout(connection)
        .timeout(response)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("cutover/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| Failure::Unreachable(format!("cannot set up an HTTP client: {error}")))
}

/// Decompresses a response that is compressed with gzip.
///
/// # Errors
///
/// Fails if it is not whole gzip data.
pub fn unpacked(packed: &[u8]) -> io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    GzDecoder::new(packed).take(MAX_UNPACKED).read_to_end(&mut plain)?;
    Ok(plain)
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

/// Returns the cause of a failed request, without its URL.
pub fn cause(error: &reqwest::Error) -> String {
    if error.is_builder() {
        return "the URL or a header is malformed".to_owned();
    }
    if error.is_timeout() {
        return "no response in time".to_owned();
    }
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Returns true if nothing was sent because the port is closed, or because no connection came in time. Other failures of the
/// first contact, such as an unknown host or one without TLS, are none that pass.
pub fn is_unanswered(error: &reqwest::Error) -> bool {
    error.is_connect() && (error.is_timeout() || causes(error).any(is_refusal))
}

/// Returns true for the error of a closed port.
fn is_refusal(cause: &(dyn Error + 'static)) -> bool {
    cause.downcast_ref::<io::Error>().is_some_and(|cause| cause.kind() == io::ErrorKind::ConnectionRefused)
}

/// Returns the causes of a failed request, the innermost last.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

/// Describes a failure of TLS; `None` if the request failed for another reason.
pub fn tls_failure(error: &reqwest::Error) -> Option<String> {
    let causes: Vec<String> = causes(error).map(ToString::to_string).collect();
    let with = |word: &str| causes.iter().rev().find(|cause| cause.contains(word));
    if with("corrupt message").is_some() {
        return Some("the server does not speak TLS at this port, so the URL is not one of https".to_owned());
    }
    if let Some(cause) = with("certificate") {
        return Some(format!("TLS failed, because the server's certificate is refused: {cause}"));
    }
    ["tls", "TLS", "handshake", "peer "]
        .into_iter()
        .find_map(with)
        .map(|cause| format!("TLS failed: {cause}"))
}

/// Returns true for a URL of http or https.
pub fn is_url(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

/// Parses `Name: value`. The name is returned in lower case.
///
/// # Errors
///
/// Fails if there is no colon, no name before it, or a character in the name that no header has.
pub fn header(text: &str) -> Result<(String, String), Failure> {
    match text.split_once(':') {
        Some((name, value)) if is_token(name.trim()) => {
            Ok((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        }
        _ => Err(Failure::Usage(format!("{text:?} is not a header\n  hint: use --header \"Name: value\""))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read, Write},
        net::TcpListener,
        thread,
    };

    #[test]
    fn a_server_without_tls_is_no_server_that_is_down() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(stream.read(&mut [0; 1_024]).unwrap() > 0);
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n").unwrap();
        });
        let http = client(Duration::from_secs(10), Duration::from_secs(10)).unwrap();
        let error = http.get(format!("https://{address}")).send().unwrap_err();
        let found = tls_failure(&error).unwrap();
        assert!(found.contains("does not speak TLS"), "{found}");
        assert!(!is_unanswered(&error), "it stays without TLS");
        let error = http.get("http://127.0.0.1:9").send().unwrap_err();
        assert_eq!(tls_failure(&error), None, "nobody listens there");
        assert!(is_unanswered(&error));
    }

    #[test]
    fn a_header_has_a_name_and_a_value() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(header("Authorization: Bearer a:b").unwrap(), pair("authorization", "Bearer a:b"));
        assert_eq!(header("x-empty:").unwrap(), pair("x-empty", ""));
        for text in ["no colon", ": value", "X A: 1", "a\"b: 1"] {
            assert!(header(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_http_has_urls() {
        assert!(is_url("https://api.example/graphql") && is_url("http://127.0.0.1:4000"));
        for text in ["nourl", "ftp://api.example", "api.example:4000/graphql", "http://"] {
            assert!(!is_url(text), "{text}");
        }
    }
}
