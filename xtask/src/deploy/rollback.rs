//! `cargo xtask deploy --rollback`: the Worker and the functions, back at the versions of the release before. A version has the
//! settings of its deployment, and a rollback brings them back with it, so all of it is looked at and shown before any of it is
//! done.

mod functions;
mod moves;
mod worker;

use crate::{
    deploy::target::{Settings, Target},
    run::{Failure, step},
};
use functions::Functions;
use moves::Move;

/// The parts that return to their versions before.
pub struct Rollback {
    worker: Option<Move>,
    functions: Vec<Move>,
}

impl Rollback {
    /// Finds the versions before, and shows them with the settings that differ.
    ///
    /// # Errors
    /// Fails if a part must not return to its version before, or if all of them have.
    pub fn find(target: &Target, settings: &Settings) -> Result<Self, Failure> {
        let Functions { release, moves: functions } = Functions::find(target, settings)?;
        let worker = worker::find(target, &release)?;
        if worker.is_none() && functions.is_empty() {
            return Err(Failure::new(
                "the versions before serve already, and a rollback goes no further",
                "nothing was changed; deploy an earlier commit instead",
            ));
        }
        Ok(Self { worker, functions })
    }

    /// Returns to the versions before: the Worker first, because functions read what an older Worker sends.
    ///
    /// # Errors
    /// Fails at the first part that cannot return; run again, it goes on there.
    pub fn carry_out(&self, target: &Target, settings: &Settings) -> Result<(), Failure> {
        if let Some(worker) = &self.worker {
            worker::carry_out(target, worker)?;
        }
        step("the functions return to their versions before");
        functions::carry_out(target, settings, &self.functions)
    }
}
