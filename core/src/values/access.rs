//! Access to evaluations: the part `ofrep` of a configuration, with the tokens of applications and the origins of web pages.

use crate::vocabulary::{
    digest::{Digest256, InvalidDigest},
    names::{FlagName, InvalidName, TokenName},
};
use serde::{Deserialize, Serialize};
use std::{fmt, num::NonZeroU32, str::FromStr};
use xxhash_rust::xxh3::Xxh3;

/// Requests of one token in a second, in each isolate, unless the configuration has another limit.
pub const USUAL_REQUESTS_PER_SECOND: NonZeroU32 = NonZeroU32::MIN.saturating_add(999);

/// Callers that may evaluate flags. A configuration without this part has no endpoint for evaluations.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Access {
    /// Tokens of applications.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<AccessToken>,
    /// Origins of web pages whose scripts may read the answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<AllowedOrigin>,
    /// True if callers without a token may evaluate all flags.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anonymous: bool,
    /// Most requests of one token in a second, in each isolate; `None` for [`USUAL_REQUESTS_PER_SECOND`]. Callers without a
    /// token share one limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<NonZeroU32>,
}

/// A token of an application, of which only the hash is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessToken {
    /// Name of the token, for operators.
    pub name: TokenName,
    /// SHA-256 of the token.
    pub sha256: TokenHash,
    /// Patterns of the flags that the token may evaluate.
    pub flags: Vec<FlagPattern>,
}

/// The SHA-256 of a token, written as 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenHash(Digest256);

/// SHA-256 of the empty string, which every request without a token could send.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Error for a string that is not the hash of a token. It does not repeat the string, which may be a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTokenHash {
    /// The string is not the hash that SHA-256 makes.
    #[error(transparent)]
    Digits(#[from] InvalidDigest),
    /// The hash is that of an empty token.
    #[error("this is the hash of an empty token")]
    Empty,
}

impl TokenHash {
    /// Returns true if a digest is this one, in a time that does not depend on its bytes.
    pub fn is(&self, digest: &[u8]) -> bool {
        let Self(Digest256(held)) = self;
        digest.len() == held.len()
            && held.iter().zip(digest).fold(0, |difference, (held, other)| difference | (held ^ other)) == 0
    }
}

impl FromStr for TokenHash {
    type Err = InvalidTokenHash;
    fn from_str(text: &str) -> Result<Self, InvalidTokenHash> {
        if text.eq_ignore_ascii_case(EMPTY) {
            return Err(InvalidTokenHash::Empty);
        }
        Ok(Self(text.parse()?))
    }
}

impl TryFrom<String> for TokenHash {
    type Error = InvalidTokenHash;
    fn try_from(text: String) -> Result<Self, InvalidTokenHash> {
        text.parse()
    }
}

impl From<TokenHash> for String {
    fn from(hash: TokenHash) -> Self {
        hash.to_string()
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of a flag, or the beginning of names in front of an asterisk.
///
/// ```
/// use cutover_core::values::access::FlagPattern;
///
/// let pattern: FlagPattern = "shop.*".parse()?;
/// assert!(pattern.matches("shop.colour") && !pattern.matches("shopping"));
/// # Ok::<(), cutover_core::vocabulary::names::InvalidName>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FlagPattern(Box<str>);

impl FlagPattern {
    /// Returns true if a flag has a name of this pattern.
    pub fn matches(&self, flag: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(beginning) => flag.starts_with(beginning),
            None => flag == &*self.0,
        }
    }
}

impl FromStr for FlagPattern {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let beginning = text.strip_suffix('*').unwrap_or(text);
        if text != "*" {
            beginning.parse::<FlagName>()?;
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for FlagPattern {
    type Error = InvalidName;
    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<FlagPattern> for String {
    fn from(pattern: FlagPattern) -> Self {
        pattern.0.into_string()
    }
}

impl fmt::Display for FlagPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// An origin as browsers send it, such as `https://app.example`, or `*` for every origin.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AllowedOrigin(Box<str>);

/// Every origin.
const EVERY_ORIGIN: &str = "*";

/// Error for a string that no browser sends as an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an origin is a scheme and a host in lower case, with a port unless it is the usual one, and without a path"
)]
pub struct InvalidOrigin;

impl FromStr for AllowedOrigin {
    type Err = InvalidOrigin;
    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let is_origin = || {
            let (scheme, host) = text.split_once("://")?;
            let of = |part: &str, others: &[u8]| {
                let is_known =
                    |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || others.contains(&byte);
                !part.is_empty() && part.bytes().all(is_known)
            };
            let has_usual_port = match scheme {
                "https" => host.ends_with(":443"),
                "http" => host.ends_with(":80"),
                _ => false,
            };
            Some(of(scheme, b"+.-") && of(host, b".-_:[]") && !has_usual_port)
        };
        let is_valid = text == EVERY_ORIGIN || is_origin().unwrap_or_default();
        if is_valid { Ok(Self(text.into())) } else { Err(InvalidOrigin) }
    }
}

impl TryFrom<String> for AllowedOrigin {
    type Error = InvalidOrigin;
    fn try_from(text: String) -> Result<Self, InvalidOrigin> {
        text.parse()
    }
}

impl From<AllowedOrigin> for String {
    fn from(origin: AllowedOrigin) -> Self {
        origin.0.into_string()
    }
}

impl fmt::Display for AllowedOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A caller that may evaluate flags: the holder of a token, or somebody without one, who may evaluate all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Caller<'a> {
    token: Option<&'a AccessToken>,
}

impl Caller<'_> {
    /// Returns the name of the token; empty without one.
    pub fn name(&self) -> &str {
        self.token.map_or("", |token| token.name.as_str())
    }

    /// Returns true if the caller may evaluate a flag.
    pub fn may_evaluate(&self, flag: &str) -> bool {
        self.token.is_none_or(|token| token.flags.iter().any(|pattern| pattern.matches(flag)))
    }

    /// Returns a hash of the patterns of flags that the caller may evaluate.
    pub(crate) fn scope_hash(&self) -> u64 {
        let Some(token) = self.token else { return 0 };
        let mut hasher = Xxh3::new();
        for pattern in &token.flags {
            hasher.update(pattern.0.as_bytes());
            hasher.update(b"\n");
        }
        hasher.digest()
    }
}

impl Access {
    /// Returns the number of requests that a token may send to each isolate in a second.
    pub fn pace(&self) -> NonZeroU32 {
        self.requests_per_second.unwrap_or(USUAL_REQUESTS_PER_SECOND)
    }

    /// Returns the caller that sends a token with this SHA-256, or none; `None` if the token is not known, or one is needed.
    pub fn caller(&self, digest: Option<&[u8]>) -> Option<Caller<'_>> {
        let Some(digest) = digest else { return self.anonymous.then(Caller::default) };
        // All tokens are compared, so that the time does not tell the place of one.
        let found = self.tokens.iter().fold(
            None,
            |found, token| {
                if token.sha256.is(digest) { Some(token) } else { found }
            },
        );
        found.map(|token| Caller { token: Some(token) })
    }

    /// Returns the origin that a browser is told for a script of `origin`: the same or an asterisk; `None` if the script may
    /// not read answers.
    pub fn allowed_origin(&self, origin: &str) -> Option<&str> {
        self.origin_at(self.origin_position(origin)?)
    }

    /// Returns the position of the origin that [`allowed_origin`](Self::allowed_origin) returns.
    pub fn origin_position(&self, origin: &str) -> Option<usize> {
        let find = |allowed: &str| self.origins.iter().position(|held| *held.0 == *allowed);
        find(EVERY_ORIGIN).or_else(|| find(origin))
    }

    /// Returns the origin at a position, as browsers write it.
    pub fn origin_at(&self, position: usize) -> Option<&str> {
        self.origins.get(position).map(|origin| &*origin.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-256 of `test`.
    const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    fn token(name: &str, sha256: &str, flags: &[&str]) -> AccessToken {
        let flags = flags.iter().map(|pattern| pattern.parse().unwrap()).collect();
        AccessToken { name: name.parse().unwrap(), sha256: sha256.parse().unwrap(), flags }
    }

    #[test]
    fn a_hash_is_compared_as_a_whole_and_is_not_that_of_an_empty_token() {
        let hash: TokenHash = HASH.parse().unwrap();
        assert_eq!(hash.to_string(), HASH);
        let Digest256(bytes) = hash.0;
        assert!(hash.is(&bytes));
        let mut other = bytes;
        other[31] ^= 1;
        for digest in [&other[..], &bytes[..31], &[]] {
            assert!(!hash.is(digest));
        }
        assert_eq!("9f".parse::<TokenHash>(), Err(InvalidTokenHash::Digits(InvalidDigest)));
        for empty in [EMPTY, &EMPTY.to_uppercase()] {
            assert_eq!(empty.parse::<TokenHash>(), Err(InvalidTokenHash::Empty));
        }
    }

    #[test]
    fn a_caller_has_the_flags_of_its_token() {
        let hash: TokenHash = HASH.parse().unwrap();
        let mut access = Access {
            tokens: vec![token("shop", HASH, &["colour", "shop.*"]), token("all", &"0".repeat(64), &["*"])],
            ..Access::default()
        };
        let caller = access.caller(Some(&hash.0.0)).unwrap();
        assert_eq!(caller.name(), "shop");
        for (flag, may) in
            [("colour", true), ("colours", false), ("shop.a", true), ("shop", false), ("", false)]
        {
            assert_eq!(caller.may_evaluate(flag), may, "{flag}");
        }
        let all = access.caller(Some(&[0; 32])).unwrap();
        assert!(all.may_evaluate("anything"));
        assert_ne!(caller.scope_hash(), all.scope_hash());
        assert_eq!(access.caller(Some(&[1; 32])), None);
        assert_eq!(access.caller(None), None);
        access.anonymous = true;
        assert!(access.caller(None).unwrap().may_evaluate("anything"));
        // A wrong token is a mistake, also where none is needed.
        assert_eq!(access.caller(Some(&[1; 32])), None);
    }

    #[test]
    fn an_origin_is_allowed_as_browsers_write_it() {
        for good in [
            "https://app.example",
            "http://localhost:5173",
            "capacitor://localhost",
            "http://[::1]:8080",
            "*",
        ] {
            assert_eq!(good.parse::<AllowedOrigin>().map(String::from), Ok(good.to_owned()));
        }
        for wrong in [
            "",
            "app.example",
            "https://",
            "https://App.example",
            "https://a/",
            "https://a:443",
            "http://a:80",
            "null",
        ] {
            assert_eq!(wrong.parse::<AllowedOrigin>(), Err(InvalidOrigin), "{wrong}");
        }
        let exact = Access { origins: vec!["https://a".parse().unwrap()], ..Access::default() };
        assert_eq!(exact.allowed_origin("https://a"), Some("https://a"));
        assert_eq!(exact.allowed_origin("https://b"), None);
        assert_eq!(exact.allowed_origin("*"), None);
        let any = Access { origins: vec!["*".parse().unwrap()], ..Access::default() };
        assert_eq!(any.allowed_origin("https://b"), Some("*"));
    }

    #[test]
    fn patterns_are_names_and_beginnings_of_names() {
        for good in ["*", "a", "a*", "a.b-*"] {
            assert!(good.parse::<FlagPattern>().is_ok(), "{good}");
        }
        for wrong in ["", "**", "a*b", "a b", "*a"] {
            assert!(wrong.parse::<FlagPattern>().is_err(), "{wrong}");
        }
    }
}
