//! Records of acts that change no configuration: a request that waits for a second person, its end
//! without approval, and a publication by hand.

use crate::{
    access::auth::Caller,
    clock,
    platform::Platform,
    store::{AuditRecord, CommitError, Pending, Role, error::StoreError},
};
use axum::http::StatusCode;
use cutover_core::Timestamp;
use serde_json::{Value, json};

/// Name under which the schedule records that a request has lapsed.
const SCHEDULE: &str = "promote";

/// Fields that name a pending change in the record of its end.
fn named(pending: &Pending) -> Value {
    json!({ "change": pending.id, "operation": pending.action, "requested_by": pending.requested_by })
}

/// Builds the record of a request that waits for approval, with the changes that it would make.
pub fn asked(pending: &Pending) -> AuditRecord {
    let (at, actor) = (pending.at, &pending.requested_by);
    let mut changes = vec![named(pending)];
    match &pending.changes {
        Value::Array(details) => changes.extend(details.iter().cloned()),
        other => changes.push(other.clone()),
    }
    AuditRecord::new(at, actor, pending.role, "change.ask", pending.reason.clone())
        .with_changes(pending.objects.clone(), Value::Array(changes))
}

/// Builds the record of a request that its caller withdrew.
pub fn withdrawn(pending: &Pending, caller: &Caller) -> AuditRecord {
    AuditRecord::new(clock::now(), &caller.name, caller.role, "change.withdraw", None)
        .with_changes(pending.objects.clone(), json!([named(pending)]))
}

/// Builds the record of a publication by hand.
pub fn published_by_hand(caller: &Caller) -> AuditRecord {
    AuditRecord::new(clock::now(), &caller.name, caller.role, "publication.publish", None)
        .with_changes(vec!["publication".to_owned()], json!([]))
}

fn lapsed(pending: &Pending, at: Timestamp) -> AuditRecord {
    AuditRecord::new(at, SCHEDULE, Role::Operator, "change.lapse", None)
        .with_changes(pending.objects.clone(), json!([named(pending)]))
}

/// Records that an approval of a pending change was refused. The refusal stands if that fails.
pub async fn approval_refused(platform: &Platform, caller: &Caller, id: &str, status: StatusCode) {
    if let Err(error) = note_refusal(platform, caller, id, status).await {
        tracing::warn!(%error, id, actor = caller.name, "a refused approval could not be recorded");
    }
}

async fn note_refusal(
    platform: &Platform,
    caller: &Caller,
    id: &str,
    status: StatusCode,
) -> Result<(), StoreError> {
    let Some(pending) = platform.store.pending(id).await? else { return Ok(()) };
    let mut change = named(&pending);
    if let Some(fields) = change.as_object_mut() {
        fields.insert("status".to_owned(), json!(status.as_u16()));
    }
    let record = AuditRecord::new(clock::now(), &caller.name, caller.role, "change.refuse", None)
        .with_changes(pending.objects.clone(), json!([change]));
    platform.store.note(&record).await
}

/// Ends the pending changes that have expired, and records that.
///
/// # Errors
///
/// Fails if the table cannot be read or written.
pub async fn end_lapsed(platform: &Platform) -> Result<(), StoreError> {
    let now = clock::now();
    for pending in platform.store.all_pending().await?.iter().filter(|pending| pending.has_expired(now)) {
        match platform.store.withdraw(&pending.id, &lapsed(pending, now), None).await {
            Ok(()) => {
                let (id, action, actor) = (&pending.id, &pending.action, &pending.requested_by);
                tracing::info!(event = "change_lapsed", id, action, actor, "lapsed");
            }
            // Somebody else has ended it, or was faster; the next tick looks again.
            Err(CommitError::Conflict | CommitError::Store(StoreError::Gone(_))) => {}
            Err(CommitError::Store(error)) => return Err(error),
        }
    }
    Ok(())
}
