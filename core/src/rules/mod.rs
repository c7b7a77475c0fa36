//! Rules, as operators write them: flags, conditions, routes, origins, emergencies, experiments, phases.

pub mod bucket;
pub mod condition;
pub mod emergency;
pub mod experiment;
pub mod flag;
pub mod origin;
pub mod phase;
pub mod route;
