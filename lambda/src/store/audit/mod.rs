//! The audit log: a chain of records, one for each revision, written in the same transaction as the
//! change, and one for each act that changes no configuration.
//!
//! No permission tells a new item from one that is written over, so the log shows it instead: each
//! record holds the digest of the record before it, and the head of the configuration holds that of
//! the last one.

mod log;
mod notes;
mod place;
mod record;
mod tail;
mod verify;

pub use log::{AuditPage, AuditQuery, ChangesPart};
pub(super) use notes::{MAX_TRIES, pause};
pub use place::AuditPlace;
pub use record::{AuditLink, AuditRecord};
pub(super) use tail::{AuditTail, MOVED};
pub use verify::{AuditCheck, AuditFault, KnownRecord};
