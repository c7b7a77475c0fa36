//! Changes: read the state, propose the new one, commit it on condition that the state has not
//! changed, and publish. Every mutation of the API goes through here, so that each has an audit
//! record, a revision and a response.

use crate::{
    change::{
        approval,
        demand::ChangeRequest,
        operation::Operation,
        parts::{Part, Parts, check_sizes, objects},
        proposal::{ChangeResponse, Outcome, Proposal, details, emergency_objects},
        replies::{answered_before, marked_unchanged, reply, reply_under, with_revision},
    },
    clock,
    platform::Platform,
    problem::Problem,
    store::{
        AuditRecord, Brakes, Commit, CommitError, EmergencyChange, MAX_WRITES, State, StoreError, Write,
        backoff::backoff,
    },
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

/// Limit of the first pause after a conflict, in milliseconds.
const FIRST_PAUSE_MS: u64 = 4;

/// Longest wait for the publication of a change that ended early.
const PUBLICATION: Duration = Duration::from_secs(5);

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
    change_on(platform, demand, operation, |_| Ok(()), propose).await
}

/// Makes a change that may be too large for one transaction. `precondition` is about the state that its first part is based
/// on: each part changes that state for the next one.
///
/// # Errors
///
/// Returns the problem of `precondition`, and those of [`change`]. If some parts are in force, the problem says so, and they
/// are published.
pub async fn change_on(
    platform: &Platform,
    demand: &ChangeRequest,
    operation: Operation,
    precondition: impl Fn(&State) -> Result<(), Problem>,
    propose: impl Fn(&State) -> Result<Proposal, Problem>,
) -> Result<ChangeResponse, Problem> {
    if let Some(changed) = answered_before(platform, demand).await? {
        return Ok(changed);
    }
    let parts = Parts::default();
    let mut making = Making { platform, demand, operation, precondition, propose, parts };
    let problem = match making.all_parts().await {
        Ok(changed) => return Ok(changed),
        Err(problem) => problem,
    };
    let parts = making.parts;
    if parts.is_empty() && !problem.is_outcome_unknown() {
        return answered_meanwhile(platform, demand, problem).await;
    }
    match tokio::time::timeout(PUBLICATION, platform.publisher.publish()).await {
        Ok(Ok(revision)) => {
            tracing::info!(revision = revision.0, "published after a change that ended early")
        }
        Ok(Err(error)) => tracing::warn!(%error, "a change ended early, and is not published yet"),
        Err(_) => tracing::warn!("a change ended early, and is not published yet"),
    }
    Err(if parts.is_empty() { problem } else { parts.explain(problem) })
}

/// Returns the response to the same request if that was made in the meantime, on another way or by an earlier attempt: the
/// state that refuses this one may be the one that it made.
///
/// # Errors
///
/// Returns the problem if the request was not made.
async fn answered_meanwhile(
    platform: &Platform,
    demand: &ChangeRequest,
    problem: Problem,
) -> Result<ChangeResponse, Problem> {
    let refusals = [StatusCode::NOT_FOUND, StatusCode::CONFLICT, StatusCode::PRECONDITION_FAILED];
    if !refusals.contains(&problem.status) {
        return Err(problem);
    }
    // A failure of this read says nothing about the refusal.
    let answered = answered_before(platform, demand).await.ok().flatten();
    answered.ok_or(problem)
}

/// A change that is being made, part by part.
struct Making<'m, C, P> {
    platform: &'m Platform,
    demand: &'m ChangeRequest,
    operation: Operation,
    precondition: C,
    propose: P,
    parts: Parts,
}

/// Result of an attempt to make a part.
enum Attempt {
    /// The change is complete.
    Complete(ChangeResponse),
    /// The part is in force, and others follow.
    More,
    /// Another change was faster, so nothing was written.
    Conflict,
}

impl<C, P> Making<'_, C, P>
where
    C: Fn(&State) -> Result<(), Problem>,
    P: Fn(&State) -> Result<Proposal, Problem>,
{
    async fn all_parts(&mut self) -> Result<ChangeResponse, Problem> {
        let started = Instant::now();
        let mut conflicts = 0_u32;
        loop {
            match self.next_part().await? {
                Attempt::Complete(changed) => return Ok(changed),
                Attempt::More => conflicts = 0,
                Attempt::Conflict => {
                    if let Some(changed) = answered_before(self.platform, self.demand).await? {
                        return Ok(changed);
                    }
                    if started.elapsed() > PATIENCE {
                        let detail =
                            "other callers kept changing the configuration while this change was being made";
                        return Err(Problem::unavailable("contended", detail));
                    }
                    conflicts += 1;
                    tokio::time::sleep(backoff(FIRST_PAUSE_MS, conflicts)).await;
                }
            }
        }
    }

    async fn next_part(&mut self) -> Result<Attempt, Problem> {
        let (platform, demand, operation) = (self.platform, self.demand, self.operation);
        let before = match platform.store.state().await {
            // It kept moving while it was read.
            Err(StoreError::Restless) => return Ok(Attempt::Conflict),
            read => read?,
        };
        let is_first = self.parts.is_empty();
        if is_first {
            (self.precondition)(&before)?;
        } else {
            self.parts.check_unbroken(demand, &before)?;
        }
        let mut proposal = (self.propose)(&before)?;
        let changes = diff(&before.config, &proposal.config);
        if is_first {
            if !changes.is_empty() {
                rehearse(&before, &proposal.config, &changes)?;
            }
            if let Some(pending) = approval::gate(platform, demand, operation, &before, &proposal, &changes)?
            {
                return approval::keep(platform, pending).await.map(Attempt::Complete);
            }
            self.parts.total = changes.len();
        }
        // An approval removes the pending change, and remembers the response for two callers.
        let beside = proposal.others.len() + if demand.approved.is_some() { 2 } else { 0 };
        let room = MAX_WRITES.saturating_sub(beside);
        let at = clock::now();
        let part = Part::cut(&before, &proposal.config, &changes, room, at)?;
        let more = part.changes.len() < changes.len();
        if more {
            // An emergency ends with the last part: its flags are held until all of them are lowered.
            proposal.emergency = EmergencyChange::Keep;
        }
        let changes = part.changes;
        let (head, epoch) = (before.head.revision, operation.epoch_after(before.head.epoch, at));
        let is_restore = epoch != before.head.epoch;
        let is_nothing = !is_restore
            && changes.is_empty()
            && proposal.emergency == EmergencyChange::Keep
            && proposal.others.is_empty();
        let revision = if is_nothing { head } else { head.next() };
        let made: Vec<Change> = self.parts.made.iter().chain(&changes).cloned().collect();
        let outcome =
            Outcome { revision, epoch, at, actor: &demand.caller.name, changes: &made, before: &before };
        let (status, body) = (proposal.answer)(&outcome);
        // Behind a part that is in force the request as a whole has changed something.
        let body = if is_nothing && is_first { marked_unchanged(body) } else { body };
        let reply = if more { None } else { reply(demand, epoch, status, &body, Some(revision)) };
        if is_nothing {
            if let Some(reply) = reply
                && !platform.store.put_reply(&reply).await?
            {
                // The same request was answered a moment ago.
                return Ok(Attempt::Conflict);
            }
            return finish(platform, status, body, revision).await.map(Attempt::Complete);
        }
        let mut writes = writes(demand, &proposal, part.writes, is_first);
        if let Some(key) = demand.requester_key.as_ref().filter(|_| !more)
            // A repeated request may have found nothing to change, and been answered so.
            && platform.store.reply(&key.key, epoch).await?.is_none()
        {
            writes.push(Write::PutReply(reply_under(key, epoch, status, &body, Some(revision))));
        }
        let commit = Commit {
            from: head,
            epoch,
            // Those of an epoch are for isolates that hold a revision of it.
            brakes: if is_restore {
                Brakes::none_before(revision)
            } else {
                before.brakes_after(&writes, &proposal.emergency)
            },
            writes,
            audit: audit(demand, operation, at, &before, &proposal, &changes),
            emergency: proposal.emergency,
            reply,
            lease: None,
        };
        match platform.store.commit(commit).await {
            Ok(revision) => self.parts.add(revision, made),
            Err(CommitError::Conflict) => {
                refuse_taken_names(platform, &proposal.others).await?;
                return Ok(Attempt::Conflict);
            }
            Err(CommitError::Store(gone @ StoreError::Gone(_))) => {
                // The caller's first attempt may have removed it, and been answered.
                let changed = answered_before(platform, demand).await?;
                return changed.map(Attempt::Complete).ok_or_else(|| gone.into());
            }
            Err(CommitError::Store(error)) => return Err(error.into()),
        }
        if more {
            return Ok(Attempt::More);
        }
        let (action, actor) = (operation.as_str(), &demand.caller.name);
        tracing::info!(action, revision = revision.0, actor, "committed");
        finish(platform, status, body, revision).await.map(Attempt::Complete)
    }
}

/// Checks that a change can be stored, and reads the document that it would publish as the edge does, because an edge refuses
/// a document that it cannot read, and every later one that has the same fault. A fault that was there before refuses nothing:
/// the change may be the one that takes users back.
///
/// # Errors
///
/// Returns a problem if an object is too large to be stored, or the edge could not use the configuration.
pub(crate) fn rehearse(before: &State, config: &Config, changes: &[Change]) -> Result<(), Problem> {
    check_sizes(config, changes)?;
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

/// Refuses a change that can never be made, because another one has taken the name of its token
/// meanwhile.
async fn refuse_taken_names(platform: &Platform, writes: &[(String, Write)]) -> Result<(), Problem> {
    for (_, write) in writes {
        if let Write::TakeName(name) = write
            && platform.store.is_name_taken(name).await?
        {
            return Err(Problem::name_taken(name));
        }
    }
    Ok(())
}

/// Publishes the new state and adds the result to the response. If KV rejects it the change still
/// stands, because the schedule publishes it later.
async fn finish(
    platform: &Platform,
    status: StatusCode,
    body: Value,
    revision: Revision,
) -> Result<ChangeResponse, Problem> {
    let published = platform.publisher.publish().await;
    let mut body = with_revision(body, revision);
    if let Some(fields) = body.as_object_mut() {
        let is_published = published.as_ref().is_ok_and(|published| *published >= revision);
        fields.insert("published".to_owned(), json!(is_published));
        if let Err(error) = published {
            tracing::warn!(%error, revision = revision.0, "committed, but not published yet");
            fields.insert("unpublished_because".to_owned(), json!(error.reason()));
        }
    }
    Ok(ChangeResponse { status, body, replayed: false })
}

/// Returns the writes of a commit. The first commit of an approved change also removes the pending
/// change, so that it is made only once.
fn writes(demand: &ChangeRequest, proposal: &Proposal, mut writes: Vec<Write>, is_first: bool) -> Vec<Write> {
    writes.extend(proposal.others.iter().map(|(_, write)| write.clone()));
    let approved = demand.approved.as_ref().filter(|_| is_first);
    writes.extend(approved.map(|approved| Write::DeletePending(approved.id.clone())));
    writes
}

pub(crate) fn audit(
    demand: &ChangeRequest,
    operation: Operation,
    at: Timestamp,
    before: &State,
    proposal: &Proposal,
    changes: &[Change],
) -> AuditRecord {
    let mut objects: Vec<String> = changes.iter().flat_map(|change| objects(before, change)).collect();
    objects.extend(proposal.others.iter().map(|(object, _)| object.clone()));
    let details = details(before, proposal, changes);
    // An emergency appears in its own history, and in that of every flag that it covers.
    objects.extend(emergency_objects(operation, before, proposal));
    let caller = &demand.caller;
    AuditRecord {
        approved_by: demand.approved.as_ref().map(|approved| approved.by.clone()),
        ..AuditRecord::new(at, &caller.name, caller.role, operation.as_str(), demand.reason.clone())
    }
    .with_changes(objects, Value::Array(details))
}
