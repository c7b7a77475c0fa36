//! Keys of rate limits: the part of a request that a policy counts by.

use crate::request::{facts::Facts, identity::User, token::is_token};
use serde::{Deserialize, Serialize};
use std::{
    fmt::{self, Write},
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// Beginning of the names of the pseudo headers in [`Facts::headers`] with the claims of a verified JSON Web Token. No real
/// header can have such a name.
pub const CLAIM: &str = ":claim:";

/// Longest path of a claim, in bytes.
const MAX_CLAIM: usize = 128;

/// Between the parts of a key. No part can hold it: neither a header nor an address has control characters, and those of
/// claims and subjects are refused.
const SEPARATOR: char = '\u{1f}';

/// A part of a request that a policy counts by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum KeyPart {
    /// The user, by the identity source of the route that knows one: the same id of another source is another key. An id
    /// that is minted for this very request is none.
    User,
    /// The address of the client; of IPv6 its /64.
    Ip,
    /// A request header; its name in lower case.
    Header(Box<str>),
    /// A claim of a verified JSON Web Token: its name, or names separated by full stops.
    Claim(Box<str>),
}

/// Error for a string that is no part of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeyPart {
    /// The string is none of the forms.
    #[error("{0:?} is not a key of a limit; write user, ip, header:NAME or claim:NAME")]
    Unknown(String),
    /// Cookies are read for the user only.
    #[error("a limit cannot count by all cookies together")]
    Cookie,
}

impl FromStr for KeyPart {
    type Err = InvalidKeyPart;
    fn from_str(text: &str) -> Result<Self, InvalidKeyPart> {
        match text.split_once(':') {
            None if text == "user" => Ok(Self::User),
            None if text == "ip" => Ok(Self::Ip),
            Some(("header", name)) if name.eq_ignore_ascii_case("cookie") => Err(InvalidKeyPart::Cookie),
            Some(("header", name)) if is_token(name) => Ok(Self::Header(name.to_ascii_lowercase().into())),
            Some(("claim", path)) if is_claim(path) => Ok(Self::Claim(path.into())),
            _ => Err(InvalidKeyPart::Unknown(text.to_owned())),
        }
    }
}

fn is_claim(path: &str) -> bool {
    (1..=MAX_CLAIM).contains(&path.len()) && path.bytes().all(|byte| byte.is_ascii_graphic())
}

impl TryFrom<String> for KeyPart {
    type Error = InvalidKeyPart;
    fn try_from(text: String) -> Result<Self, InvalidKeyPart> {
        text.parse()
    }
}

impl From<KeyPart> for String {
    fn from(part: KeyPart) -> Self {
        part.to_string()
    }
}

impl fmt::Display for KeyPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User => f.write_str("user"),
            Self::Ip => f.write_str("ip"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Claim(path) => write!(f, "claim:{path}"),
        }
    }
}

impl KeyPart {
    /// Appends the value of this part, after a letter that tells its kind. Returns false if the request lacks it.
    fn push(&self, key: &mut String, user: Option<User<'_>>, facts: &Facts<'_>) -> bool {
        let (kind, value) = match self {
            Self::Ip => return false,
            Self::User => {
                let Some(User { source, id }) = user.filter(|user| !user.id.is_empty()) else { return false };
                // Writing to a string cannot fail.
                return write!(key, "u:{source}:{id}").is_ok();
            }
            Self::Header(name) => ("h:", facts.header(name)),
            Self::Claim(path) => {
                let mut headers = facts.headers.iter();
                let found = headers.find(|(name, _)| name.strip_prefix(CLAIM) == Some(path));
                ("c:", found.map(|(_, value)| *value))
            }
        };
        let Some(value) = value.filter(|value| !value.is_empty()) else { return false };
        key.push_str(kind);
        key.push_str(value);
        true
    }
}

/// The key of a request under a policy. A part that the request lacks is replaced by the address of the client, so nobody
/// escapes a limit by leaving something out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// Reads the key from a request and its user.
    pub fn of(parts: &[KeyPart], user: Option<User<'_>>, facts: &Facts<'_>) -> Self {
        let mut key = String::new();
        for part in parts {
            if !key.is_empty() {
                key.push(SEPARATOR);
            }
            if !part.push(&mut key, user, facts) {
                push_address(&mut key, facts.ip.unwrap_or_default());
            }
        }
        Self(key)
    }

    /// Returns the key as a string. It may be personal data.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns a hash of the key by a seed that clients do not know.
    pub fn hash(&self, seed: u64) -> u128 {
        xxh3_128_with_seed(self.0.as_bytes(), seed)
    }
}

/// Appends the address of a client: IPv6 by its /64, because a client has all of one, and IPv4 inside of IPv6 as itself.
fn push_address(key: &mut String, address: &str) {
    let canonical = address.parse::<IpAddr>().map(|address| match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    });
    key.push_str("i:");
    match canonical {
        // Writing to a string cannot fail.
        Ok(address) => write!(key, "{address}").unwrap_or_default(),
        // Not known, or no address at all: one key for all of them.
        Err(_) => key.push('?'),
    }
}
