//! Signatures over a timestamp and a body: HMAC-SHA256 of `TIMESTAMP.BODY`, as hexadecimal digits
//! after `v1=`. Incoming batches and outgoing notifications are signed.

use crate::vocabulary::digest::Digest256;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Header with the timestamp, in milliseconds since 1970.
pub const TIMESTAMP: &str = "x-cutover-timestamp";

/// Header with the signature.
pub const SIGNATURE: &str = "x-cutover-signature";

/// Largest accepted difference between the timestamp and the verifier's clock, in milliseconds.
pub const TOLERANCE_MS: i64 = 300_000;

/// Reason for rejecting a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureError {
    /// A header is missing or malformed.
    Missing,
    /// The timestamp differs from now by more than [`TOLERANCE_MS`]: a replayed message, or a wrong
    /// clock.
    Skewed,
    /// The signature is for a different timestamp or body, or was made with another secret.
    Wrong,
}

fn mac(secret: &str, timestamp: &str, body: &[u8]) -> Option<Hmac<Sha256>> {
    // HMAC takes keys of any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    Some(mac)
}

/// Signs a body with a timestamp, in milliseconds since 1970.
pub fn sign(secret: &str, timestamp: i64, body: &[u8]) -> String {
    let mac = mac(secret, &timestamp.to_string(), body);
    let digest = mac.map(|mac| mac.finalize().into_bytes()).unwrap_or_default();
    format!("v1={}", Digest256(digest.into()))
}

/// Verifies a signature with any of the given secrets; several are valid while a secret is rotated.
///
/// # Errors
///
/// Fails if the timestamp or signature is missing or malformed, the timestamp is too far from
/// `now`, or no secret matches.
pub fn verify(
    secrets: &[String],
    timestamp: Option<&str>,
    signature: Option<&str>,
    body: &[u8],
    now: i64,
) -> Result<(), SignatureError> {
    let (timestamp, signature) = timestamp.zip(signature).ok_or(SignatureError::Missing)?;
    let signed_ms: i64 = timestamp.parse().map_err(|_| SignatureError::Missing)?;
    let digits = signature.strip_prefix("v1=").ok_or(SignatureError::Missing)?;
    let Digest256(bytes) = digits.parse().map_err(|_| SignatureError::Missing)?;
    if now.saturating_sub(signed_ms).saturating_abs() > TOLERANCE_MS {
        return Err(SignatureError::Skewed);
    }
    let fits = |secret: &String| {
        // The comparison runs in constant time.
        mac(secret, timestamp, body).is_some_and(|mac| mac.verify_slice(&bytes).is_ok())
    };
    if secrets.iter().any(fits) { Ok(()) } else { Err(SignatureError::Wrong) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_of_one_body_at_one_moment_with_one_secret() {
        let secrets = ["new".to_owned(), "old".to_owned()];
        let signature = sign("old", 1_000, b"body");
        let check = |timestamp: &str, signature: &str, body: &[u8], now| {
            verify(&secrets, Some(timestamp), Some(signature), body, now)
        };
        assert_eq!(check("1000", &signature, b"body", 1_000 + TOLERANCE_MS), Ok(()));
        assert_eq!(check("1000", &signature, b"body", 1_001 + TOLERANCE_MS), Err(SignatureError::Skewed));
        assert_eq!(check("1001", &signature, b"body", 1_000), Err(SignatureError::Wrong));
        assert_eq!(check("1000", &signature, b"bodi", 1_000), Err(SignatureError::Wrong));
        assert_eq!(check("1000", &sign("other", 1_000, b"body"), b"body", 1_000), Err(SignatureError::Wrong));
        let (shorter, other) =
            (signature.trim_end_matches(char::is_alphanumeric), signature.replace("v1", "v2"));
        for bad in ["", "v1=", "v1=zz", shorter, &other] {
            assert_eq!(check("1000", bad, b"body", 1_000), Err(SignatureError::Missing), "{bad}");
        }
        assert_eq!(verify(&secrets, None, Some(&signature), b"body", 1_000), Err(SignatureError::Missing));
        // RFC 4231 has no such message; this signature was computed with Python's hmac module.
        assert_eq!(
            sign("key", 1, b"{}"),
            "v1=1ba6b8171186efc613e8bcc0cbdab2748f24984d7c5a84faa2637afa0e40d224"
        );
    }
}
