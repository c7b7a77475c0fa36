//! The request for a change: caller, reason, precondition, idempotency key.

use crate::{
    access::{
        auth::{Approval, Caller},
        digest,
    },
    problem::Problem,
    store::{Meta, ReplyKey, State},
};
use cutover_core::Stamp;

/// Attributes of a request for a change, other than the change itself.
#[derive(Debug, Clone)]
pub struct ChangeRequest {
    /// Authenticated caller.
    pub caller: Caller,
    /// Reason given for the change.
    pub reason: Option<String>,
    /// Version of the object that the caller expects.
    pub precondition: Precondition,
    /// Key under which the response is remembered.
    pub idempotency: Option<ReplyKey>,
    /// Key under which it is remembered for the caller who requested the change too, if the change was pending.
    pub requester_key: Option<ReplyKey>,
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
    pub approved: Option<Approval>,
}

impl ChangeRequest {
    /// Checks the precondition against an object: it must be as the caller has seen it. `kind` names it in messages, such as
    /// `flag`.
    ///
    /// # Errors
    ///
    /// Returns the problem `changed_meanwhile` if it is not.
    pub fn must_be_as_seen(
        &self,
        state: &State,
        kind: &str,
        section: &str,
        name: &str,
    ) -> Result<(), Problem> {
        let version = state.meta(section, name).map(Meta::stamp);
        self.precondition.check(&format!("the {kind} {name}"), version)
    }
}

/// Keys under which the response to an approved request is remembered, attached to the replayed request.
#[derive(Debug, Clone)]
pub struct ApprovalKeys {
    /// Key of the request that approves the change.
    pub approver: Option<ReplyKey>,
    /// Key of the request for the change.
    pub requester: Option<ReplyKey>,
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
    Version(Stamp),
}

impl Precondition {
    /// Checks the precondition against the version of an object; `None` if it does not exist.
    ///
    /// # Errors
    ///
    /// Returns the problem `changed_meanwhile` if the precondition does not hold.
    pub fn check(&self, object: &str, version: Option<Stamp>) -> Result<(), Problem> {
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

/// Returns the key of the response to a request with an idempotency key.
pub fn reply_key(caller: &Caller, key: &str, method: &str, target: &str, body: &[u8]) -> ReplyKey {
    ReplyKey {
        key: digest::digest(&[caller.name.as_bytes(), key.as_bytes()]),
        fingerprint: digest::digest(&[method.as_bytes(), target.as_bytes(), body]),
    }
}
