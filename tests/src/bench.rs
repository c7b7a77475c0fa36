//! Benchmarks of the edge, with an origin and a load generator that cost less than the edge, and the
//! calibration of the tests of a canary.

pub mod adapter;
pub mod calibration;
pub mod edge;
pub mod load;
mod reviews;
