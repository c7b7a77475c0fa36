//! Reads the routes of an adapter.

mod backend;
mod pagination;
mod response;
mod route;
mod target;

pub(super) use route::read;
