//! Who is calling, and what they may do.

use crate::{
    Platform, clock,
    jwt::Refused,
    problem::Problem,
    settings::MIN_ROOT_TOKEN,
    store::{Role, TokenRecord},
};
use axum::http::{HeaderMap, StatusCode, header, request::Parts};
use lambda_http::request::RequestContext;
use sha2::{Digest, Sha256};
use std::time::Instant;
use subtle::ConstantTimeEq;

/// The name of whoever holds the token of the first start.
pub const ROOT: &str = "root";

/// What the names of people begin with whom an identity provider vouches for, so that no subject can be taken for the
/// name of a token.
pub const PERSON: &str = "jwt:";

/// The header for the token where `Authorization` belongs to somebody else: to AWS, behind a URL that asks for IAM.
pub const TOKEN_HEADER: &str = "x-cutover-token";

/// A longer token is not looked at.
const MAX_TOKEN: usize = 16 * 1024;

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The name in the audit log.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Whose tokens theirs was made with; none of them counts as a second person beside them.
    pub made_by: Vec<String>,
    /// When their token ends.
    pub expires_at: Option<cutover_core::Timestamp>,
}

/// What a second person agreed to, in the request that is made again for it.
#[derive(Debug, Clone)]
pub struct Approved {
    /// Who had asked.
    pub caller: Caller,
    /// Who agreed.
    pub by: String,
    /// The change that waited.
    pub id: String,
    /// What was agreed to.
    pub fingerprint: String,
}

impl Caller {
    /// Finds the caller of a request.
    pub async fn of(platform: &Platform, parts: &Parts) -> Result<Self, Problem> {
        if let Some(approved) = parts.extensions.get::<Approved>() {
            return Ok(approved.caller.clone());
        }
        let caller = match Self::identify(platform, &parts.headers).await {
            Err(problem) if problem.status == StatusCode::UNAUTHORIZED => {
                let source = source(parts);
                tracing::warn!(event = "sign_in_refused", source, code = problem.code, "refused");
                // Whoever tries tokens gets no faster by trying more of them. A right one always opens: somebody behind the
                // same address must not be able to keep others from the kill switch.
                platform.limits.refusals.take(source, Instant::now()).map_err(too_many)?;
                return Err(problem);
            }
            identified => identified?,
        };
        platform.limits.callers.take(&caller.name, Instant::now()).map_err(too_many)?;
        Ok(caller)
    }

    async fn identify(platform: &Platform, headers: &HeaderMap) -> Result<Self, Problem> {
        let secret = token(headers)?;
        let digest = Sha256::digest(secret.as_bytes());
        let roots = platform.settings.root_token.values().await.map_err(|error| {
            tracing::error!(%error, "the root token cannot be compared");
            Problem::unavailable(
                "secret_unavailable",
                "a secret that tokens are checked with could not be read",
            )
        })?;
        for root in roots.iter().filter(|root| root.len() >= MIN_ROOT_TOKEN) {
            // Digests have one length, so comparing them tells nothing about the secret's.
            if bool::from(Sha256::digest(root.as_bytes()).as_slice().ct_eq(digest.as_slice())) {
                let (name, role) = (ROOT.to_owned(), Role::Admin);
                return Ok(Self { name, role, made_by: Vec::new(), expires_at: None });
            }
        }
        if secret.contains('.')
            && let Some(provider) = &platform.provider
        {
            let verdict = provider.person(secret).await.map_err(|error| {
                tracing::error!(%error, event = "jwks_unreachable", "no person can sign in");
                Problem::unavailable(
                    "identity_provider_unavailable",
                    "the identity provider's keys could not be read",
                )
            })?;
            return match verdict {
                Ok(person) => Ok(Self {
                    name: format!("{PERSON}{}", person.subject),
                    role: person.role,
                    made_by: Vec::new(),
                    expires_at: None,
                }),
                Err(refused) => Err(refused_person(&refused)),
            };
        }
        match platform.store.token(&hex(&digest)).await? {
            Some(token) if token.has_expired(clock::now()) => {
                let hint = "ask an admin to rotate it (cutover token rotate), and use the new one";
                let detail = format!("the token {} has expired", token.name);
                Err(Problem::new(StatusCode::UNAUTHORIZED, "token_expired", detail, hint))
            }
            Some(TokenRecord { name, role, made_by, expires_at, .. }) => {
                Ok(Self { name, role, made_by, expires_at })
            }
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

    /// Whether two callers are certainly two people: neither is the other, nor made the other's token.
    pub fn is_independent_of(&self, name: &str, made_by: &[String]) -> bool {
        self.name != name && !made_by.contains(&self.name) && !self.made_by.iter().any(|maker| maker == name)
    }
}

/// The bearer token of a request.
fn token(headers: &HeaderMap) -> Result<&str, Problem> {
    let missing = || unauthorized("token_missing", "the request carries no bearer token");
    let secret = match headers.get(TOKEN_HEADER) {
        Some(value) => value.to_str().ok(),
        None => headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, secret)| secret),
    };
    secret.map(str::trim).filter(|secret| !secret.is_empty() && secret.len() <= MAX_TOKEN).ok_or_else(missing)
}

/// The address that a request came from, as the platform saw it and nobody can set.
pub fn source(parts: &Parts) -> &str {
    match parts.extensions.get::<RequestContext>() {
        Some(RequestContext::ApiGatewayV2(context)) => {
            context.http.source_ip.as_deref().unwrap_or("somewhere")
        }
        _ => "somewhere",
    }
}

/// The answer to a caller that asks too often.
pub fn too_many(seconds: u16) -> Problem {
    let hint = format!("wait {seconds} s; CUTOVER_RATE_LIMIT sets how often one caller may ask");
    let mut problem =
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "this caller asks too often", hint);
    problem.retry_after = Some(seconds);
    problem
}

fn unauthorized(code: &'static str, detail: &str) -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        code,
        detail,
        "send Authorization: Bearer TOKEN with a valid token",
    )
}

fn refused_person(refused: &Refused) -> Problem {
    let hint = "sign in with your identity provider again, and check issuer, audience and role";
    Problem::new(StatusCode::UNAUTHORIZED, "jwt_refused", format!("the token is refused: {refused}"), hint)
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

/// So many random bytes, as hexadecimal digits.
pub fn random<const BYTES: usize>() -> Result<String, Problem> {
    let mut bits = [0_u8; BYTES];
    getrandom::fill(&mut bits)
        .map_err(|_| Problem::unavailable("no_randomness", "the function has no source of randomness"))?;
    Ok(hex(&bits))
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
