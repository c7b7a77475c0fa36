//! The domain of Cutover: everything that is decided, and nothing that is done.
//!
//! This crate is pure. It performs no I/O, reads no clock, draws no randomness and awaits nothing: time,
//! identifiers and request facts come in as arguments. The same functions run in the Worker, in the
//! management functions, in the command line and in the tests, so that an answer given in one place is the
//! answer everywhere.

pub mod adapter;
pub mod batch;
pub mod bucket;
#[cfg(feature = "config")]
pub mod canary;
pub mod compare;
pub mod condition;
#[cfg(feature = "config")]
pub mod config;
pub mod decide;
pub mod emergency;
pub mod experiment;
pub mod facts;
pub mod flag;
pub mod histogram;
pub mod identity;
pub mod json;
pub mod names;
pub mod origin;
pub mod plan;
pub mod rate;
pub mod route;
pub mod ruleset;
#[cfg(feature = "signature")]
pub mod signature;
pub mod snapshot;
pub mod sorted;
pub mod statistics;
pub mod timestamp;

pub use bucket::{Bucket, Purpose};
pub use decide::{Arm, Decision, Reason, decide, decide_flag};
pub use emergency::Emergency;
pub use facts::Facts;
pub use flag::Flag;
pub use names::{AdapterName, ExperimentName, FlagName, OriginName, RouteId, RunId};
pub use origin::Origin;
pub use rate::PartsPerMillion;
pub use route::Route;
pub use ruleset::Ruleset;
pub use snapshot::{Revision, Snapshot};
pub use timestamp::Timestamp;
