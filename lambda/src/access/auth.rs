//! Authentication of callers and authorisation by role.

use crate::{
    access::{
        jwt::TokenRejection,
        provider::{KeysUnavailable, Provider, SignInError},
    },
    clock,
    observe::hex::hex,
    platform::Platform,
    problem::Problem,
    settings::{
        environment::MIN_ROOT_TOKEN,
        secret::{Secret, SecretError},
    },
    store::{Role, TokenRecord},
};
use axum::http::{HeaderMap, StatusCode, header, request::Parts};
use lambda_http::request::RequestContext;
use sha2::{Digest, Sha256};
use std::time::Instant;
use subtle::ConstantTimeEq;

/// Name of the caller that uses the root token.
pub const ROOT: &str = "root";

/// Prefix of the names of callers authenticated by the identity provider, so that no subject can be
/// mistaken for the name of a token.
pub const PERSON: &str = "jwt:";

/// Header for the token if `Authorization` is taken: by AWS, if the function URL requires IAM.
pub const TOKEN_HEADER: &str = "x-cutover-token";

/// Code of the problem for a token that is in the table, and has expired.
const EXPIRED: &str = "token_expired";

/// Code of the problem for a token that nobody else knows while root's cannot be read.
const ROOT_UNREADABLE: &str = "secret_unavailable";

/// Longest token that is checked, in bytes.
const MAX_TOKEN: usize = 16 * 1024;

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Name of the caller in the audit log.
    pub name: String,
    /// Role of the caller.
    pub role: Role,
    /// Direct and indirect creators of the caller's token, without root: they may know its secret, so
    /// none of them counts as a second person for the caller's requests.
    pub made_by: Vec<String>,
    /// Expiry of the caller's token.
    pub expires_at: Option<cutover_core::Timestamp>,
}

/// Approval of a pending change, attached to the replayed request.
#[derive(Debug, Clone)]
pub struct Approval {
    /// Caller who requested the change.
    pub caller: Caller,
    /// Name of the caller who approved it.
    pub by: String,
    /// Id of the pending change.
    pub id: String,
    /// Fingerprint of the approved change.
    pub fingerprint: String,
    /// Details of the approved change, as they were shown.
    pub changes: serde_json::Value,
}

impl Caller {
    /// Authenticates the caller of a request.
    ///
    /// # Errors
    ///
    /// Returns a problem if the request has no valid token, the caller or its address exceeds the
    /// rate limit, or the token cannot be checked.
    pub async fn of(platform: &Platform, parts: &Parts) -> Result<Self, Problem> {
        if let Some(approved) = parts.extensions.get::<Approval>() {
            return Ok(approved.caller.clone());
        }
        let caller = match Self::identify(platform, &parts.headers).await {
            Err(problem) if problem.status == StatusCode::UNAUTHORIZED || problem.code == ROOT_UNREADABLE => {
                let source = source(parts);
                if problem.status == StatusCode::UNAUTHORIZED {
                    tracing::warn!(event = "sign_in_refused", source, code = problem.code, "refused");
                }
                // Only rejected requests count against an address, which slows down guessing. A
                // valid token always works: another caller behind the same address must not be able
                // to block the kill switch. So the token is looked up first, which costs a guess one
                // read of the table: less than its invocation. A guess is one while root's token cannot
                // be read, too.
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
        let found = match &platform.provider {
            Some(provider) if secret.contains('.') => Self::person(provider, secret).await,
            _ => Self::holder(platform, &digest).await,
        };
        let problem = match found {
            Err(problem) if problem.code != EXPIRED => problem,
            known => return known,
        };
        // Root comes last: a secret that cannot be read, or that takes its time, keeps no other caller out.
        match is_root(&platform.settings.root_token, &digest).await {
            Ok(true) => Ok(Self::unmade(ROOT.to_owned(), Role::Admin)),
            Err(unreadable) if problem.status == StatusCode::UNAUTHORIZED => {
                Err(root_unreadable(&unreadable))
            }
            Ok(false) | Err(_) => Err(problem),
        }
    }

    /// Builds a caller without a token that somebody created.
    fn unmade(name: String, role: Role) -> Self {
        Self { name, role, made_by: Vec::new(), expires_at: None }
    }

    /// Authenticates a user of the identity provider.
    async fn person(provider: &Provider, secret: &str) -> Result<Self, Problem> {
        match provider.person(secret, clock::now()).await {
            Ok(person) => Ok(Self::unmade(format!("{PERSON}{}", person.subject), person.role)),
            Err(SignInError::Refused(refused)) => Err(refused_person(&refused)),
            Err(SignInError::NoKeys(error)) => {
                tracing::error!(%error, event = "jwks_unreachable", "JSON Web Tokens cannot be checked");
                Err(no_keys(&error))
            }
        }
    }

    /// Authenticates the holder of one of Cutover's own tokens, by the digest of its secret.
    async fn holder(platform: &Platform, digest: &[u8]) -> Result<Self, Problem> {
        match platform.store.token(&hex(digest)).await? {
            Some(token) if token.has_expired(clock::now()) => {
                let hint = "ask an admin to rotate the token (cutover token rotate), and use the new one";
                let detail = format!("the token {} has expired", token.name);
                Err(Problem::new(StatusCode::UNAUTHORIZED, EXPIRED, detail, hint))
            }
            Some(TokenRecord { name, role, made_by, expires_at, .. }) => {
                Ok(Self { name, role, made_by, expires_at })
            }
            None => Err(unauthorized("token_unknown", "the bearer token is unknown or was revoked")),
        }
    }

    /// Checks that the caller has at least this role.
    ///
    /// # Errors
    ///
    /// Returns the problem `role_too_low` if not.
    pub fn must_be(&self, role: Role) -> Result<(), Problem> {
        if self.role >= role {
            return Ok(());
        }
        let detail =
            format!("{} has the role {}, but {} is required", self.name, self.role.as_str(), role.as_str());
        Err(Problem::new(StatusCode::FORBIDDEN, "role_too_low", detail, "ask a user with that role"))
    }
}

/// Returns true if the digest is that of the root token. A root token that was replaced opens nothing
/// 20 s later, even if this process knows it: a match is checked against a recent read. After a mismatch
/// the secret is read again, because this process may not have read a new value yet.
async fn is_root(root: &Secret, digest: &[u8]) -> Result<bool, SecretError> {
    if has_digest(&root.values().await?, digest) {
        return Ok(has_digest(&root.recent().await?, digest));
    }
    Ok(root.again().await?.is_some_and(|newer| has_digest(&newer, digest)))
}

fn has_digest(values: &[String], digest: &[u8]) -> bool {
    let mut long = values.iter().filter(|value| value.len() >= MIN_ROOT_TOKEN);
    // Digests have a fixed length, so the comparison reveals nothing about the length of the secret.
    long.any(|value| bool::from(Sha256::digest(value.as_bytes()).as_slice().ct_eq(digest)))
}

fn root_unreadable(error: &SecretError) -> Problem {
    tracing::error!(%error, "a token that nobody else knows cannot be compared with the root token");
    Problem::unavailable(
        ROOT_UNREADABLE,
        "the token is unknown, unless it is that of root, which could not be read",
    )
}

/// Returns the bearer token of a request.
pub(crate) fn token(headers: &HeaderMap) -> Result<&str, Problem> {
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

/// Returns the source address of a request as seen by the platform, which a client cannot forge.
pub fn source(parts: &Parts) -> &str {
    match parts.extensions.get::<RequestContext>() {
        Some(RequestContext::ApiGatewayV2(context)) => {
            context.http.source_ip.as_deref().unwrap_or("somewhere")
        }
        _ => "somewhere",
    }
}

/// Builds the problem for a caller that exceeds the rate limit.
pub fn too_many(seconds: u16) -> Problem {
    let hint = format!("wait {seconds} s; CUTOVER_RATE_LIMIT sets the requests per second of one caller");
    let mut problem = Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "too_many_requests",
        "this caller exceeds the rate limit",
        hint,
    );
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

fn refused_person(refused: &TokenRejection) -> Problem {
    let hint = "sign in with your identity provider again, and check issuer, audience and role";
    Problem::new(StatusCode::UNAUTHORIZED, "jwt_refused", format!("the token was rejected: {refused}"), hint)
}

fn no_keys(error: &KeysUnavailable) -> Problem {
    let detail = match error {
        KeysUnavailable::Unreachable(_) => "the identity provider's keys could not be read",
        KeysUnavailable::TooOld(_) => {
            "the identity provider's keys are more than 24 hours old and could not be read again"
        }
    };
    Problem {
        hint: "nothing was changed; try again in a few seconds, or use one of Cutover's own tokens"
            .to_owned(),
        ..Problem::unavailable("identity_provider_unavailable", detail)
    }
}
