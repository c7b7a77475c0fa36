//! Faults of changes, with the management API in this process: responses that are lost, a table that is too busy, requests
//! that are repeated, and changes that others overtake.

mod api;
mod approvals;
mod canary_commands;
mod canary_delete;
mod clears;
mod emergencies;
mod files;
mod parts;
mod pending;
mod promotions;
mod runs;
mod store;
