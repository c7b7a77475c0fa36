//! Counts of isolates: ingestion, and their evaluation.

pub mod evaluate;
pub mod ingest;
