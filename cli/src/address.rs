//! URLs of functions that receive tokens, as an operator gives them.

use crate::failure::Failure;
use reqwest::Url;
use std::net::IpAddr;

/// Path of the management API below the URL of its function.
const API: &str = "/api/migration";

/// Checks a URL. Returns it without the path of the API and without a slash at its end.
///
/// # Errors
///
/// Fails if it is no URL of http or https, or if a token would travel unencrypted over a network.
pub fn checked(text: &str, is_plain_http_allowed: bool) -> Result<String, Failure> {
    let text = text.trim();
    let refused = |problem: &str, hint: &str| {
        Err(Failure::Usage(format!("the URL {text:?} {problem}\n  hint: {hint}")))
    };
    let url = match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => url,
        _ if !text.contains("://") => return refused("has no scheme", &format!("use https://{text}")),
        _ => return refused("is not one of http or https", "use https://HOST"),
    };
    if url.query().is_some() || url.fragment().is_some() {
        return refused("has more than a host and a path", "leave out ? and #, and everything after them");
    }
    if url.scheme() == "http" && !is_plain_http_allowed && !is_loopback(&url) {
        let hint = "use https, or --insecure-http if nobody can listen on the way";
        return refused("is not encrypted, so that others could read the token", hint);
    }
    let base = text.trim_end_matches('/');
    Ok(base.strip_suffix(API).unwrap_or(base).trim_end_matches('/').to_owned())
}

/// Returns the host of a URL, with its port if it names one; the text itself if it is no URL.
pub fn host(text: &str) -> String {
    let Ok(url) = Url::parse(text) else { return text.to_owned() };
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}", url.host_str().unwrap_or_default())
}

/// Returns true for a URL that only this machine reaches.
pub fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    host == "localhost"
        || host.ends_with(".localhost")
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_the_base_of_the_api() {
        for (text, expected) in [
            ("https://abc.lambda-url.eu-north-1.on.aws/", "https://abc.lambda-url.eu-north-1.on.aws"),
            ("https://api.example/api/migration", "https://api.example"),
            ("https://api.example/api/migration/", "https://api.example"),
            (" http://127.0.0.1:9000/lambda-url/management\n", "http://127.0.0.1:9000/lambda-url/management"),
            ("http://localhost:9000", "http://localhost:9000"),
            ("http://[::1]:9000", "http://[::1]:9000"),
        ] {
            assert_eq!(checked(text, false).unwrap(), expected);
        }
        assert_eq!(host("http://127.0.0.1:9000/x"), "127.0.0.1:9000");
        assert_eq!(host("https://api.example/x"), "api.example");
    }

    #[test]
    fn a_wrong_url_is_refused_with_its_cause() {
        for (text, expected) in [
            ("api.example", "has no scheme\n  hint: use https://api.example"),
            ("localhost:9000", "has no scheme\n  hint: use https://localhost:9000"),
            ("ftp://api.example", "is not one of http or https"),
            ("https://api.example/?a=b", "has more than a host and a path"),
            ("http://api.example", "is not encrypted"),
            ("http://10.0.0.1:9000", "is not encrypted"),
        ] {
            let refused = checked(text, false).unwrap_err().to_string();
            assert!(refused.contains(expected), "{text}: {refused}");
        }
        assert_eq!(checked("http://10.0.0.1:9000", true).unwrap(), "http://10.0.0.1:9000");
    }
}
