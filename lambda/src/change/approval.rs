//! Two-person approval. If an environment requires it, a change that may move users to the new
//! backend is checked, stored, and made once a second person approves exactly that change.
//! Rollbacks never wait.

use crate::{
    access::{auth::ROOT, digest},
    change::{
        demand::ChangeRequest,
        notes,
        operation::Operation,
        parts::objects,
        proposal::{ChangeResponse, Proposal, details_to_approve, emergency_objects, removed_runs},
    },
    clock,
    platform::Platform,
    problem::Problem,
    store::{EmergencyChange, Pending, RUNS, Request, State, StoreError},
};
use axum::http::StatusCode;
use cutover_core::config::{Change, Config};
use serde_json::{Value, json};

/// Longest request that can be stored until approval, with its changes, in bytes; a DynamoDB item
/// is limited to 400 KB.
const MAX_KEPT: usize = 200_000;

/// Operations that never wait for approval: they move users back to legacy or keep them where they
/// are, or only concern tokens, whose creators do not count as second persons for requests made
/// with them, nor for those of each other's tokens ([`crate::access::second_person`]). A restore changes no flag, and until it
/// is made no emergency reaches the isolates that are running. An experiment that ends leaves its users to the flag, whose
/// percentage was approved. A flag with values moves nobody to another backend; while it is disabled it gives all users one
/// value, and meets no prerequisite of another flag.
pub const NEVER_WAITS: [Operation; 12] = [
    Operation::FlagDisable,
    Operation::ValueFlagDisable,
    Operation::EmergencyRollback,
    Operation::CanaryPause,
    Operation::CanaryRollback,
    Operation::ExperimentPause,
    Operation::ExperimentStop,
    Operation::ExperimentDelete,
    Operation::TokenCreate,
    Operation::TokenRevoke,
    Operation::TokenRotate,
    Operation::Restore,
];

/// Returns true if a change may move a user to the new backend, or weaken the protection against
/// that.
fn may_expose(operation: Operation, before: &Config, after: &Config) -> bool {
    if NEVER_WAITS.contains(&operation) {
        return false;
    }
    if [Operation::ExperimentPut, Operation::ExperimentStart].contains(&operation) {
        // Of an experiment without arms a backend hears, and none has other users.
        return after.ab_tests.iter().any(|(name, experiment)| {
            experiment.owned_flag().is_some() && before.ab_tests.get(name) != Some(experiment)
        });
    }
    let is_raised = after.feature_flags.iter().any(|(name, flag)| {
        before.feature_flags.get(name).is_none_or(|held| flag.rollout_percentage > held.rollout_percentage)
    });
    operation != Operation::FlagRollout || is_raised
}

/// Decides if a change may be made now. Returns `None` if so, or the pending change to store until
/// a second person approves it.
///
/// # Errors
///
/// Returns the problem `changed_since_asked` if an approval does not cover the change any more, and
/// `body_too_large` if the change is too large to be stored.
pub fn gate(
    platform: &Platform,
    demand: &ChangeRequest,
    operation: Operation,
    before: &State,
    proposal: &Proposal,
    changes: &[Change],
) -> Result<Option<Pending>, Problem> {
    let details = || Value::Array(details_to_approve(before, proposal, changes, clock::now()));
    if let Some(approved) = &demand.approved {
        let now = details();
        if approved.fingerprint == fingerprint(operation, &now) {
            return Ok(None);
        }
        return Err(changed_since_asked(&demand.caller.name, &approved.changes, &now));
    }
    let is_nothing =
        changes.is_empty() && proposal.emergency == EmergencyChange::Keep && proposal.others.is_empty();
    // The root token is for the first start, and for when no other caller can sign in; the audit
    // log names it.
    let is_free = !platform.settings.two_person || demand.caller.name == ROOT;
    if is_free || is_nothing || !may_expose(operation, &before.config, &proposal.config) {
        return Ok(None);
    }
    let objects = objects_to_approve(operation, before, proposal, changes);
    pending(demand, operation, before, objects, details()).map(Some)
}

/// Builds the problem for an approval that does not cover the change any more, with the details that only one of both has.
fn changed_since_asked(requester: &str, asked: &Value, now: &Value) -> Problem {
    let only = |these: &Value, others: &Value| -> Vec<Value> {
        let others = others.as_array().map(Vec::as_slice).unwrap_or_default();
        let these = these.as_array().into_iter().flatten();
        these.filter(|detail| !others.contains(detail)).cloned().collect()
    };
    let difference = json!({ "asked": only(asked, now), "now": only(now, asked) });
    let detail = format!("the change that {requester} requested would now have a different effect");
    let hint = "withdraw the change, look at the difference, and request it again if it is still wanted";
    Problem::new(StatusCode::CONFLICT, "changed_since_asked", detail, hint).with_difference(difference)
}

/// Names the objects that a pending change is about. The run that it would start or change is not one of them: the history of
/// a canary's runs is read from the records of `canary_runs`, and a change that waits is none of its events.
fn objects_to_approve(
    operation: Operation,
    before: &State,
    proposal: &Proposal,
    changes: &[Change],
) -> Vec<String> {
    let mut names: Vec<String> = changes.iter().flat_map(|change| objects(before, change)).collect();
    for run in removed_runs(before, proposal, changes) {
        let name = format!("{RUNS}/{}", run.flag);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.extend(emergency_objects(operation, before, proposal));
    names
}

/// Stores a change that needs approval, and builds the response that it is pending. If the same request of the same caller
/// is pending already, the response is about that one.
///
/// # Errors
///
/// Returns the problem `idempotency_key_reused` if a different change is pending under the same
/// `Idempotency-Key`, or a problem if the store fails.
pub async fn keep(platform: &Platform, pending: Pending) -> Result<ChangeResponse, Problem> {
    if let Some(earlier) = pending_already(platform, &pending).await? {
        return Ok(waits(&earlier));
    }
    let fingerprint = pending.fingerprint.clone();
    let asked = notes::asked(&pending);
    let pending = platform.store.put_pending(pending, &asked).await?;
    if pending.fingerprint != fingerprint {
        let detail = "this Idempotency-Key was used for a different change, which is still pending";
        let hint = "use a new key for every new change, and repeat a key only to retry the same request";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail, hint)
            .in_field("Idempotency-Key"));
    }
    let (id, action, actor) = (&pending.id, &pending.action, &pending.requested_by);
    tracing::info!(event = "change_waits", id, action, actor, "waiting");
    Ok(waits(&pending))
}

/// Builds the response about a change that is pending.
fn waits(pending: &Pending) -> ChangeResponse {
    ChangeResponse { status: StatusCode::ACCEPTED, body: shown(pending), replayed: false }
}

/// Returns the pending change of the same request of the same caller, if it was stored before this one came: two that come at
/// the same time both wait. A request whose `Idempotency-Key` is that of a pending
/// change is left to [`crate::store::Store::put_pending`].
async fn pending_already(platform: &Platform, asked: &Pending) -> Result<Option<Pending>, StoreError> {
    let mut waiting = platform.store.all_pending().await?;
    waiting.retain(|earlier| !earlier.has_expired(asked.at));
    if waiting.iter().any(|earlier| earlier.id == asked.id) {
        return Ok(None);
    }
    Ok(waiting.into_iter().find(|earlier| is_repetition(asked, earlier)))
}

/// Returns true if a caller requests the change of an earlier request, for the same reason and with the same effect.
fn is_repetition(asked: &Pending, earlier: &Pending) -> bool {
    let is_same_effect = asked.fingerprint == earlier.fingerprint && asked.objects == earlier.objects;
    let is_same_caller = asked.requested_by == earlier.requested_by;
    let is_same_reason = asked.reason == earlier.reason;
    is_same_effect && is_same_caller && is_same_reason && json!(asked.request) == json!(earlier.request)
}

fn pending(
    demand: &ChangeRequest,
    operation: Operation,
    before: &State,
    objects: Vec<String>,
    details: Value,
) -> Result<Pending, Problem> {
    let body = String::from_utf8_lossy(&demand.body).into_owned();
    if body.len() + details.to_string().len() > MAX_KEPT {
        let detail =
            format!("the change needs approval and is larger than {MAX_KEPT} bytes, too large to store");
        let hint = "make it in parts: split the file, or enable or release fewer flags at once";
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
        action: operation.as_str().to_owned(),
        objects,
        fingerprint: fingerprint(operation, &details),
        changes: details,
        revision: before.head.revision,
        request: Request {
            method: demand.method.clone(),
            target: demand.target.clone(),
            content_type: demand.content_type.clone(),
            body,
            if_match: demand.if_match.clone(),
        },
        reply_key: demand.idempotency.clone(),
    })
}

/// Returns the id of a change. The same request with the same `Idempotency-Key` has the same id.
fn id(demand: &ChangeRequest) -> Result<String, Problem> {
    if let Some(key) = demand.idempotency.as_ref().and_then(|reply| reply.key.get(..16)) {
        return Ok(key.to_owned());
    }
    digest::random::<8>()
}

fn fingerprint(operation: Operation, details: &Value) -> String {
    digest::digest(&[operation.as_str().as_bytes(), details.to_string().as_bytes()])
}

/// Returns a pending change as JSON, in the form that every response uses.
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
        let experiment = |fields: &str| {
            let text = format!(
                "feature_flags: {{ f: {{ enabled: true }} }}
experiments:
  e: {{ name: E, {fields}, variants: [{{ key: a, name: A, arm: legacy, traffic_percentage: 50 }},
       {{ key: b, name: B, arm: new, traffic_percentage: 50 }}] }}"
            );
            Config::from_yaml(&text).unwrap()
        };
        let (draft, running) = (experiment("flag: f, state: draft"), experiment("flag: f"));
        let wider = experiment("flag: f, description: other");
        let mut values = running.clone();
        values.ab_tests.values_mut().for_each(|experiment| {
            experiment.variants.iter_mut().for_each(|variant| variant.arm = None);
        });
        for (operation, before, after, expected) in [
            (Operation::FlagRollout, &low, &high, true),
            (Operation::FlagRollout, &high, &low, false),
            (Operation::FlagEnable, &low, &low, true),
            (Operation::FlagDisable, &high, &high, false),
            (Operation::FlagPut, &high, &low, true),
            (Operation::ValueFlagPut, &low, &low, true),
            (Operation::ValueFlagDisable, &low, &low, false),
            (Operation::SegmentPut, &low, &low, true),
            (Operation::ConfigApply, &low, &high, true),
            (Operation::CanaryStart, &low, &high, true),
            (Operation::CanaryPause, &low, &low, false),
            (Operation::CanaryRollback, &high, &low, false),
            (Operation::ExperimentPut, &low, &draft, false),
            (Operation::ExperimentPut, &draft, &running, true),
            (Operation::ExperimentPut, &running, &wider, true),
            (Operation::ExperimentPut, &running, &draft, false),
            (Operation::ExperimentPut, &draft, &values, false),
            (Operation::ExperimentStart, &draft, &running, true),
            (Operation::ExperimentStart, &draft, &values, false),
            (Operation::ExperimentPause, &running, &draft, false),
            (Operation::ExperimentStop, &running, &draft, false),
            (Operation::ExperimentDelete, &draft, &low, false),
            (Operation::EmergencyRollback, &high, &high, false),
            (Operation::EmergencyClear, &low, &low, true),
            (Operation::TokenRevoke, &low, &low, false),
            (Operation::Restore, &low, &low, false),
        ] {
            assert_eq!(may_expose(operation, before, after), expected, "{operation:?}");
        }
    }
}
