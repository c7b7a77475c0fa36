//! Reads mappings: shapes of responses, strings with placeholders, and the places of a request that
//! both refer to. A mapping of a GraphQL response is checked step by step against the selection of
//! its operation.

mod checks;
mod context;
mod fields;
mod places;
mod shared;
mod steps;

pub(super) use context::Context;
