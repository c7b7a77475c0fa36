//! Counts of isolates: ingestion, and their evaluation; the questions of isolates, and the answers.

mod answer;
pub mod ask;
mod catch_up;
pub mod evaluate;
mod folding;
pub mod ingest;
mod packing;
mod refusal;
mod signed;
