//! Counts of isolates: ingestion, and their evaluation.

mod account;
pub mod evaluate;
mod fold;
pub mod ingest;
pub mod packing;
mod reader;
mod roll;
