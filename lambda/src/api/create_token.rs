//! `POST /tokens`: a token for a person or a machine. Its secret is in this answer and nowhere else.

use crate::{
    Platform, auth,
    change::{Changed, Demand, Proposal, change},
    clock,
    problem::Problem,
    store::{Role, TokenRecord, Write},
};
use axum::{extract::State, http::StatusCode};
use cutover_core::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

/// A token of which nobody said when it ends, ends after this many days.
const DEFAULT_DAYS: i64 = 90;

/// Milliseconds of a day.
const DAY_MS: i64 = 24 * 3_600_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    name: String,
    role: Role,
    /// Left out: 90 days. `null`: never.
    #[serde(default, deserialize_with = "said")]
    expires_at: Option<Option<Timestamp>>,
}

/// Tells `null` from a field that is not there.
fn said<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<Timestamp>>, D::Error> {
    Option::<Timestamp>::deserialize(from).map(Some)
}

pub(super) async fn handle(State(platform): State<Platform>, mut demand: Demand) -> Result<Changed, Problem> {
    demand.caller.must_be(Role::Admin)?;
    // The answer holds a secret, which must not be stored.
    demand.idempotency = None;
    let body: Body = demand.shape()?;
    let name = body.name.trim().to_owned();
    let is_taken = name == auth::ROOT || name.starts_with(auth::PERSON);
    if name.is_empty() || name.len() > 128 || is_taken || name.chars().any(char::is_control) {
        let hint =
            "write who uses the token, in 1 to 128 characters; root and what begins with jwt: are taken";
        return Err(Problem::invalid("name", format!("{name:?} cannot name a token"), hint));
    }
    let now = clock::now();
    let in_days = |days: i64| Timestamp::from_millis(now.millis() + days * DAY_MS);
    let expires_at = body.expires_at.unwrap_or(Some(in_days(DEFAULT_DAYS)));
    if expires_at.is_some_and(|at| at <= now) {
        let hint = "write a moment that is still to come, or null for never";
        return Err(Problem::invalid("expires_at", "the token would have ended already", hint));
    }
    let (secret, hash) = new_secret()?;
    let made_by = makers(&demand);
    let record = TokenRecord { hash, name, role: body.role, created_at: now, expires_at, made_by };
    let changed = change(&platform, &demand, "token.create", |truth| {
        let record = record.clone();
        Ok(Proposal {
            config: truth.config.clone(),
            emergency: None,
            others: vec![(format!("tokens/{}", record.name), Write::PutToken(record.clone()))],
            answer: Box::new(move |_| (StatusCode::CREATED, super::tokens::shown(&record))),
        })
    });
    Ok(with_secret(changed.await?, &secret))
}

/// The makers of a token that this caller makes.
pub(super) fn makers(demand: &Demand) -> Vec<String> {
    let mut made_by = demand.caller.made_by.clone();
    if demand.caller.name != auth::ROOT && !made_by.contains(&demand.caller.name) {
        made_by.push(demand.caller.name.clone());
    }
    made_by
}

/// A new secret of 256 random bits, and the hash under which it is stored.
pub(super) fn new_secret() -> Result<(String, String), Problem> {
    let secret = format!("ctv_{}", auth::random::<32>()?);
    let hash = auth::token_hash(&secret);
    Ok((secret, hash))
}

/// The answer with the secret, which it alone holds.
pub(super) fn with_secret(mut changed: Changed, secret: &str) -> Changed {
    if let Some(fields) = changed.body.as_object_mut() {
        fields.insert("token".to_owned(), Value::String(secret.to_owned()));
        fields.insert("shown".to_owned(), json!("once; keep it now"));
    }
    changed
}
