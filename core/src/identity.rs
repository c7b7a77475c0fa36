//! Who is asking: the sources of a user id, tried in the order a route names them.

use crate::facts::Facts;
use crate::json::read_text;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The cookie that holds an anonymous id minted at the edge.
pub const ANONYMOUS_COOKIE: &str = "cutover_uid";

/// The header that carries the user id where nothing else is configured.
pub const DEFAULT_USER_HEADER: &str = "x-user-id";

/// The name under which the subject of a verified JSON Web Token stands among the headers. No header can have it.
pub const VERIFIED_SUBJECT: &str = ":jwt";

/// Where a user id may come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Source {
    /// A request header, name in lower case.
    Header(Box<str>),
    /// A cookie that the application sets.
    Cookie(Box<str>),
    /// The subject of a JSON Web Token whose signature and claims the edge has verified.
    Jwt,
    /// The edge's own cookie, minted where a client has none.
    Anonymous,
}

/// The text does not name a source of user ids.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a source of user ids; write jwt, header:NAME, cookie:NAME or anonymous")]
pub struct InvalidSource(String);

impl FromStr for Source {
    type Err = InvalidSource;
    fn from_str(text: &str) -> Result<Self, InvalidSource> {
        match text.split_once(':') {
            Some(("header", name)) if is_token(name) => Ok(Source::Header(name.to_ascii_lowercase().into())),
            Some(("cookie", name)) if is_token(name) => Ok(Source::Cookie(name.into())),
            None if text == "anonymous" => Ok(Source::Anonymous),
            None if text == "jwt" => Ok(Source::Jwt),
            _ => Err(InvalidSource(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Source {
    type Error = InvalidSource;
    fn try_from(text: String) -> Result<Self, InvalidSource> {
        text.parse()
    }
}

impl From<Source> for String {
    fn from(source: Source) -> String {
        source.to_string()
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Header(name) => write!(f, "header:{name}"),
            Source::Cookie(name) => write!(f, "cookie:{name}"),
            Source::Anonymous => f.write_str("anonymous"),
            Source::Jwt => f.write_str("jwt"),
        }
    }
}

/// Whether a text is an RFC 9110 token: a header or cookie name.
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// The sources of a route that names none.
pub fn default_sources() -> Vec<Source> {
    vec![Source::Header(DEFAULT_USER_HEADER.into()), Source::Anonymous]
}

/// Whether the sources are the ones a route has without naming any.
pub fn is_default(sources: &[Source]) -> bool {
    sources == default_sources()
}

/// What the sources gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity<'a> {
    /// The id of a user.
    Known(&'a str),
    /// No source had an id, and one may be minted.
    MayMint,
    /// No source had an id, and none may be minted.
    Absent,
}

/// Tries the sources in order. Empty values count as absent, and so does an anonymous cookie that the edge
/// did not write in this form: 32 lower-case hexadecimal digits.
pub fn identify<'a>(sources: &[Source], facts: &Facts<'a>) -> Identity<'a> {
    if let Some(user) = facts.user {
        return Identity::Known(user);
    }
    for source in sources {
        let found = match source {
            Source::Header(name) => facts.header(name).filter(|id| !id.is_empty()),
            Source::Jwt => facts.header(VERIFIED_SUBJECT).filter(|id| !id.is_empty()),
            Source::Cookie(name) => facts.cookie(name).filter(|id| !id.is_empty()),
            Source::Anonymous => match facts.cookie(ANONYMOUS_COOKIE).filter(|id| is_anonymous_id(id)) {
                None => match facts.minted {
                    None => return Identity::MayMint,
                    minted => minted,
                },
                held => held,
            },
        };
        if let Some(id) = found {
            return Identity::Known(id);
        }
    }
    Identity::Absent
}

fn is_anonymous_id(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

read_text!(Source);

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sources: &[&str], headers: &[(&str, &str)], expected: Identity<'_>) {
        let sources: Vec<Source> = sources.iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(identify(&sources, &Facts { headers, ..Facts::default() }), expected);
    }

    #[test]
    fn the_first_source_with_an_id_wins() {
        let hex = "0123456789abcdef0123456789abcdef";
        let both = [("x-user-id", "u1"), ("cookie", "uid=u2")];
        check(&["header:X-User-Id", "cookie:uid"], &both, Identity::Known("u1"));
        check(&["cookie:uid", "header:x-user-id"], &both, Identity::Known("u2"));
        check(&["header:x-other", "anonymous"], &both, Identity::MayMint);
        check(&["header:x-other"], &both, Identity::Absent);
        check(&["header:x-user-id"], &[("x-user-id", "")], Identity::Absent);
        check(&["anonymous"], &[("cookie", &format!("cutover_uid={hex}"))], Identity::Known(hex));
        check(&["anonymous"], &[("cookie", "cutover_uid=chosen-by-client")], Identity::MayMint);
        let verified = [(VERIFIED_SUBJECT, "u3"), ("x-user-id", "u1")];
        check(&["jwt", "header:x-user-id"], &verified, Identity::Known("u3"));
        check(&["jwt", "header:x-user-id"], &verified[1..], Identity::Known("u1"));
        check(&["jwt"], &verified[1..], Identity::Absent);
    }

    #[test]
    fn refuses_other_sources() {
        for bad in ["ip", "header:", "header:a b", "cookie:", "anonymous:x", "jwt:x", "header::jwt"] {
            assert!(bad.parse::<Source>().is_err(), "{bad}");
        }
    }
}
