//! Reads mappings: shapes of responses, texts with places, and the places of a request that both refer
//! to. A mapping of a GraphQL response is checked step by step against the selection of its operation.

mod checks;
mod context;
mod fields;
mod page_url;
mod paths;
mod places;
mod shared;
mod steps;

pub(super) use context::Context;
