//! The control plane: a management API and scheduled functions over DynamoDB, the single source of
//! truth. The document that the edge reads from Workers KV is derived from it, and can be derived
//! again at any time.

pub mod access;
pub mod api;
pub mod canary;
pub mod change;
pub mod clock;
pub mod measurement;
pub mod observe;
pub mod platform;
pub mod problem;
pub mod publication;
pub mod settings;
pub mod store;

/// Version of the code, stored in records of decisions.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
