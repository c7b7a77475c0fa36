//! Changes: read the state, propose the new one, commit it on condition that the state has not
//! changed, and publish. Every mutation of the API goes through here, so that each has an audit
//! record, a revision and a response.

use crate::{
    change::{
        approval,
        demand::ChangeRequest,
        operation::Operation,
        proposal::{ChangeResponse, Outcome, Proposal, details},
    },
    clock,
    platform::Platform,
    problem::Problem,
    store::{AuditRecord, Commit, CommitError, EmergencyChange, MAX_WRITES, Reply, State, Write},
};
use axum::http::StatusCode;
use cutover_core::{
    Revision, Ruleset, Timestamp,
    config::{Change, Config, diff},
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Time for which a change is retried after conflicts with other changes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Makes a change. After a conflict with another change, `propose` is called again on the new
/// state.
///
/// # Errors
///
/// Returns the problem of `propose`, or a problem if the change needs an approval that does not
/// match it, the idempotency key was used for a different request, conflicts persist, or the store
/// fails.
pub async fn change(
    platform: &Platform,
    demand: &ChangeRequest,
    operation: Operation,
    propose: impl Fn(&State) -> Result<Proposal, Problem>,
) -> Result<ChangeResponse, Problem> {
    if let Some(changed) = answered_before(platform, demand).await? {
        return Ok(changed);
    }
    let started = Instant::now();
    let mut made: Vec<Change> = Vec::new();
    let mut attempt = 0_u32;
    loop {
        let before = platform.store.state().await?;
        let proposal = propose(&before)?;
        let mut changes = diff(&before.config, &proposal.config);
        if made.is_empty() && !changes.is_empty() {
            rehearse(&before, &proposal.config)?;
        }
        if made.is_empty()
            && let Some(pending) = approval::gate(platform, demand, operation, &before, &proposal, &changes)?
        {
            return approval::keep(platform, pending).await;
        }
        // The size of a transaction is limited; the order of changes keeps the configuration valid
        // after each part.
        let room = MAX_WRITES.saturating_sub(proposal.others.len() + usize::from(demand.approved.is_some()));
        let more = changes.len() > room;
        changes.truncate(room);
        let at = clock::now();
        if changes.is_empty() && proposal.emergency == EmergencyChange::Keep && proposal.others.is_empty() {
            let revision = before.head.revision;
            let outcome =
                Outcome { revision, at, actor: &demand.caller.name, changes: &made, before: &before };
            let (status, body) = (proposal.answer)(&outcome);
            return finish(platform, status, body, revision).await;
        }
        let revision = before.head.revision.next();
        made.extend(changes.iter().cloned());
        let outcome = Outcome { revision, at, actor: &demand.caller.name, changes: &made, before: &before };
        let (status, body) = (proposal.answer)(&outcome);
        let reply = demand.idempotency.clone().filter(|_| !more).map(|(key, fingerprint)| Reply {
            key,
            fingerprint,
            status: status.as_u16(),
            body: with_revision(body.clone(), revision),
            at,
        });
        let writes = writes(demand, &before, &proposal, &changes, made.len() == changes.len());
        let commit = Commit {
            from: before.head.revision,
            brakes: before.brakes_after(&writes, &proposal.emergency),
            writes,
            audit: audit(demand, operation, at, &before, &proposal, &changes),
            emergency: proposal.emergency,
            reply,
        };
        match platform.store.commit(commit).await {
            Ok(_) if more => attempt = 0,
            Ok(revision) => {
                let (action, actor) = (operation.as_str(), &demand.caller.name);
                tracing::info!(action, revision = revision.0, actor, "committed");
                return finish(platform, status, body, revision).await;
            }
            Err(CommitError::Store(error)) => return Err(error.into()),
            Err(CommitError::Conflict) => {
                made.truncate(made.len() - changes.len());
                if let Some(changed) = answered_before(platform, demand).await? {
                    return Ok(changed);
                }
                if started.elapsed() > PATIENCE {
                    let detail =
                        "other callers kept changing the configuration while this change was being made";
                    return Err(Problem::unavailable("contended", detail));
                }
                attempt += 1;
                tokio::time::sleep(backoff(attempt)).await;
            }
        }
    }
}

/// Reads the document that a change would publish as the edge does, because an edge refuses a document that it cannot
/// read, and every later one that has the same fault. A fault that was there before refuses nothing: the change may be
/// the one that takes users back.
///
/// # Errors
///
/// Returns a problem if the edge could not use the configuration.
pub(crate) fn rehearse(before: &State, config: &Config) -> Result<(), Problem> {
    let Err(error) = try_document(config) else { return Ok(()) };
    if try_document(&before.config).is_err() {
        tracing::error!(%error, "the edge cannot use the stored configuration");
        return Ok(());
    }
    let detail = format!("the edge could not use this configuration: {error}");
    let hint = "simplify what the message names; the configuration was not changed";
    Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "snapshot_unusable", detail, hint))
}

fn try_document(config: &Config) -> Result<(), String> {
    let document = config.clone().snapshot(Revision::default(), None).encode();
    let document = document.map_err(|error| error.to_string())?;
    Ruleset::from_document(&document).map(|_| ()).map_err(|error| error.to_string())
}

/// Returns a random delay below a limit that doubles, so that callers that collided do not collide
/// again.
fn backoff(attempt: u32) -> Duration {
    let limit = 4_u64 << attempt.min(6);
    Duration::from_millis(getrandom::u64().unwrap_or(limit / 2) % limit)
}

async fn answered_before(
    platform: &Platform,
    demand: &ChangeRequest,
) -> Result<Option<ChangeResponse>, Problem> {
    let Some((key, fingerprint)) = &demand.idempotency else { return Ok(None) };
    let Some(reply) = platform.store.reply(key).await? else { return Ok(None) };
    if reply.fingerprint != *fingerprint {
        let detail = "this Idempotency-Key was used for a different request";
        let hint = "use a new key for every new change, and repeat a key only to retry the same request";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail, hint)
            .in_field("Idempotency-Key"));
    }
    let published = platform.store.head().await?.published;
    let revision = Revision(reply.body.get("revision").and_then(Value::as_u64).unwrap_or_default());
    let mut body = reply.body;
    if let Some(fields) = body.as_object_mut() {
        fields.insert("published".to_owned(), json!(published >= revision));
    }
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
    Ok(Some(ChangeResponse { status, body, replayed: true }))
}

fn with_revision(mut body: Value, revision: Revision) -> Value {
    if let Some(fields) = body.as_object_mut() {
        fields.insert("revision".to_owned(), json!(revision));
    }
    body
}

/// Publishes the new state and adds the result to the response. If KV rejects it the change still
/// stands, because the schedule publishes it later.
async fn finish(
    platform: &Platform,
    status: StatusCode,
    body: Value,
    revision: Revision,
) -> Result<ChangeResponse, Problem> {
    let published = match platform.publisher.publish().await {
        Ok(published) => published >= revision,
        Err(error) => {
            tracing::warn!(%error, revision = revision.0, "committed, but not published yet");
            false
        }
    };
    let mut body = with_revision(body, revision);
    if let Some(fields) = body.as_object_mut() {
        fields.insert("published".to_owned(), json!(published));
    }
    Ok(ChangeResponse { status, body, replayed: false })
}

/// Returns the writes of a commit. The first commit of an approved change also removes the pending
/// change, so that it is made only once.
fn writes(
    demand: &ChangeRequest,
    before: &State,
    proposal: &Proposal,
    changes: &[Change],
    is_first: bool,
) -> Vec<Write> {
    let approved = demand.approved.as_ref().filter(|_| is_first);
    let pending = approved.map(|approved| Write::DeletePending(approved.id.clone()));
    let objects = changes.iter().map(|change| Write::Object {
        section: change.section.to_owned(),
        name: change.name.clone(),
        value: proposal.config.object(change.section, &change.name),
        expected: before.meta(change.section, &change.name).map(|meta| meta.version),
    });
    objects.chain(proposal.others.iter().map(|(_, write)| write.clone())).chain(pending).collect()
}

pub(crate) fn audit(
    demand: &ChangeRequest,
    operation: Operation,
    at: Timestamp,
    before: &State,
    proposal: &Proposal,
    changes: &[Change],
) -> AuditRecord {
    let mut objects: Vec<String> = changes.iter().map(Change::object).collect();
    objects.extend(proposal.others.iter().map(|(object, _)| object.clone()));
    let details = details(before, proposal, changes);
    if proposal.emergency != EmergencyChange::Keep {
        let emergency = match &proposal.emergency {
            EmergencyChange::Set(declared) => Some(declared),
            EmergencyChange::Keep | EmergencyChange::Clear => before.head.emergency.as_ref(),
        };
        // An emergency appears in the history of every flag that it covers.
        match emergency.and_then(|emergency| emergency.flags.as_ref()) {
            Some(flags) => objects.extend(flags.iter().map(|flag| format!("feature_flags/{flag}"))),
            None => objects.push("emergency".to_owned()),
        }
    }
    let caller = &demand.caller;
    AuditRecord {
        approved_by: demand.approved.as_ref().map(|approved| approved.by.clone()),
        ..AuditRecord::new(at, &caller.name, caller.role, operation.as_str(), demand.reason.clone())
    }
    .with_changes(objects, Value::Array(details))
}
