//! DynamoDB, the single source of truth: one table with typed keys. Every change of state is one
//! conditional transaction that contains its audit record.

mod arrivals;
mod audit;
pub(crate) mod backoff;
mod brakes;
mod braking;
mod canaries;
mod commit;
mod config;
mod create;
mod cursor;
pub(crate) mod error;
mod fleet;
mod get_many;
mod health;
mod item;
pub mod keys;
mod last_emergency;
mod lease;
mod ledger;
mod log;
mod pace;
mod page;
mod pending;
mod phases;
mod replies;
mod retry;
mod role;
mod roll;
pub(crate) mod table;
mod ticks;
mod tokens;
mod transaction;

pub use arrivals::BatchStatus;
pub use audit::{
    AuditCheck, AuditFault, AuditLink, AuditPage, AuditPlace, AuditQuery, AuditRecord, ChangesPart,
    KnownRecord,
};
pub use brakes::Brakes;
pub use canaries::{HoldState, Notification};
pub(crate) use canaries::{experiment_record_items, record_items};
pub use commit::{Commit, EmergencyChange, MAX_WRITES, Write};
pub use config::{Head, Meta, RUNS, State};
pub use cursor::{Cursor, FlagGap, Parked, Totals};
pub use error::{CommitError, StoreError};
pub use fleet::{FleetRevisions, RevisionCount};
pub use health::StoredHealth;
pub use item::NewItem;
pub use last_emergency::LastEmergency;
pub use lease::Lease;
pub use ledger::{
    KnownLedgers, Ledger, LedgerParts, LedgerSubject, LedgerWrite, PackedEvidence, RouteComparison, Series,
    StepTimes, WindowCounts,
};
pub use log::{Arrival, Page, PageError};
pub use page::{MAX_PAGE_BYTES, PageRoom};
pub use pending::{Pending, Request};
pub use phases::{CountedPhase, PHASES};
pub use replies::{Reply, ReplyKey};
pub use role::Role;
pub use roll::{RollPart, StoredRoll};
pub use table::Store;
pub use tokens::TokenRecord;
