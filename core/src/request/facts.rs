//! Facts about one request. All of them are borrowed from the caller; nothing is copied.

use crate::vocabulary::arm::Arm;
use std::borrow::Cow;

/// The facts about one request that the rules need.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts<'a> {
    /// The method, in upper case.
    pub method: &'a str,
    /// The path as it was sent, still percent-encoded.
    pub path: &'a str,
    /// The query as it was sent, without the question mark.
    pub query: &'a str,
    /// A user id given by the caller; it takes precedence over any in the request.
    pub user: Option<&'a str>,
    /// An anonymous id just minted for this request.
    pub minted: Option<&'a str>,
    /// The arm that a tester has asked for with a signed header. It is taken before every rule but those that protect
    /// users: an emergency and a disabled flag.
    pub forced: Option<Arm>,
    /// The client's country as an ISO 3166 code.
    pub country: Option<&'a str>,
    /// The client's IP address.
    pub ip: Option<&'a str>,
    /// The headers that the rules need; names in lower case.
    pub headers: &'a [(&'a str, &'a str)],
}

impl<'a> Facts<'a> {
    /// Returns the first header with this name, which must be in lower case.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(header, _)| *header == name).map(|(_, value)| *value)
    }

    /// Returns the first cookie with this name, without the double quotes that may surround its
    /// value.
    pub fn cookie(&self, name: &str) -> Option<&'a str> {
        self.header("cookie")?
            .split(';')
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| key.trim() == name)
            .map(|(_, value)| {
                let value = value.trim();
                value.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(value)
            })
    }

    /// Returns the first query parameter with this name, decoded. A parameter without `=` has the
    /// empty string as its value.
    pub fn query_parameter(&self, name: &str) -> Option<Cow<'a, str>> {
        self.query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .find(|(key, _)| decode_form(key) == name)
            .map(|(_, value)| decode_form(value))
    }
}

/// Decodes `+` to a space, and `%XX`. Invalid UTF-8 becomes replacement characters; an incomplete
/// escape is kept unchanged.
pub(crate) fn decode_form(text: &str) -> Cow<'_, str> {
    if text.contains('+') {
        Cow::Owned(decode_path(&text.replace('+', " ")).into_owned())
    } else {
        decode_path(text)
    }
}

/// Decodes `%XX` as [`decode_form`] does, but keeps `+`.
pub(crate) fn decode_path(text: &str) -> Cow<'_, str> {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_cookies_between_others() {
        let headers = [("cookie", "a=1; uid=\"u 7\"; uid=second; broken; auid=x")];
        let facts = Facts { headers: &headers, ..Facts::default() };
        assert_eq!(facts.cookie("uid"), Some("u 7"));
        assert_eq!(facts.cookie("auid"), Some("x"));
        assert_eq!(facts.cookie("broken"), None);
        assert_eq!(Facts::default().cookie("uid"), None);
    }

    #[test]
    fn decodes_query_parameters() {
        let facts = Facts { query: "a=1&b=%C3%A9+x&b=2&c&%64=%zz%", ..Facts::default() };
        let get = |name| facts.query_parameter(name).map(Cow::into_owned);
        assert_eq!(get("a").as_deref(), Some("1"));
        assert_eq!(get("b").as_deref(), Some("é x"));
        assert_eq!(get("c").as_deref(), Some(""));
        assert_eq!(get("d").as_deref(), Some("%zz%"));
        assert_eq!(get("e"), None);
    }
}
