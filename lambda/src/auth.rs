//! Who is calling, and what they may do.

use crate::{
    Platform,
    problem::Problem,
    store::{Role, TokenRecord},
};
use axum::http::{HeaderMap, StatusCode, header};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The name of whoever holds the token of the first start.
pub const ROOT: &str = "root";

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The name in the audit log.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

impl Caller {
    /// Finds the caller of a request.
    pub async fn of(platform: &Platform, headers: &HeaderMap) -> Result<Self, Problem> {
        let secret = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, secret)| scheme.eq_ignore_ascii_case("bearer") && !secret.trim().is_empty())
            .map(|(_, secret)| secret.trim())
            .ok_or_else(|| unauthorized("token_missing", "the request carries no bearer token"))?;
        let digest = Sha256::digest(secret.as_bytes());
        if let Some(root) = &platform.settings.root_token {
            // Digests have one length, so comparing them tells nothing about the secret's.
            if bool::from(Sha256::digest(root.as_bytes()).as_slice().ct_eq(digest.as_slice())) {
                return Ok(Self { name: ROOT.to_owned(), role: Role::Admin });
            }
        }
        match platform.store.token(&hex(&digest)).await? {
            Some(TokenRecord { name, role, .. }) => Ok(Self { name, role }),
            None => Err(unauthorized("token_unknown", "the bearer token is not known, or was revoked")),
        }
    }

    /// Refuses a caller whose role does not reach.
    pub fn must_be(&self, role: Role) -> Result<(), Problem> {
        if self.role >= role {
            return Ok(());
        }
        let detail =
            format!("{} has the role {}, and this needs {}", self.name, self.role.as_str(), role.as_str());
        Err(Problem::new(StatusCode::FORBIDDEN, "role_too_low", detail, "ask somebody with that role"))
    }
}

fn unauthorized(code: &'static str, detail: &str) -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        code,
        detail,
        "send Authorization: Bearer TOKEN with a valid token",
    )
}

/// The hash under which a secret is stored or a request is recognised.
pub fn digest(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part);
    }
    hex(&hasher.finalize())
}

/// The hash under which a token is stored.
pub fn token_hash(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
