//! Logs, traces and the boundaries at which they begin.

pub mod circuit;
pub mod hex;
pub mod request;
pub mod telemetry;
pub mod tick;
