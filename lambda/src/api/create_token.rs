//! `POST /tokens`: creates a token for a person or a machine. Its secret is in the response and
//! nowhere else.

use crate::{
    access::{
        auth::{Caller, ROOT},
        digest,
    },
    change::{
        commit::change,
        demand::ChangeRequest,
        operation::Operation,
        proposal::{ChangeResponse, Proposal},
    },
    clock,
    platform::Platform,
    problem::Problem,
    store::{EmergencyChange, Role, TokenRecord, Write},
};
use axum::{extract::State, http::StatusCode};
use cutover_core::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

/// Default lifetime of a token, in days, if the request gives none.
const DEFAULT_DAYS: i64 = 90;

/// Names that the audit log uses, or could use, for callers without a token. Also reserved are names with a
/// colon and those that begin with `jwt`, which are for users of the identity provider.
const RESERVED: [&str; 6] = [ROOT, "promote", "evaluate", "ingest", "ask", "management"];

/// Length of a day, in milliseconds.
const DAY_MS: i64 = 24 * 3_600_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    name: String,
    role: Role,
    #[serde(default)]
    expires_at: Expiry,
}

/// Requested expiry of a token.
#[derive(Default)]
enum Expiry {
    /// The field is missing: after [`DEFAULT_DAYS`].
    #[default]
    Unspecified,
    /// The field is `null`: never.
    Never,
    /// The field is a timestamp: at that time.
    At(Timestamp),
}

impl<'de> Deserialize<'de> for Expiry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<Timestamp>::deserialize(deserializer)?.map_or(Self::Never, Self::At))
    }
}

pub(super) async fn handle(
    State(platform): State<Platform>,
    mut demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    demand.caller.must_be(Role::Admin)?;
    // The response contains a secret, which must not be stored.
    demand.idempotency = None;
    let body: Body = demand.shape()?;
    let name = body.name.trim().to_owned();
    if name.is_empty() || name.len() > 128 || name.chars().any(char::is_control) {
        let hint = "use 1 to 128 characters that describe its user";
        return Err(Problem::invalid("name", format!("{name:?} is not a valid name of a token"), hint));
    }
    if is_reserved(&name) {
        let hint = format!(
            "choose another name; reserved are {}, names with a colon, and names that begin with jwt",
            RESERVED.join(", ")
        );
        return Err(Problem::invalid("name", format!("the name {name:?} is reserved"), hint));
    }
    let now = clock::now();
    let in_days = |days: i64| Timestamp::from_millis(now.millis() + days * DAY_MS);
    let expires_at = match body.expires_at {
        Expiry::Unspecified => Some(in_days(DEFAULT_DAYS)),
        Expiry::Never => None,
        Expiry::At(time) => Some(time),
    };
    if expires_at.is_some_and(|at| at <= now) {
        let hint = "use a time in the future, or null for never";
        return Err(Problem::invalid("expires_at", "the token would have expired already", hint));
    }
    if platform.store.is_name_taken(&name).await? {
        return Err(Problem::name_taken(&name));
    }
    let (secret, hash) = new_secret()?;
    let made_by = makers(&demand.caller);
    let record = TokenRecord { hash, name, role: body.role, created_at: now, expires_at, made_by };
    let changed = change(&platform, &demand, Operation::TokenCreate, |truth| {
        let record = record.clone();
        Ok(Proposal {
            config: truth.config.clone(),
            emergency: EmergencyChange::Keep,
            others: vec![
                (format!("tokens/{}", record.name), Write::TakeName(record.name.clone())),
                (format!("tokens/{}", record.name), Write::PutToken(record.clone())),
            ],
            answer: Box::new(move |_| (StatusCode::CREATED, super::tokens::shown(&record))),
        })
    });
    Ok(with_secret(changed.await?, &secret))
}

fn is_reserved(name: &str) -> bool {
    let name = name.to_lowercase();
    RESERVED.contains(&name.as_str()) || name.starts_with("jwt") || name.contains(':')
}

/// Returns the creators of a token that this caller creates. Root is left out: it is never a second person,
/// and may create a token for each person.
pub(super) fn makers(caller: &Caller) -> Vec<String> {
    let mut made_by = caller.made_by.clone();
    if caller.name != ROOT && !made_by.contains(&caller.name) {
        made_by.push(caller.name.clone());
    }
    made_by
}

/// Generates a secret of 256 random bits, and the hash under which it is stored.
pub(super) fn new_secret() -> Result<(String, String), Problem> {
    let secret = format!("ctv_{}", digest::random::<32>()?);
    let hash = digest::token_hash(&secret);
    Ok((secret, hash))
}

/// Adds the secret to the response, the only place where it appears.
pub(super) fn with_secret(mut changed: ChangeResponse, secret: &str) -> ChangeResponse {
    if let Some(fields) = changed.body.as_object_mut() {
        fields.insert("token".to_owned(), Value::String(secret.to_owned()));
        fields.insert("shown".to_owned(), json!("once; keep it now"));
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_callers_without_a_token_are_reserved() {
        for name in [
            "root",
            "Root",
            "promote",
            "PROMOTE",
            "evaluate",
            "ingest",
            "ask",
            "management",
            "jwt",
            "jwt:ann",
            "JWT-ann",
            "a:b",
            ":",
        ] {
            assert!(is_reserved(name), "{name}");
        }
        for name in ["ann", "on call", "rooted", "task", "promote-bot", "ann@example.com"] {
            assert!(!is_reserved(name), "{name}");
        }
    }
}
