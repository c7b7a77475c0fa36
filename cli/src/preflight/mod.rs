//! `cutover preflight`: checks every part of a deployment from outside and suggests fixes. It calls
//! the management API, the Worker, ingest and the origins as their users do. The only thing that it
//! writes is the current snapshot, which it publishes once more.

mod check;
mod control;
mod edge;
mod gate;
mod ingest;
mod migration;
mod options;
mod run;

pub use options::Options;
pub use run::run;
