//! Faults of changes, with the management API in this process: responses that are lost, a table that is too busy, requests
//! that are repeated, changes that others overtake, and reads on condition.

pub(crate) mod api;
mod approvals;
mod canary_commands;
mod canary_delete;
mod clears;
mod conditional_reads;
mod emergencies;
mod files;
mod many_flags;
mod parts;
mod patch;
mod pending;
mod promotions;
mod route_delete;
mod runs;
mod store;
mod values;
