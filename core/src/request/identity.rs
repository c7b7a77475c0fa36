//! User identification: the sources of a user id, tried in the order that a route lists them.

use crate::request::{facts::Facts, token::is_token};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Cookie with the anonymous id that the edge mints.
pub const ANONYMOUS_COOKIE: &str = "cutover_uid";

/// Header with the user id, unless a route configures other sources.
pub const DEFAULT_USER_HEADER: &str = "x-user-id";

/// Name of the pseudo header in [`Facts::headers`] with the subject of a verified JSON Web Token.
/// No real header can have this name.
pub const VERIFIED_SUBJECT: &str = ":jwt";

/// A source of user ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Source {
    /// A request header; its name in lower case.
    Header(Box<str>),
    /// A cookie that the application sets.
    Cookie(Box<str>),
    /// The subject of a JSON Web Token whose signature and claims the edge has verified.
    Jwt,
    /// The edge's own cookie, minted if a client has none.
    Anonymous,
}

/// Error for a string that does not name a source of user ids.
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

/// Returns the sources of a route that does not configure any.
pub fn default_sources() -> Vec<Source> {
    vec![Source::Header(DEFAULT_USER_HEADER.into()), Source::Anonymous]
}

/// Returns true if the sources are those of [`default_sources`].
pub fn is_default(sources: &[Source]) -> bool {
    sources == default_sources()
}

/// Result of trying the sources of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity<'a> {
    /// The id of a user.
    Known(&'a str),
    /// No source had an id, and one may be minted.
    MayMint,
    /// No source had an id, and none may be minted.
    Absent,
}

impl<'a> Identity<'a> {
    /// Returns the id, if it is known.
    pub fn user(self) -> Option<&'a str> {
        match self {
            Self::Known(user) => Some(user),
            Self::MayMint | Self::Absent => None,
        }
    }
}

/// A user, and the source that knows the id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User<'a> {
    /// The source. A value that a client can write into one says nothing about the ids of another.
    pub source: &'a Source,
    /// The id.
    pub id: &'a str,
}

/// Tries the sources in order. Empty values count as absent, and so does an anonymous cookie that
/// is not in the form the edge mints: 32 lower-case hexadecimal digits.
pub fn identify<'a>(sources: &[Source], facts: &Facts<'a>) -> Identity<'a> {
    if let Some(user) = facts.user {
        return Identity::Known(user);
    }
    let mut tried = sources.iter().map(|source| identify_by(source, facts));
    tried.find(|identity| *identity != Identity::Absent).unwrap_or(Identity::Absent)
}

/// Returns the user whom [`identify`] finds in a request, with the source; `None` if no source knows one.
pub fn user_of<'a>(sources: &'a [Source], facts: &Facts<'a>) -> Option<User<'a>> {
    let mut tried = sources.iter().map(|source| (source, identify_by(source, facts)));
    let (source, identity) = tried.find(|(_, identity)| *identity != Identity::Absent)?;
    Some(User { source, id: identity.user()? })
}

fn identify_by<'a>(source: &Source, facts: &Facts<'a>) -> Identity<'a> {
    let found = match source {
        Source::Header(name) => facts.header(name).filter(|id| !id.is_empty()),
        Source::Jwt => facts.header(VERIFIED_SUBJECT).filter(|id| !id.is_empty()),
        Source::Cookie(name) => facts.cookie(name).filter(|id| !id.is_empty()),
        Source::Anonymous => match facts.cookie(ANONYMOUS_COOKIE).filter(|id| is_anonymous_id(id)) {
            None => match facts.minted {
                None => return Identity::MayMint,
                minted => minted,
            },
            id => id,
        },
    };
    found.map_or(Identity::Absent, Identity::Known)
}

fn is_anonymous_id(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sources: &[&str], headers: &[(&str, &str)], expected: Identity<'_>) {
        let sources: Vec<Source> = sources.iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(identify(&sources, &Facts { headers, ..Facts::default() }), expected);
    }

    #[test]
    fn a_user_is_told_with_the_source() {
        let sources: Vec<Source> = ["jwt", "header:x-user-id"].map(|text| text.parse().unwrap()).into();
        let of = |headers: &[(&'static str, &'static str)]| {
            user_of(&sources, &Facts { headers, ..Facts::default() })
                .map(|user| (user.source.clone(), user.id.to_owned()))
        };
        assert_eq!(of(&[("x-user-id", "u1")]), Some((sources[1].clone(), "u1".to_owned())));
        assert_eq!(
            of(&[("x-user-id", "u1"), (VERIFIED_SUBJECT, "u1")]),
            Some((Source::Jwt, "u1".to_owned()))
        );
        assert_eq!(of(&[]), None);
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
