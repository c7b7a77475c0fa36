//! GraphQL requests checked before a backend gets them: limits of what a document may ask for, and documents that are
//! trusted.
//!
//! A document comes from strangers, so it is scanned once, without a tree and without recursion, and the scan stops
//! at the first limit. Definitions are then counted together along the fragments that they spread, each once.

mod document;
mod fragments;
mod guard;
mod lexer;
mod limits;
mod refusal;
mod request;
mod scanner;
mod selections;

#[cfg(test)]
mod tests;

pub use document::{Scanned, scan};
pub use guard::{Guard, Introspection, MAX_BATCH, MAX_DOCUMENTS, TrustMode, TrustedDocuments};
pub use limits::{Limit, Limits};
pub use refusal::Refusal;
pub use request::{GuardedRequest, Inspected, MAX_BODY, inspect, response_type};
pub use scanner::Counts;
