//! `GET /tokens` and `DELETE /tokens/{id}`.

use super::json_response;
use crate::{
    Platform,
    auth::Caller,
    change::{Changed, Demand, Proposal, change},
    problem::Problem,
    store::{Role, Write},
};
use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use serde_json::{Value, json};

/// What people call a token by: the beginning of its hash, which tells nothing about the secret.
pub(super) fn id(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

pub(super) async fn list(caller: Caller, State(platform): State<Platform>) -> Result<Response, Problem> {
    caller.must_be(Role::Admin)?;
    let tokens = platform.store.tokens().await?;
    let tokens: Vec<Value> = tokens
        .iter()
        .map(|token| {
            json!({
                "id": id(&token.hash),
                "name": token.name,
                "role": token.role,
                "created_at": token.created_at,
            })
        })
        .collect();
    Ok(json_response(StatusCode::OK, &json!({ "tokens": tokens })))
}

pub(super) async fn revoke(
    State(platform): State<Platform>,
    Path(wanted): Path<String>,
    demand: Demand,
) -> Result<Changed, Problem> {
    demand.caller.must_be(Role::Admin)?;
    let tokens = platform.store.tokens().await?;
    let token = tokens
        .into_iter()
        .find(|token| id(&token.hash) == wanted)
        .ok_or_else(|| Problem::not_found("token", &wanted))?;
    change(&platform, &demand, "token.revoke", |truth| {
        let revoked = json!({ "revoked": id(&token.hash), "name": token.name });
        Ok(Proposal {
            config: truth.config.clone(),
            emergency: None,
            others: vec![(format!("tokens/{}", token.name), Write::DeleteToken(token.hash.clone()))],
            answer: Box::new(move |_| (StatusCode::OK, revoked.clone())),
        })
    })
    .await
}
