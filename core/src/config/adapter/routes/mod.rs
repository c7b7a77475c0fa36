//! Reads the routes of an adapter.

mod backend;
mod claim;
mod pagination;
mod response;
mod route;
mod target;

pub(super) use claim::{Claim, report_conflicts};
pub(super) use route::read;
