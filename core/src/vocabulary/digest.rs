//! Digests of 32 bytes, written as hexadecimal digits.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A SHA-256, or an HMAC of it, written as 64 hexadecimal digits.
///
/// ```
/// use cutover_core::vocabulary::digest::Digest256;
///
/// let digest: Digest256 = "0F".repeat(32).parse()?;
/// assert_eq!(digest, Digest256([15; 32]));
/// assert_eq!(digest.to_string(), "0f".repeat(32));
/// # Ok::<(), cutover_core::vocabulary::digest::InvalidDigest>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest256(pub [u8; 32]);

/// Error for a string that is not a [`Digest256`]. It does not repeat the string, which may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 has 64 hexadecimal digits")]
pub struct InvalidDigest;

impl FromStr for Digest256 {
    type Err = InvalidDigest;
    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let mut bytes = [0; 32];
        if text.len() != 2 * bytes.len() {
            return Err(InvalidDigest);
        }
        let mut digits =
            text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()));
        let mut next = || digits.next().flatten().ok_or(InvalidDigest);
        for byte in &mut bytes {
            *byte = (next()? << 4) | next()?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest256 {
    type Error = InvalidDigest;
    fn try_from(text: String) -> Result<Self, InvalidDigest> {
        text.parse()
    }
}

impl From<Digest256> for String {
    fn from(digest: Digest256) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for Digest256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-256 of `test`.
    const DIGITS: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    #[test]
    fn a_digest_is_64_digits() {
        let digest: Digest256 = DIGITS.parse().unwrap();
        assert_eq!(digest.to_string(), DIGITS);
        assert_eq!(DIGITS.to_uppercase().parse(), Ok(digest));
        assert_eq!((digest.0[0], digest.0[31]), (0x9f, 0x08));
        for wrong in [
            "",
            "9f",
            DIGITS.strip_prefix('9').unwrap(),
            &format!("{DIGITS}0"),
            &DIGITS.replace('9', "g"),
            &"ü".repeat(32),
        ] {
            assert_eq!(wrong.parse::<Digest256>(), Err(InvalidDigest), "{wrong}");
        }
    }
}
