//! Adapters in a file: read, checked against the schema of the backend, and compiled to the program
//! that the edge runs.

mod compile;
mod documents;
mod effects;
mod errors;
mod files;
mod graphql;
mod headers;
mod include;
mod kinds;
mod mapping;
mod nesting;
mod prune;
mod routes;
mod source;
mod uses;
mod variables;

pub(super) use compile::read;
pub(super) use files::Files;
pub(super) use source::MAX_BYTES;
pub use source::{Adapter, COMPILED};
