//! `POST /tokens/{id}/rotate`: creates a new secret for the same name and role. The old one remains
//! valid for a grace period, so that its user can switch without a gap.

use crate::{
    api::{
        create_token::{makers, new_secret, with_secret},
        tokens::{find, id, shown},
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
use axum::{
    extract::{Path, State},
    http::StatusCode,
};
use cutover_core::Timestamp;
use serde::Deserialize;
use serde_json::json;

/// Default grace period of the old secret, in seconds.
const DEFAULT_GRACE: i64 = 24 * 3_600;

/// Longest grace period of the old secret, in seconds.
const MAX_GRACE: i64 = 30 * 24 * 3_600;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    /// Grace period of the old secret, in seconds.
    grace_seconds: Option<i64>,
}

pub(super) async fn handle(
    State(platform): State<Platform>,
    Path(wanted): Path<String>,
    mut demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    demand.caller.must_be(Role::Admin)?;
    demand.idempotency = None;
    let body: Body = if demand.body.is_empty() { Body::default() } else { demand.shape()? };
    let grace = body.grace_seconds.unwrap_or(DEFAULT_GRACE);
    if !(0..=MAX_GRACE).contains(&grace) {
        let hint = format!("use 0 to {MAX_GRACE} seconds");
        return Err(Problem::invalid("grace_seconds", format!("{grace} seconds are out of range"), hint));
    }
    let old = find(&platform, &wanted).await?;
    let (secret, hash) = new_secret()?;
    let now = clock::now();
    // The new token gets the same lifetime as the old one had.
    let expires_at = old
        .expires_at
        .map(|end| Timestamp::from_millis(now.millis() + (end.millis() - old.created_at.millis()).max(1)));
    let made_by = makers(&demand);
    let record =
        TokenRecord { hash, name: old.name.clone(), role: old.role, created_at: now, expires_at, made_by };
    let after_grace = Timestamp::from_millis(now.millis() + grace * 1_000);
    let ends = old.expires_at.map_or(after_grace, |end| end.min(after_grace));
    let changed = change(&platform, &demand, Operation::TokenRotate, |truth| {
        let record = record.clone();
        let mut answer = shown(&record);
        if let Some(fields) = answer.as_object_mut() {
            fields.insert("replaces".to_owned(), json!({ "id": id(&old.hash), "expires_at": ends }));
        }
        Ok(Proposal {
            config: truth.config.clone(),
            emergency: EmergencyChange::Keep,
            others: vec![
                (format!("tokens/{}", record.name), Write::PutToken(record)),
                (format!("tokens/{}", old.name), Write::EndToken(old.hash.clone(), ends)),
            ],
            answer: Box::new(move |_| (StatusCode::CREATED, answer.clone())),
        })
    });
    Ok(with_secret(changed.await?, &secret))
}
