//! Digests of secrets, and random secrets.

use crate::{
    observe::hex::{hex, random_hex},
    problem::Problem,
};
use sha2::{Digest, Sha256};

/// Returns the hash of a sequence of byte strings, in hexadecimal digits. Each is prefixed with its
/// length, so that different sequences cannot collide by concatenation.
pub fn digest(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part);
    }
    hex(&hasher.finalize())
}

/// Returns the hash under which a token is stored.
pub fn token_hash(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

/// Returns the given number of random bytes as hexadecimal digits.
///
/// # Errors
///
/// Returns the problem `no_randomness` if the operating system provides no random bytes.
pub fn random<const BYTES: usize>() -> Result<String, Problem> {
    random_hex::<BYTES>()
        .map_err(|_| Problem::unavailable("no_randomness", "the operating system provided no random bytes"))
}
