//! Benchmarks of the edge, with an origin and a load generator that cost less than the edge, and the
//! calibration of the tests of a canary; benchmarks of the functions, by themselves and under a fleet.

pub mod adapter;
pub mod calibration;
mod capacity;
pub mod edge;
pub mod fleet;
mod function;
pub mod load;
pub mod ofrep;
pub mod pairing;
mod reviews;
pub mod starts;
