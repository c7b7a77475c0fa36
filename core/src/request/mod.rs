//! The facts of one request, the identity of its user, and the events that it reports.

pub mod event;
pub mod facts;
pub mod identity;
pub mod token;
pub mod track;
