//! Variants of one user in all running experiments, as backends and clients are told them.

use crate::{
    decision::ruleset::Ruleset,
    request::facts::Facts,
    rules::experiment::{compiled::CompiledExperiment, document::Variant},
    vocabulary::{share::PartsPerMillion, timestamp::Timestamp},
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
        self.experiments().filter_map(move |experiment| {
            let variant = experiment.assign(user, facts, now).ok()?;
            Some(Assignment { experiment, variant })
        })
    }

    /// Returns true while the flag that an experiment owns sends all users to legacy: an emergency holds it, it is disabled,
    /// or a brake has lowered it to nothing. Then no variant serves anybody, and none is told. An experiment that only gives
    /// out values is never held.
    pub fn is_held(&self, experiment: &CompiledExperiment) -> bool {
        let flag = experiment.owned_flag().and_then(|name| self.flag(name.as_str()));
        flag.is_some_and(|flag| {
            let is_braked =
                || flag.limit().is_some_and(|limit| !limit.enabled || limit.rollout == PartsPerMillion::ZERO);
            flag.emergency() || !flag.enabled || is_braked()
        })
    }
}

/// Variants of a user as values of the header `X-Test-Group`: `EXPERIMENT=VARIANT, ...`, or nothing if there are none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TestGroups {
    /// Those that backends are told.
    pub of_backend: String,
    /// Those that the client is told: of experiments with [`send_to_client`](CompiledExperiment::send_to_client).
    pub of_client: String,
}

impl TestGroups {
    /// Removes all variants, and keeps the memory for the next ones.
    pub fn clear(&mut self) {
        self.of_backend.clear();
        self.of_client.clear();
    }

    /// Appends a variant.
    pub fn add(&mut self, assignment: &Assignment<'_>) {
        append(assignment, &mut self.of_backend);
        if assignment.experiment.send_to_client {
            append(assignment, &mut self.of_client);
        }
    }
}

fn append(Assignment { experiment, variant }: &Assignment<'_>, groups: &mut String) {
    let separator = if groups.is_empty() { "" } else { ", " };
    // Writing to a string cannot fail.
    let _ = write!(groups, "{separator}{}={}", experiment.name, variant.key);
}
