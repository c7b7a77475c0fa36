//! `POST /tokens/{id}/rotate`: creates a new secret for the same name and role. The old one remains
//! valid for a grace period, so that its user can switch without a gap.

use crate::{
    access::auth::Caller,
    api::{
        create_token::{makers, new_secret, with_secret},
        extract::Segments,
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
use axum::{extract::State, http::StatusCode};
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
    Segments(wanted): Segments<String>,
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
    let made_by = makers_of_both(&old, &demand.caller);
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

/// Returns the creators of a rotated token: those of the old one, and the caller with its creators, because
/// they know the new secret, or may.
fn makers_of_both(old: &TokenRecord, caller: &Caller) -> Vec<String> {
    let mut made_by = old.made_by.clone();
    for maker in makers(caller) {
        if maker != old.name && !made_by.contains(&maker) {
            made_by.push(maker);
        }
    }
    made_by
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotated_token_keeps_its_makers_and_gets_another_one() {
        let old = TokenRecord {
            hash: String::new(),
            name: "bob".to_owned(),
            role: Role::Operator,
            created_at: Timestamp::from_millis(0),
            expires_at: None,
            made_by: vec!["ann".to_owned()],
        };
        let made_by = |name: &str, makers: &[&str]| {
            let made_by = makers.iter().map(|maker| (*maker).to_owned()).collect();
            let caller = Caller { name: name.to_owned(), role: Role::Admin, made_by, expires_at: None };
            makers_of_both(&old, &caller)
        };
        assert_eq!(made_by("root", &[]), ["ann"]);
        assert_eq!(made_by("ann", &[]), ["ann"]);
        assert_eq!(made_by("eve", &["mallory", "ann"]), ["ann", "mallory", "eve"]);
        assert_eq!(made_by("bob", &["ann"]), ["ann"], "who rotates their own token has not made it");
    }
}
