//! `cutover adapter …`: tools for writing adapters. They run an adapter on this machine with the
//! functions that the Worker runs it with, and need no management API.

mod command;
mod differences;
mod init;
mod origin;
mod pretty;
mod record;
mod refusal;
mod report;
mod schema;
mod selection;
mod test_pairs;
mod trial;
mod try_request;

pub use command::{Command, run};
pub use schema::definition_at;
