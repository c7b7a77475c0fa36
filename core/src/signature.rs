//! Signatures over a moment and a body: HMAC-SHA256 of `TIMESTAMP.BODY`, as hexadecimal digits after `v1=`. Batches
//! come in with one, notifications go out with one.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::fmt::Write;

/// The header that holds the moment, in milliseconds since 1970.
pub const TIMESTAMP: &str = "x-cutover-timestamp";

/// The header that holds the signature.
pub const SIGNATURE: &str = "x-cutover-signature";

/// How far the clocks of signer and reader may lie apart, in milliseconds.
pub const TOLERANCE_MS: i64 = 300_000;

/// Why a signature is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// A header is missing or cannot be read.
    Missing,
    /// The moment is too far from now: an old message sent again, or a clock that is wrong.
    Skewed,
    /// It was made over something else, or with another secret.
    Wrong,
}

fn mac(secret: &str, at: &str, body: &[u8]) -> Option<Hmac<Sha256>> {
    // HMAC takes keys of any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(at.as_bytes());
    mac.update(b".");
    mac.update(body);
    Some(mac)
}

/// The signature of a body at a moment.
pub fn sign(secret: &str, at: i64, body: &[u8]) -> String {
    let mac = mac(secret, &at.to_string(), body);
    let digits = mac.map(|mac| mac.finalize().into_bytes()).unwrap_or_default();
    digits.iter().fold(String::from("v1="), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Checks a signature against any of these secrets.
pub fn verify(
    secrets: &[String],
    at: Option<&str>,
    signature: Option<&str>,
    body: &[u8],
    now: i64,
) -> Result<(), Refused> {
    let (at, signature) = at.zip(signature).ok_or(Refused::Missing)?;
    let moment: i64 = at.parse().map_err(|_| Refused::Missing)?;
    let digits = signature.strip_prefix("v1=").filter(|digits| digits.len() == 64).ok_or(Refused::Missing)?;
    let bytes = unhex(digits).ok_or(Refused::Missing)?;
    if now.saturating_sub(moment).saturating_abs() > TOLERANCE_MS {
        return Err(Refused::Skewed);
    }
    let fits = |secret: &String| {
        // The comparison takes the same time wherever the two differ.
        mac(secret, at, body).is_some_and(|mac| mac.verify_slice(&bytes).is_ok())
    };
    if secrets.iter().any(fits) { Ok(()) } else { Err(Refused::Wrong) }
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let nibble = |byte: u8| char::from(byte).to_digit(16);
    digits
        .as_bytes()
        .chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => u8::try_from(nibble(*high)? * 16 + nibble(*low)?).ok(),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_of_one_body_at_one_moment_with_one_secret() {
        let secrets = ["new".to_owned(), "old".to_owned()];
        let signature = sign("old", 1_000, b"body");
        let check = |at: &str, signature: &str, body: &[u8], now| {
            verify(&secrets, Some(at), Some(signature), body, now)
        };
        assert_eq!(check("1000", &signature, b"body", 1_000 + TOLERANCE_MS), Ok(()));
        assert_eq!(check("1000", &signature, b"body", 1_001 + TOLERANCE_MS), Err(Refused::Skewed));
        assert_eq!(check("1001", &signature, b"body", 1_000), Err(Refused::Wrong));
        assert_eq!(check("1000", &signature, b"bodi", 1_000), Err(Refused::Wrong));
        assert_eq!(check("1000", &sign("other", 1_000, b"body"), b"body", 1_000), Err(Refused::Wrong));
        let (shorter, other) =
            (signature.trim_end_matches(char::is_alphanumeric), signature.replace("v1", "v2"));
        for bad in ["", "v1=", "v1=zz", shorter, &other] {
            assert_eq!(check("1000", bad, b"body", 1_000), Err(Refused::Missing), "{bad}");
        }
        assert_eq!(verify(&secrets, None, Some(&signature), b"body", 1_000), Err(Refused::Missing));
        // RFC 4231 has no such message; this one was made with Python's hmac module.
        assert_eq!(
            sign("key", 1, b"{}"),
            "v1=1ba6b8171186efc613e8bcc0cbdab2748f24984d7c5a84faa2637afa0e40d224"
        );
    }
}
