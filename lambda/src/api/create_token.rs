//! `POST /tokens`: a token for a person or a machine. Its secret is in this answer and nowhere else.

use crate::{
    Platform, auth,
    change::{Changed, Demand, Proposal, change},
    clock,
    problem::Problem,
    store::{Role, TokenRecord, Write},
};
use axum::{extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    name: String,
    role: Role,
}

pub(super) async fn handle(State(platform): State<Platform>, mut demand: Demand) -> Result<Changed, Problem> {
    demand.caller.must_be(Role::Admin)?;
    // The answer holds a secret, which must not be stored.
    demand.idempotency = None;
    let body: Body = demand.shape()?;
    let name = body.name.trim().to_owned();
    if name.is_empty() || name.len() > 128 || name == auth::ROOT || name.chars().any(char::is_control) {
        let hint = "write who uses the token, in 1 to 128 characters; root is taken";
        return Err(Problem::invalid("name", format!("{name:?} cannot name a token"), hint));
    }
    let mut bits = [0_u8; 32];
    getrandom::fill(&mut bits)
        .map_err(|_| Problem::unavailable("no_randomness", "the function has no source of randomness"))?;
    let secret = format!("ctv_{}", auth::hex(&bits));
    let record =
        TokenRecord { hash: auth::token_hash(&secret), name, role: body.role, created_at: clock::now() };
    let changed = change(&platform, &demand, "token.create", |truth| {
        let record = record.clone();
        Ok(Proposal {
            config: truth.config.clone(),
            emergency: None,
            others: vec![(format!("tokens/{}", record.name), Write::PutToken(record.clone()))],
            answer: Box::new(move |_| {
                let body = json!({
                    "id": super::tokens::id(&record.hash),
                    "name": record.name,
                    "role": record.role,
                    "created_at": record.created_at,
                });
                (StatusCode::CREATED, body)
            }),
        })
    });
    let mut changed = changed.await?;
    if let Some(fields) = changed.body.as_object_mut() {
        fields.insert("token".to_owned(), json!(secret));
    }
    Ok(changed)
}
