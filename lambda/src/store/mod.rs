//! DynamoDB, the single source of truth: one table with typed keys. Every change of state is one
//! conditional transaction that contains its audit record.

mod audit;
mod batches;
mod canaries;
mod commit;
mod config;
pub(crate) mod error;
mod gaps;
mod get_many;
mod item;
pub mod keys;
mod ledger;
mod page;
mod pending;
mod replies;
mod role;
pub(crate) mod table;
mod tokens;

pub use audit::{
    AuditCheck, AuditFault, AuditLink, AuditPage, AuditPlace, AuditQuery, AuditRecord, ChangesPart,
    KnownRecord,
};
pub use batches::{Arrival, BatchStatus, IsolateCounts, oldest_kept};
pub(crate) use canaries::record_item;
pub use canaries::{HoldState, Notification};
pub use commit::{Commit, CommitError, EmergencyChange, MAX_WRITES, Write};
pub use config::{Head, Meta, RUNS, State};
pub use error::StoreError;
pub use gaps::Gap;
pub use item::NewItem;
pub use ledger::{Cursor, FlagGap, Ledger, LedgerWrite, RouteComparison, Series, StepTimes, WindowCounts};
pub use page::{MAX_PAGE_BYTES, PageRoom};
pub use pending::{Pending, Request};
pub use replies::Reply;
pub use role::Role;
pub use table::Store;
pub use tokens::TokenRecord;
