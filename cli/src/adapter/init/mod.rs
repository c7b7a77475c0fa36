//! `cutover adapter init`: a first adapter from the OpenAPI document of the old interface and the
//! GraphQL schema of the new one. Whatever it cannot know becomes a comment with DECIDE.

mod candidate;
mod command;
mod generate;
mod graphql;
mod inputs;
mod mapping;
mod old_schema;
mod openapi;
mod operations;
mod outputs;
mod pagination;
mod path;
mod shapes;
mod slot;
mod words;
mod yaml;

pub use command::{InitOptions, run};
