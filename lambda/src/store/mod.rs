//! DynamoDB, the single source of truth: one table with typed keys. Every change of state is one
//! conditional transaction that contains its audit record.

mod audit;
mod batches;
mod brakes;
mod canaries;
mod commit;
mod config;
pub(crate) mod error;
mod item;
pub mod keys;
mod ledger;
mod pace;
mod pending;
mod replies;
mod role;
pub(crate) mod table;
mod tokens;

pub use audit::{AuditQuery, AuditRecord};
pub use batches::{Arrival, BatchStatus, Gap, IsolateCounts, oldest_kept};
pub use brakes::Brakes;
pub(crate) use canaries::record_item;
pub use canaries::{HoldState, Notification};
pub use commit::{Commit, CommitError, EmergencyChange, MAX_WRITES, Write};
pub use config::{Head, Meta, RUNS, State};
pub use error::StoreError;
pub use item::NewItem;
pub use ledger::{Cursor, FlagGap, Ledger, LedgerWrite, RouteComparison, Series, StepTimes, WindowCounts};
pub use pending::{Pending, Request};
pub use replies::Reply;
pub use role::Role;
pub use table::Store;
pub use tokens::TokenRecord;
