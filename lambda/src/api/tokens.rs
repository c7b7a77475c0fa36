//! `GET /tokens` and `DELETE /tokens/{id}`: lists the tokens, or revokes one.

use crate::{
    access::auth::Caller,
    api::{
        extract::{Page, Parameters, Segments},
        respond::json_response,
    },
    change::{
        commit::change,
        demand::ChangeRequest,
        operation::Operation,
        proposal::{ChangeResponse, Proposal},
        replies::answered_before,
    },
    clock,
    platform::Platform,
    problem::Problem,
    store::{EmergencyChange, Role, TokenRecord, Write},
};
use axum::{extract::State, http::StatusCode, response::Response};
use serde_json::{Value, json};

/// Returns the id of a token: the beginning of its hash, which reveals nothing about the secret.
pub(super) fn id(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

pub(super) async fn list(
    caller: Caller,
    State(platform): State<Platform>,
    Parameters(page): Parameters<Page>,
) -> Result<Response, Problem> {
    caller.must_be(Role::Admin)?;
    let tokens = platform.store.tokens().await?;
    let now = clock::now();
    let rows = tokens.iter().map(|token| {
        let mut row = shown(token);
        if let Some(fields) = row.as_object_mut() {
            fields.insert("expired".to_owned(), json!(token.has_expired(now)));
        }
        row
    });
    let (rows, next) = page.of(rows, |row| row.get("id").and_then(Value::as_str).unwrap_or_default())?;
    Ok(json_response(StatusCode::OK, &json!({ "tokens": rows, "next_after": next })))
}

/// Returns a token as JSON, without its secret.
pub(super) fn shown(token: &TokenRecord) -> Value {
    json!({
        "id": id(&token.hash),
        "name": token.name,
        "role": token.role,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "made_by": token.made_by,
    })
}

/// Finds a token by its id.
pub(super) async fn find(platform: &Platform, wanted: &str) -> Result<TokenRecord, Problem> {
    let tokens = platform.store.tokens().await?;
    let found = tokens.into_iter().find(|token| id(&token.hash) == wanted);
    found.ok_or_else(|| Problem::not_found("token", wanted))
}

pub(super) async fn revoke(
    State(platform): State<Platform>,
    Segments(wanted): Segments<String>,
    demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    demand.caller.must_be(Role::Admin)?;
    demand.must_have_no_body()?;
    let token = match find(&platform, &wanted).await {
        Ok(token) => token,
        Err(problem) => {
            // The caller's first attempt may have revoked it.
            let changed = answered_before(&platform, &demand).await?;
            return changed.ok_or(problem);
        }
    };
    change(&platform, &demand, Operation::TokenRevoke, |truth| {
        let revoked = json!({ "revoked": id(&token.hash), "name": token.name });
        Ok(Proposal {
            config: truth.config.clone(),
            emergency: EmergencyChange::Keep,
            others: vec![(format!("tokens/{}", token.name), Write::DeleteToken(token.hash.clone()))],
            answer: Box::new(move |_| (StatusCode::OK, revoked.clone())),
        })
    })
    .await
}
