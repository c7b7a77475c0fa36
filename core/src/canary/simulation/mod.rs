//! Simulation of a step of a canary: users who send requests through the edge, and the whole evaluation
//! of the counts that the edge reports. It is how false rollbacks and times to a rollback are measured.
//! Everything follows from seeds, so a result can be had again on any machine.

mod crowd;
mod isolates;
mod random;
mod scenario;
mod traffic;
mod trial;

pub use self::{
    scenario::{Affected, Bot, Fault, Isolates, OldSnapshots, Scenario, Seeds, Symptom, TimeLimits},
    trial::{Ending, RolledBack, simulate},
};
