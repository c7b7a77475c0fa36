//! Ledgers: the aggregated measurements of each flag, with the evidence of its newest run, and the evidence of each experiment's
//! newest phase. A ledger is written together with
//! the positions in the log up to which it is complete, so that folding batches in twice, late or concurrently changes
//! nothing.
//!
//! It is several items: a head, and parts with the series and the comparisons, which are written only if they have changed.
//! The head names the digest of each part, so that a reader knows if it has those of one write.

mod evidence;
mod known;
mod layout;
mod model;
mod read;
mod subject;
mod write;

pub use evidence::PackedEvidence;
pub use known::KnownLedgers;
pub use layout::LedgerParts;
pub use model::{Ledger, RouteComparison, Series, StepTimes, WindowCounts};
pub use subject::LedgerSubject;
pub use write::LedgerWrite;
