//! Counts and reports of isolates: batches, counts, histograms.

pub mod batch;
pub mod counts;
pub mod histogram;
pub mod label;
