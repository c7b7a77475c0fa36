//! The parts of a change that is too large for one transaction.

use crate::{
    change::demand::{ChangeRequest, Precondition},
    problem::Problem,
    store::State,
};
use axum::http::StatusCode;
use cutover_core::{Revision, config::Change};

/// The parts of a change that are in force.
#[derive(Debug, Default)]
pub struct Parts {
    /// Changes that are in force.
    pub made: Vec<Change>,
    /// Number of changes in all parts.
    pub total: usize,
    first: Revision,
    last: Revision,
}

impl Parts {
    /// Returns true if no part is in force.
    pub fn is_empty(&self) -> bool {
        self.last == Revision::default()
    }

    /// Adds a part that is in force.
    pub fn add(&mut self, revision: Revision, made: Vec<Change>) {
        if self.is_empty() {
            self.first = revision;
        }
        self.last = revision;
        self.made = made;
    }

    /// Checks that the next part continues the last one, if the request is about one state: the one that its precondition
    /// names, or the one that was approved.
    ///
    /// # Errors
    ///
    /// Returns the problem `changed_meanwhile`, or `changed_since_asked` for an approval, if another change is in between.
    pub fn check_unbroken(&self, demand: &ChangeRequest, before: &State) -> Result<(), Problem> {
        if before.head.revision == self.last {
            return Ok(());
        }
        let detail = "another caller changed the configuration between two parts of this change";
        match (&demand.precondition, &demand.approved) {
            (Precondition::Version(_), _) => Err(Problem::changed_meanwhile(detail)),
            (_, Some(_)) => Err(Problem::new(StatusCode::CONFLICT, "changed_since_asked", detail, "")),
            _ => Ok(()),
        }
    }

    /// Adds to a problem that a part of the change is in force, and the next step.
    pub fn explain(&self, problem: Problem) -> Problem {
        let revisions = if self.first == self.last {
            format!("revision {}", self.last)
        } else {
            format!("revisions {} to {}", self.first, self.last)
        };
        let Problem { detail, .. } = &problem;
        let (made, total) = (self.made.len(), self.total);
        Problem {
            detail: format!("{detail}; {made} of {total} changes are in force, as {revisions}"),
            hint: "GET /audit lists these changes; apply the same file again to make the others, with the new ETag if you \
                   send If-Match"
                .to_owned(),
            ..problem
        }
    }
}
