//! What is known about one request. Borrowed from wherever it came from; nothing is copied.

use std::borrow::Cow;

/// The facts of one request, as far as the rules ask for them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts<'a> {
    /// The method, in upper case.
    pub method: &'a str,
    /// The path as it was sent, still percent-encoded.
    pub path: &'a str,
    /// The query as it was sent, without the question mark.
    pub query: &'a str,
    /// A user id that is given outright and goes before any that the request carries.
    pub user: Option<&'a str>,
    /// An anonymous id that was just minted for this request.
    pub minted: Option<&'a str>,
    /// The client's country as an ISO 3166 code.
    pub country: Option<&'a str>,
    /// The client's address.
    pub ip: Option<&'a str>,
    /// The headers that the rules ask for; names in lower case.
    pub headers: &'a [(&'a str, &'a str)],
}

impl<'a> Facts<'a> {
    /// The first header of this name (given in lower case).
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(header, _)| *header == name).map(|(_, value)| *value)
    }

    /// The first cookie of this name, without the quotes that may stand around its value.
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

    /// The first query parameter of this name, decoded. A parameter without `=` is the empty text.
    pub fn query_parameter(&self, name: &str) -> Option<Cow<'a, str>> {
        self.query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .find(|(key, _)| decode_form(key) == name)
            .map(|(_, value)| decode_form(value))
    }
}

/// Decodes `+` and `%XX`. Bytes that are not UTF-8 become replacement characters, a lone `%` stays.
pub(crate) fn decode_form(text: &str) -> Cow<'_, str> {
    decode(text, b' ')
}

/// Decodes `%XX` as [`decode_form`] does. A plus is a plus.
pub(crate) fn decode_path(text: &str) -> Cow<'_, str> {
    decode(text, b'+')
}

fn decode(text: &str, plus: u8) -> Cow<'_, str> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(text);
    }
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => decoded.push(plus),
            b'%' => {
                let mut ahead = bytes.clone();
                match (ahead.next().and_then(hex_digit), ahead.next().and_then(hex_digit)) {
                    (Some(high), Some(low)) => {
                        decoded.push(high << 4 | low);
                        bytes = ahead;
                    }
                    _ => decoded.push(b'%'),
                }
            }
            other => decoded.push(other),
        }
    }
    Cow::Owned(
        String::from_utf8(decoded).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()),
    )
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
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
