//! Counts of isolates: ingestion, and their evaluation.

mod catch_up;
pub mod evaluate;
mod folding;
pub mod ingest;
