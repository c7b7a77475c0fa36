//! The second person: where an environment asks for one, a change that may move users to the new backend is checked,
//! kept, and made when somebody else agrees to exactly it. What takes users back never waits.

use crate::{
    Platform,
    auth::{self, ROOT},
    change::{Changed, Demand, Proposal, details},
    clock,
    problem::Problem,
    store::{Pending, Request, State},
};
use axum::http::StatusCode;
use cutover_core::config::{Change, Config};
use serde_json::{Value, json};

/// A larger request cannot be kept until somebody agrees, in bytes; DynamoDB holds 400 KB in an item.
const MAX_KEPT: usize = 200_000;

/// What never waits: it takes users back to legacy, or only hands tokens out, whose makers do not count as second
/// persons beside them.
const NEVER_WAITS: [&str; 7] = [
    "flag.disable",
    "emergency.rollback",
    "canary.pause",
    "canary.rollback",
    "token.create",
    "token.revoke",
    "token.rotate",
];

/// Whether a change may move a user to the new backend, or weaken what watches over that.
fn may_expose(action: &str, before: &Config, after: &Config) -> bool {
    if NEVER_WAITS.contains(&action) {
        return false;
    }
    let is_raised = after.feature_flags.iter().any(|(name, flag)| {
        before.feature_flags.get(name).is_none_or(|held| flag.rollout_percentage > held.rollout_percentage)
    });
    action != "flag.rollout" || is_raised
}

/// Lets a change pass, or says what is to be kept until a second person agrees.
pub fn gate(
    platform: &Platform,
    demand: &Demand,
    action: &str,
    before: &State,
    proposal: &Proposal,
    changes: &[Change],
) -> Result<Option<Pending>, Problem> {
    let worked_out = || Value::Array(details(before, proposal, changes));
    if let Some(approved) = &demand.approved {
        if approved.fingerprint == fingerprint(action, &worked_out()) {
            return Ok(None);
        }
        let hint = "withdraw it, look at what changed, and ask for it again";
        let detail = format!("what {} asked for would now change something else", demand.caller.name);
        return Err(Problem::new(StatusCode::CONFLICT, "changed_since_asked", detail, hint));
    }
    let is_nothing = changes.is_empty() && proposal.emergency.is_none() && proposal.others.is_empty();
    // The root token is for the first start and for when nobody else can sign in; the audit log names it.
    let is_free = !platform.settings.two_person || demand.caller.name == ROOT;
    if is_free || is_nothing || !may_expose(action, &before.config, &proposal.config) {
        return Ok(None);
    }
    pending(demand, action, before, changes, worked_out()).map(Some)
}

/// Keeps a change, and says that it waits.
pub async fn keep(platform: &Platform, pending: Pending) -> Result<Changed, Problem> {
    let fingerprint = pending.fingerprint.clone();
    let pending = platform.store.put_pending(pending).await?;
    if pending.fingerprint != fingerprint {
        let detail = "this Idempotency-Key was used for another change, which still waits";
        let hint = "use a new key for every new change, and the same key only to repeat one";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail, hint)
            .in_field("Idempotency-Key"));
    }
    let (id, action, actor) = (&pending.id, &pending.action, &pending.requested_by);
    tracing::info!(event = "change_waits", id, action, actor, "waiting");
    Ok(Changed { status: StatusCode::ACCEPTED, body: shown(&pending), replayed: false })
}

fn pending(
    demand: &Demand,
    action: &str,
    before: &State,
    changes: &[Change],
    details: Value,
) -> Result<Pending, Problem> {
    let body = String::from_utf8_lossy(&demand.body).into_owned();
    if body.len() + details.to_string().len() > MAX_KEPT {
        let detail = format!("a change that waits for a second person has at most {MAX_KEPT} bytes");
        let hint = "divide the file, and apply its parts one after the other";
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail, hint));
    }
    let at = clock::now();
    Ok(Pending {
        id: id(demand)?,
        at,
        expires_at: Pending::end(at),
        requested_by: demand.caller.name.clone(),
        role: demand.caller.role,
        made_by: demand.caller.made_by.clone(),
        reason: demand.reason.clone(),
        action: action.to_owned(),
        objects: changes.iter().map(Change::object).collect(),
        fingerprint: fingerprint(action, &details),
        changes: details,
        revision: before.head.revision,
        request: Request {
            method: demand.method.clone(),
            target: demand.target.clone(),
            content_type: demand.content_type.clone(),
            body,
            if_match: demand.if_match.clone(),
        },
    })
}

/// What people call a change by. The same request with the same Idempotency-Key is the same change.
fn id(demand: &Demand) -> Result<String, Problem> {
    if let Some(key) = demand.idempotency.as_ref().and_then(|(key, _)| key.get(..16)) {
        return Ok(key.to_owned());
    }
    auth::random::<8>()
}

fn fingerprint(action: &str, details: &Value) -> String {
    auth::digest(&[action.as_bytes(), details.to_string().as_bytes()])
}

/// A waiting change, as every answer shows it.
pub fn shown(pending: &Pending) -> Value {
    json!({
        "change": pending.id,
        "waits_for": "a second person",
        "action": pending.action,
        "objects": pending.objects,
        "changes": pending.changes,
        "requested_by": pending.requested_by,
        "requested_at": pending.at,
        "expires_at": pending.expires_at,
        "reason": pending.reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_move_users_to_the_new_backend_waits() {
        let config = |percentage: u32| {
            let text =
                format!("feature_flags: {{ f: {{ enabled: true, rollout_percentage: {percentage} }} }}");
            Config::from_yaml(&text).unwrap()
        };
        let (low, high) = (config(10), config(20));
        for (action, before, after, expected) in [
            ("flag.rollout", &low, &high, true),
            ("flag.rollout", &high, &low, false),
            ("flag.enable", &low, &low, true),
            ("flag.disable", &high, &high, false),
            ("flag.put", &high, &low, true),
            ("config.apply", &low, &high, true),
            ("canary.start", &low, &high, true),
            ("canary.pause", &low, &low, false),
            ("canary.rollback", &high, &low, false),
            ("emergency.rollback", &high, &high, false),
            ("emergency.clear", &low, &low, true),
            ("token.revoke", &low, &low, false),
        ] {
            assert_eq!(may_expose(action, before, after), expected, "{action}");
        }
    }
}
