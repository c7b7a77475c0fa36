//! Making a change: read the truth, propose, commit on the condition that nobody was faster, publish. Every
//! mutation of the API goes through here, so that each has its audit record, its revision and its answer.

use crate::{
    Platform, approval, auth,
    auth::{Approved, Caller},
    clock,
    problem::Problem,
    store::{AuditRecord, Commit, CommitError, MAX_WRITES, Meta, Reply, State, Write},
};
use axum::http::StatusCode;
use cutover_core::{
    Emergency, Revision, Timestamp,
    config::{Change, Config, diff},
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long a change is tried against others that are faster.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a request asks for besides the change itself.
#[derive(Debug, Clone)]
pub struct Demand {
    /// Who.
    pub caller: Caller,
    /// Why, if it was said.
    pub reason: Option<String>,
    /// What the caller has seen.
    pub precondition: Precondition,
    /// The key under which the answer is remembered, and the hash of the request.
    pub idempotency: Option<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The body's media type, in lower case and without parameters.
    pub content_type: String,
    /// The method.
    pub method: String,
    /// The path below `/api/migration`, and the query.
    pub target: String,
    /// `If-Match`, as it was sent.
    pub if_match: Option<String>,
    /// Who agreed to it, where it waited for a second person.
    pub approved: Option<Approved>,
}

/// `If-Match` and `If-None-Match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// None was sent: the last writer wins.
    None,
    /// The object must exist.
    Exists,
    /// The object must not exist.
    Absent,
    /// The object must have this version.
    Version(Revision),
}

impl Precondition {
    /// Holds a version against what the caller has seen.
    pub fn check(&self, what: &str, version: Option<Revision>) -> Result<(), Problem> {
        let refused = match (self, version) {
            (Precondition::None, _) | (Precondition::Exists, Some(_)) | (Precondition::Absent, None) => {
                return Ok(());
            }
            (Precondition::Version(seen), Some(version)) if *seen == version => return Ok(()),
            (Precondition::Absent, Some(version)) => format!("{what} exists already, at version {version}"),
            (_, None) => format!("{what} does not exist"),
            (_, Some(version)) => format!("{what} was changed meanwhile and is at version {version}"),
        };
        Err(Problem::changed_meanwhile(refused))
    }
}

/// What shall be true after a change.
pub struct Proposal {
    /// The configuration.
    pub config: Config,
    /// The emergency; `None` leaves it as it is.
    pub emergency: Option<Option<Emergency>>,
    /// Writes outside the configuration, with the name of the object for the audit log.
    pub others: Vec<(String, Write)>,
    /// The answer, given how the change turned out.
    #[expect(clippy::type_complexity, reason = "one function, named by its field")]
    pub answer: Box<dyn Fn(&Outcome<'_>) -> (StatusCode, Value) + Send>,
}

/// How a change turned out.
#[derive(Debug)]
pub struct Outcome<'a> {
    /// The revision; the one before where there was nothing to change.
    pub revision: Revision,
    /// The moment of the change.
    pub at: Timestamp,
    /// The caller's name.
    pub actor: &'a str,
    /// What changed in the configuration.
    pub changes: &'a [Change],
    /// The state before.
    pub before: &'a State,
}

impl Outcome<'_> {
    /// When and by whom an object was last changed, after this change.
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

/// A change that was made, or was found to be made already.
#[derive(Debug)]
pub struct Changed {
    /// The status of the answer.
    pub status: StatusCode,
    /// The body of the answer.
    pub body: Value,
    /// Whether the answer is an earlier one, given again.
    pub replayed: bool,
}

/// Makes a change. `propose` is called again on the new truth whenever somebody else was faster.
pub async fn change(
    platform: &Platform,
    demand: &Demand,
    action: &str,
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
            && let Some(pending) = approval::gate(platform, demand, action, &before, &proposal, &changes)?
        {
            return approval::keep(platform, pending).await;
        }
        // A transaction holds so many; the order keeps the configuration valid after each part.
        let room = MAX_WRITES.saturating_sub(proposal.others.len() + usize::from(demand.approved.is_some()));
        let more = changes.len() > room;
        changes.truncate(room);
        let at = clock::now();
        if changes.is_empty() && proposal.emergency.is_none() && proposal.others.is_empty() {
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
            audit: audit(demand, action, at, &before, &proposal, &changes),
            emergency: proposal.emergency,
            reply,
        };
        match platform.store.commit(commit).await {
            Ok(_) if more => attempt = 0,
            Ok(revision) => {
                tracing::info!(action, revision = revision.0, actor = demand.caller.name, "committed");
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
                        "others changed the configuration again and again while this change was tried";
                    return Err(Problem::unavailable("contended", detail));
                }
                attempt += 1;
                tokio::time::sleep(backoff(attempt)).await;
            }
        }
    }
}

/// A random time up to a limit that doubles: callers that collided once shall not collide again.
fn backoff(attempt: u32) -> Duration {
    let limit = 4_u64 << attempt.min(6);
    Duration::from_millis(getrandom::u64().unwrap_or(limit / 2) % limit)
}

async fn answered_before(platform: &Platform, demand: &Demand) -> Result<Option<Changed>, Problem> {
    let Some((key, fingerprint)) = &demand.idempotency else { return Ok(None) };
    let Some(reply) = platform.store.reply(key).await? else { return Ok(None) };
    if reply.fingerprint != *fingerprint {
        let detail = "this Idempotency-Key was used for another request";
        let hint = "use a new key for every new change, and the same key only to repeat one";
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

/// Publishes, and answers whether it went out. A refusal of KV is no failure of the change: the schedule heals it.
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

/// What a commit writes. The first one takes what was waiting for a second person away, so that it is made once.
fn writes(
    demand: &Demand,
    before: &State,
    proposal: &Proposal,
    changes: &[Change],
    is_first: bool,
) -> Vec<Write> {
    let approved = demand.approved.as_ref().filter(|_| is_first);
    let waited = approved.map(|approved| Write::DeletePending(approved.id.clone()));
    let objects = changes.iter().map(|change| Write::Object {
        section: change.section.to_owned(),
        name: change.name.clone(),
        value: proposal.config.object(change.section, &change.name),
        expected: before.meta(change.section, &change.name).map(|meta| meta.version),
    });
    objects.chain(proposal.others.iter().map(|(_, write)| write.clone())).chain(waited).collect()
}

fn audit(
    demand: &Demand,
    action: &str,
    at: Timestamp,
    before: &State,
    proposal: &Proposal,
    changes: &[Change],
) -> AuditRecord {
    let mut objects: Vec<String> = changes.iter().map(Change::object).collect();
    objects.extend(proposal.others.iter().map(|(object, _)| object.clone()));
    let details = details(before, proposal, changes);
    if let Some(emergency) = &proposal.emergency {
        // An emergency is found in the history of every flag that it holds.
        let flags =
            emergency.as_ref().or(before.head.emergency.as_ref()).and_then(|held| held.flags.as_ref());
        match flags {
            Some(flags) => objects.extend(flags.iter().map(|flag| format!("feature_flags/{flag}"))),
            None => objects.push("emergency".to_owned()),
        }
    }
    let caller = &demand.caller;
    AuditRecord {
        approved_by: demand.approved.as_ref().map(|approved| approved.by.clone()),
        ..AuditRecord::new(at, &caller.name, caller.role, action, demand.reason.clone())
    }
    .with_changes(objects, Value::Array(details))
}

/// What changes, field by field.
pub fn details(before: &State, proposal: &Proposal, changes: &[Change]) -> Vec<Value> {
    let mut details: Vec<Value> = changes.iter().map(|change| json!(change)).collect();
    for (_, write) in &proposal.others {
        // A run is too large to be told whole; what moved in it is not.
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
    if let Some(emergency) = &proposal.emergency {
        details.push(json!({ "emergency": [before.head.emergency, emergency] }));
    }
    details
}

/// The hashes under which an answer is remembered: one for who and which key, one for the request.
pub fn idempotency(caller: &Caller, key: &str, method: &str, target: &str, body: &[u8]) -> (String, String) {
    (
        auth::digest(&[caller.name.as_bytes(), key.as_bytes()]),
        auth::digest(&[method.as_bytes(), target.as_bytes(), body]),
    )
}
