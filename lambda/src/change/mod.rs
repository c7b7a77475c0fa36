//! The way of every change: request, approval, proposal, commit.

pub mod approval;
pub mod commit;
pub mod demand;
pub mod notes;
pub mod operation;
pub mod parts;
mod phases;
pub mod proposal;
pub mod replies;
mod serving;
