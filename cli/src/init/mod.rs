//! `cutover init`: a first configuration from the URLs of both backends.

mod command;
mod draft;
mod look;

pub use command::{Options, run};
