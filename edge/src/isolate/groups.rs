//! The variants of a user, as the backend and the client of a request are told them.

use crate::isolate::Isolate;
use cutover_core::{
    Decision, Facts, Ruleset, Timestamp, decision::decide::identity_on,
    rules::experiment::compiled::CompiledExperiment,
};

impl Isolate {
    /// Notes the variants of a decision's user for the header `X-Test-Group`, without those of experiments that are held: by
    /// the rules, or because this isolate sends nobody of their flags to the new arm.
    pub(super) fn tell_groups(&self, rules: &Ruleset, decision: &Decision<'_>, facts: &Facts<'_>, now: i64) {
        let mut groups = self.groups.borrow_mut();
        groups.clear();
        let user = decision.route.and_then(|route| identity_on(route, facts).user());
        for assignment in rules.assignments(user, facts, Timestamp::from_millis(now)) {
            if !self.is_held(rules, assignment.experiment, now) {
                groups.add(&assignment);
            }
        }
    }

    /// Returns true while no variant of an experiment serves anybody.
    fn is_held(&self, rules: &Ruleset, experiment: &CompiledExperiment, now: i64) -> bool {
        let Some(flag) = experiment.owned_flag() else { return false };
        let position = rules.flags().binary_search_by(|held| held.name.cmp(flag)).ok();
        self.settings.force_legacy || rules.is_held(experiment) || self.leaves_new(position, now)
    }
}
