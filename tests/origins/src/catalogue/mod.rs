//! A catalogue of persons, places and works with two interfaces, shaped like public ones that have both: REST with pages,
//! links and filters, and GraphQL over the same data.

mod data;
mod graphql;
mod rest;

pub use graphql::sdl;
pub(crate) use {graphql::router as graphql_router, rest::router as rest_router};
