//! Measuring the edge: an origin and a load generator that cost less than what they measure.

pub mod adapter;
pub mod edge;
pub mod load;
mod reviews;
