//! Changes: read the state, propose the new one, commit it on condition that the state has not
//! changed, and publish. Every mutation of the API goes through here, so that each has an audit
//! record, a revision and a response.

use crate::{
    Platform, approval, auth,
    auth::{Approved, Caller},
    clock,
    operation::Operation,
    problem::Problem,
    store::{AuditRecord, Commit, CommitError, EmergencyChange, MAX_WRITES, Meta, Reply, State, Write},
};
use axum::http::StatusCode;
use cutover_core::{
    Revision, Timestamp,
    config::{Change, Config, diff},
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Time for which a change is retried after conflicts with other changes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Attributes of a request for a change, other than the change itself.
#[derive(Debug, Clone)]
pub struct Demand {
    /// Authenticated caller.
    pub caller: Caller,
    /// Reason given for the change.
    pub reason: Option<String>,
    /// Version of the object that the caller expects.
    pub precondition: Precondition,
    /// Key under which the response is remembered, and hash of the request.
    pub idempotency: Option<(String, String)>,
    /// Request body.
    pub body: Vec<u8>,
    /// Media type of the body, in lower case and without parameters.
    pub content_type: String,
    /// HTTP method.
    pub method: String,
    /// Path below `/api/migration`, and query.
    pub target: String,
    /// Value of `If-Match`, unchanged.
    pub if_match: Option<String>,
    /// Approval, if the change was pending.
    pub approved: Option<Approved>,
}

/// Precondition of a request, from `If-Match` and `If-None-Match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// No precondition: the last writer wins.
    None,
    /// The object must exist.
    Exists,
    /// The object must not exist.
    Absent,
    /// The object must have this version.
    Version(Revision),
}

impl Precondition {
    /// Checks the precondition against the version of an object; `None` if it does not exist.
    ///
    /// # Errors
    ///
    /// Returns the problem `changed_meanwhile` if the precondition does not hold.
    pub fn check(&self, object: &str, version: Option<Revision>) -> Result<(), Problem> {
        let refused = match (self, version) {
            (Precondition::None, _) | (Precondition::Exists, Some(_)) | (Precondition::Absent, None) => {
                return Ok(());
            }
            (Precondition::Version(seen), Some(version)) if *seen == version => return Ok(()),
            (Precondition::Absent, Some(version)) => format!("{object} already exists, at version {version}"),
            (_, None) => format!("{object} does not exist"),
            (_, Some(version)) => format!("{object} has been changed and is at version {version}"),
        };
        Err(Problem::changed_meanwhile(refused))
    }
}

/// Desired state after a change.
pub struct Proposal {
    /// New configuration.
    pub config: Config,
    /// Effect on the emergency.
    pub emergency: EmergencyChange,
    /// Writes outside the configuration, each with the name of its object for the audit log.
    pub others: Vec<(String, Write)>,
    /// Builds the response from the outcome of the change.
    #[expect(clippy::type_complexity, reason = "a single callback, named by its field")]
    pub answer: Box<dyn Fn(&Outcome<'_>) -> (StatusCode, Value) + Send>,
}

/// Outcome of a change, from which the response is built.
#[derive(Debug)]
pub struct Outcome<'a> {
    /// New revision; the current one if there was nothing to change.
    pub revision: Revision,
    /// Time of the change.
    pub at: Timestamp,
    /// Name of the caller.
    pub actor: &'a str,
    /// Changes of the configuration.
    pub changes: &'a [Change],
    /// State before the change.
    pub before: &'a State,
}

impl Outcome<'_> {
    /// Returns the time and author of an object's last change, including this one.
    pub fn meta(&self, section: &str, name: &str) -> Option<Meta> {
        if self.changes.iter().any(|change| change.section == section && change.name == name) {
            return Some(Meta {
                version: self.revision,
                updated_at: self.at,
                updated_by: self.actor.to_owned(),
            });
        }
        self.before.meta(section, name).cloned()
    }
}

/// The response to a request for a change.
#[derive(Debug)]
pub struct Changed {
    /// HTTP status of the response.
    pub status: StatusCode,
    /// Body of the response.
    pub body: Value,
    /// True if the response to an earlier, identical request is replayed.
    pub replayed: bool,
}

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
    demand: &Demand,
    operation: Operation,
    propose: impl Fn(&State) -> Result<Proposal, Problem>,
) -> Result<Changed, Problem> {
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
        made.extend(changes.iter().cloned());
        let revision = before.head.revision.next();
        let outcome = Outcome { revision, at, actor: &demand.caller.name, changes: &made, before: &before };
        let (status, body) = (proposal.answer)(&outcome);
        let reply = demand.idempotency.clone().filter(|_| !more).map(|(key, fingerprint)| Reply {
            key,
            fingerprint,
            status: status.as_u16(),
            body: with_revision(body.clone(), revision),
            at,
        });
        let commit = Commit {
            from: before.head.revision,
            writes: writes(demand, &before, &proposal, &changes, made.len() == changes.len()),
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

/// Returns a random delay below a limit that doubles, so that callers that collided do not collide
/// again.
fn backoff(attempt: u32) -> Duration {
    let limit = 4_u64 << attempt.min(6);
    Duration::from_millis(getrandom::u64().unwrap_or(limit / 2) % limit)
}

async fn answered_before(platform: &Platform, demand: &Demand) -> Result<Option<Changed>, Problem> {
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
    Ok(Some(Changed { status, body, replayed: true }))
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
) -> Result<Changed, Problem> {
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
    Ok(Changed { status, body, replayed: false })
}

/// Returns the writes of a commit. The first commit of an approved change also removes the pending
/// change, so that it is made only once.
fn writes(
    demand: &Demand,
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

fn audit(
    demand: &Demand,
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

/// Lists the changes of a proposal field by field, for the audit log and for approval.
pub fn details(before: &State, proposal: &Proposal, changes: &[Change]) -> Vec<Value> {
    let mut details: Vec<Value> = changes.iter().map(|change| json!(change)).collect();
    for (_, write) in &proposal.others {
        // A run is too large to list in full, so only its position is listed.
        if let Write::Object { section, name, value: Some(value), .. } = write {
            let part = |field: &str| value.get(field).cloned().unwrap_or_default();
            details.push(json!({
                "section": section,
                "name": name,
                "run": part("id"),
                "state": part("state"),
                "step": part("step"),
            }));
        }
    }
    let emergency = match &proposal.emergency {
        EmergencyChange::Keep => return details,
        EmergencyChange::Set(declared) => Some(declared),
        EmergencyChange::Clear => None,
    };
    details.push(json!({ "emergency": [before.head.emergency, emergency] }));
    details
}

/// Returns the two hashes of a remembered response: one of caller and key, one of the request.
pub fn idempotency(caller: &Caller, key: &str, method: &str, target: &str, body: &[u8]) -> (String, String) {
    (
        auth::digest(&[caller.name.as_bytes(), key.as_bytes()]),
        auth::digest(&[method.as_bytes(), target.as_bytes(), body]),
    )
}
