//! Counts of isolates: ingestion, and their evaluation; the questions of isolates, and the answers.

mod account;
mod accounts;
mod answer;
pub mod ask;
mod checkpoints;
pub mod evaluate;
mod experiment_account;
mod fold;
pub mod ingest;
pub mod packing;
mod reader;
mod refusal;
mod roll;
mod signed;
