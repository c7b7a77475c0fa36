//! Counts and reports of isolates: batches, counts, events of users, histograms; their questions, and the answers.

pub mod answer;
pub mod batch;
pub mod counts;
pub mod event_kinds;
pub mod experiments;
pub mod health;
pub mod histogram;
pub mod label;
pub mod log;
pub mod pace;
pub mod question;
pub mod user_hash;
