//! Publishing the snapshot to Workers KV, and repairing what is not published.

pub mod kv;
pub mod publish;
pub mod reconcile;
