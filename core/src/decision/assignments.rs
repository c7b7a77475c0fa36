//! Variants of one user in all running experiments, as backends and clients are told them.

use crate::{
    decision::ruleset::Ruleset,
    request::facts::Facts,
    rules::experiment::{compiled::CompiledExperiment, document::Variant},
    vocabulary::timestamp::Timestamp,
};
use std::fmt::Write;

/// Variant of a user in an experiment.
#[derive(Debug, Clone, Copy)]
pub struct Assignment<'r> {
    /// The experiment.
    pub experiment: &'r CompiledExperiment,
    /// The user's variant.
    pub variant: &'r Variant,
}

impl Ruleset {
    /// Returns the variants of a user, in the order of the experiments' names, without those in which the request takes no
    /// part. They are where the user belongs; an emergency or a list may still serve the request by the other arm.
    pub fn assignments<'r>(
        &'r self,
        user: Option<&str>,
        facts: &Facts<'_>,
        now: Timestamp,
    ) -> impl Iterator<Item = Assignment<'r>> {
        self.experiments.iter().filter_map(move |experiment| {
            let variant = experiment.assign(user, facts, now).ok()?;
            Some(Assignment { experiment: experiment.as_ref(), variant })
        })
    }

    /// Appends the variants of a user for the header `X-Test-Group` of requests: `EXPERIMENT=VARIANT, ...`; nothing if there
    /// are none.
    pub fn test_groups(&self, user: Option<&str>, facts: &Facts<'_>, now: Timestamp, groups: &mut String) {
        append(self.assignments(user, facts, now), groups);
    }

    /// Appends the variants that a client is told, as [`test_groups`](Self::test_groups) does: only those of experiments
    /// with [`send_to_client`](CompiledExperiment::send_to_client).
    pub fn client_test_groups(
        &self,
        user: Option<&str>,
        facts: &Facts<'_>,
        now: Timestamp,
        groups: &mut String,
    ) {
        let is_told = |assignment: &Assignment<'_>| assignment.experiment.send_to_client;
        append(self.assignments(user, facts, now).filter(is_told), groups);
    }
}

fn append<'r>(assignments: impl Iterator<Item = Assignment<'r>>, groups: &mut String) {
    let mut separator = "";
    for Assignment { experiment, variant } in assignments {
        // Writing to a string cannot fail.
        let _ = write!(groups, "{separator}{}={}", experiment.name, variant.key);
        separator = ", ";
    }
}
