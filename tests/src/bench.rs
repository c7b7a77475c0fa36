//! Benchmarks of the edge, with an origin and a load generator that cost less than the edge.

pub mod adapter;
pub mod edge;
pub mod load;
mod reviews;
