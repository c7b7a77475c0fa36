//! Changes that are waiting for a second person's approval: the original request, and the changes
//! it would make.

use crate::store::{
    AuditRecord, Reply, ReplyKey, Role,
    audit::{MAX_TRIES, pause},
    commit::Write,
    error::{CommitError, StoreError},
    item::{Item, NewItem},
    keys,
    keys::Key,
    table::Store,
};
use cutover_core::{Revision, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Lifetime of a pending change, in milliseconds.
const WAITS_MS: i64 = 24 * 3_600_000;

/// Time after its end for which an item is kept, in seconds: the schedule records that the change has
/// lapsed, and removes it.
const KEPT_SECONDS: u64 = 7 * 24 * 3_600;

/// A change that is waiting for a second person's approval.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pending {
    /// Id of the change.
    pub id: String,
    /// Time of the request.
    pub at: Timestamp,
    /// Time after which the change can no longer be approved.
    pub expires_at: Timestamp,
    /// Name of the caller who requested the change.
    pub requested_by: String,
    /// Role of that caller.
    pub role: Role,
    /// Creators of that caller's token, direct and indirect.
    pub made_by: Vec<String>,
    /// Reason given in the request.
    pub reason: Option<String>,
    /// Requested operation, such as `flag.rollout`.
    pub action: String,
    /// Objects that would change, as `section/name`.
    pub objects: Vec<String>,
    /// Changes that would be made, field by field.
    pub changes: Value,
    /// Revision against which the changes were computed.
    pub revision: Revision,
    /// Hash of action and changes. An approval covers exactly these.
    pub fingerprint: String,
    /// Original request, to be replayed on approval.
    pub request: Request,
    /// Key under which the response to the approved request is remembered for the caller who requested it. A change that was
    /// requested from an earlier version has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_key: Option<ReplyKey>,
}

/// A request as received from the caller.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// HTTP method.
    pub method: String,
    /// Path below `/api/migration`, and query.
    pub target: String,
    /// Media type of the body.
    pub content_type: String,
    /// Body of the request.
    pub body: String,
    /// Value of `If-Match`, if the header was sent.
    pub if_match: Option<String>,
}

impl Pending {
    /// Returns the expiry of a change that is requested now.
    pub fn end(now: Timestamp) -> Timestamp {
        Timestamp::from_millis(now.millis() + WAITS_MS)
    }

    /// Returns true if the change can no longer be approved.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at <= now
    }

    fn read(item: &Item) -> Result<Self, StoreError> {
        item.json("pending")
    }
}

impl Store {
    /// Stores a change until it is approved or expires, together with the record `asked`. Returns the
    /// stored change, which is the earlier one if a change with this id is pending already.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or written.
    pub async fn put_pending(&self, pending: Pending, asked: &AuditRecord) -> Result<Pending, StoreError> {
        let seconds = u64::try_from(pending.expires_at.millis() / 1_000).unwrap_or_default();
        let item = NewItem::new(&Key::pending(&pending.id))
            .number(keys::EXPIRES, seconds + KEPT_SECONDS)
            .json("pending", &pending)?;
        let write = [Write::New(item)];
        for attempt in 0..MAX_TRIES {
            if let Some(earlier) = self.pending(&pending.id).await? {
                return Ok(earlier);
            }
            match self.note_with(asked, &write).await {
                Ok(()) => return Ok(pending),
                Err(CommitError::Conflict) => pause(attempt).await,
                Err(CommitError::Store(error)) => return Err(error),
            }
        }
        Err(StoreError::Restless)
    }

    /// Returns a pending change by its id.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or an item cannot be decoded.
    pub async fn pending(&self, id: &str) -> Result<Option<Pending>, StoreError> {
        self.get(&Key::pending(id)).await?.as_ref().map(Pending::read).transpose()
    }

    /// Returns all pending changes, with those that have expired. One that cannot be decoded is logged and left out: no other
    /// change waits for it.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read.
    pub async fn all_pending(&self) -> Result<Vec<Pending>, StoreError> {
        let mut all = Vec::new();
        for attributes in self.rows(keys::PENDING, " ", "\u{7f}").await? {
            match Item::new(attributes).and_then(|item| Pending::read(&item)) {
                Ok(pending) => all.push(pending),
                Err(error) => tracing::warn!(%error, "a pending change cannot be decoded"),
            }
        }
        Ok(all)
    }

    /// Removes a pending change that was not made, together with the record of its end, and stores the response to
    /// remember with it.
    ///
    /// # Errors
    ///
    /// Fails with [`StoreError::Gone`] if the change is not pending, with [`CommitError::Conflict`] if it is being approved,
    /// the head moves, or there is a response under the same key, and otherwise if the table cannot be read or written.
    pub async fn withdraw(
        &self,
        id: &str,
        record: &AuditRecord,
        reply: Option<&Reply>,
    ) -> Result<(), CommitError> {
        let mut writes = vec![Write::DeletePending(id.to_owned())];
        if let Some(reply) = reply {
            writes.push(Write::New(reply.item()?));
        }
        self.note_with(record, &writes).await
    }
}
