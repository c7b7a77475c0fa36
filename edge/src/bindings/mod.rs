//! The functions that JavaScript calls, compiled for WebAssembly only.

pub mod caching;
pub mod comparisons;
pub mod entry;
pub mod exchanges;
pub mod failover;
mod groups;
pub mod guards;
pub mod kv;
pub mod limits;
pub mod ofrep;
pub mod own_paths;
mod response;
pub mod state;
pub mod table;
pub mod track;
