//! `POST /emergency/rollback` and `/emergency/clear`: declare or clear an emergency.

use crate::{
    change::{
        commit::change,
        demand::ChangeRequest,
        operation::Operation,
        proposal::{ChangeResponse, Proposal},
    },
    clock,
    platform::Platform,
    problem::Problem,
    store::{EmergencyChange, Role, State as Truth},
};
use axum::{extract::State, http::StatusCode};
use cutover_core::{Emergency, FlagName};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RollbackBody {
    reason: String,
    #[serde(default)]
    flags: Option<Vec<FlagName>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClearBody {
    reason: String,
}

pub(super) async fn rollback(
    State(platform): State<Platform>,
    mut demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    demand.caller.must_be(Role::Operator)?;
    let body: RollbackBody = demand.shape()?;
    let reason = said(&body.reason)?;
    demand.reason = Some(reason.clone());
    if body.flags.as_ref().is_some_and(Vec::is_empty) {
        let hint = "name the flags, or leave the field out to roll back all of them";
        return Err(Problem::invalid("flags", "the list is empty, so nothing would be rolled back", hint));
    }
    let declared =
        Emergency { flags: body.flags, reason, by: demand.caller.name.clone(), since: clock::now() };
    change(&platform, &demand, Operation::EmergencyRollback, |truth| {
        let flags = declared.flags.iter().flatten();
        if let Some(unknown) = flags.into_iter().find(|flag| !truth.config.feature_flags.contains_key(*flag))
        {
            return Err(Problem::not_found("flag", unknown.as_str()).in_field("flags"));
        }
        Ok(with_emergency(truth, Some(widened(truth.head.emergency.as_ref(), &declared))))
    })
    .await
}

pub(super) async fn clear(
    State(platform): State<Platform>,
    mut demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    demand.caller.must_be(Role::Operator)?;
    let body: ClearBody = demand.shape()?;
    demand.reason = Some(said(&body.reason)?);
    change(&platform, &demand, Operation::EmergencyClear, |truth| {
        if truth.head.emergency.is_none() {
            let detail = "no emergency is in force";
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "no_emergency",
                detail,
                "there is nothing to clear",
            ));
        }
        Ok(with_emergency(truth, None))
    })
    .await
}

fn said(reason: &str) -> Result<String, Problem> {
    let reason = reason.trim();
    if reason.is_empty() {
        let hint = "give a short reason; it is shown to everyone who investigates the emergency";
        return Err(Problem::invalid("reason", "the reason is empty", hint));
    }
    // An emergency is never refused for its reason, which stands in the head that everybody reads.
    Ok(reason.get(..reason.floor_char_boundary(MAX_REASON)).unwrap_or(reason).to_owned())
}

/// Longest reason of an emergency that is kept, in bytes.
const MAX_REASON: usize = 500;

/// Merges an emergency with the one in force: a second rollback must never release a flag.
fn widened(held: Option<&Emergency>, declared: &Emergency) -> Emergency {
    let Some(held) = held else { return declared.clone() };
    let flags = match (&held.flags, &declared.flags) {
        (Some(held), Some(declared)) => {
            let mut flags = held.clone();
            flags.extend(declared.iter().filter(|flag| !held.contains(flag)).cloned());
            Some(flags)
        }
        _ => None,
    };
    Emergency { flags, since: held.since, ..declared.clone() }
}

fn with_emergency(truth: &Truth, emergency: Option<Emergency>) -> Proposal {
    Proposal {
        config: truth.config.clone(),
        emergency: emergency.clone().map_or(EmergencyChange::Clear, EmergencyChange::Set),
        others: Vec::new(),
        answer: Box::new(move |_| (StatusCode::OK, json!({ "emergency": emergency }))),
    }
}
