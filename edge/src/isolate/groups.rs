//! The variants of a user, as the backend and the client of a request are told them, and the ticket by which its outcome is
//! counted for them.

use crate::{
    counting::{UserEvent, experiments::EventResult, tickets::Member},
    isolate::Isolate,
};
use cutover_core::{
    Arm, Decision, Facts, Reason, Ruleset, Timestamp,
    decision::{assignments::Assignment, decide::identity_on, ruleset::AdapterChoice},
    rules::experiment::compiled::{CompiledExperiment, Outside},
};

/// A request with its decision.
#[derive(Clone, Copy)]
struct Decided<'d> {
    rules: &'d Ruleset,
    decision: &'d Decision<'d>,
    facts: &'d Facts<'d>,
    /// Milliseconds since 1970.
    now: i64,
}

impl Isolate {
    /// Notes the variants of a decision's user for the header `X-Test-Group`, without those of experiments that are held: by
    /// the rules, or because this isolate sends nobody of their flags to the new arm. Returns the number of the
    /// ticket by which experiments count the request; 0 if none does.
    pub(super) fn note_experiments(
        &self,
        rules: &Ruleset,
        decision: &Decision<'_>,
        facts: &Facts<'_>,
        now: i64,
    ) -> u32 {
        let decided = Decided { rules, decision, facts, now };
        let mut groups = self.groups.borrow_mut();
        groups.clear();
        let mut members = self.members.borrow_mut();
        members.clear();
        let user = decision.route.and_then(|route| identity_on(route, facts).user());
        for experiment in rules.experiments() {
            let assigned = experiment.assign(user, facts, Timestamp::from_millis(now));
            let told = assigned.ok().filter(|_| !self.is_held(rules, experiment, now));
            let told = told.map(|variant| Assignment { experiment, variant });
            if let Some(assignment) = &told {
                groups.add(assignment);
            }
            // A condition may hold for one request of a user and not for another one.
            let may_count = assigned.is_ok() || assigned == Err(Outside::Condition);
            if let Some(user) = user.filter(|_| may_count) {
                members.extend(self.member(decided, experiment, user, told));
            }
        }
        if !self.settings.reports || members.is_empty() {
            return 0;
        }
        self.counting.tickets.borrow_mut().issue(self.generation, &members, now)
    }

    /// Returns the user in an experiment; `None` if the request counts nothing for it.
    fn member(
        &self,
        decided: Decided<'_>,
        experiment: &CompiledExperiment,
        user: &str,
        told: Option<Assignment<'_>>,
    ) -> Option<Member> {
        let Decided { rules, decision, facts, .. } = decided;
        let (position, counted) = rules.counted_at(experiment.name.as_str())?;
        let served = told.filter(|assignment| self.is_served(decided, assignment));
        let variant = served.and_then(|assignment| counted.position_of(assignment.variant));
        let route = decision.route_position;
        let selected = route.map(|route| counted.selected(route, facts.method)).unwrap_or_default();
        let counts = variant.is_some() || (!selected.is_empty() && experiment.admits(user));
        counts.then(|| Member { experiment: position, user: counted.key.hash(user), variant, selected })
    }

    /// Returns true if a request is served by a variant, and would be by any other one of its experiment: else the variants
    /// would have users that differ in more than the variant.
    fn is_served(&self, decided: Decided<'_>, assignment: &Assignment<'_>) -> bool {
        let Decided { rules, decision, facts, now } = decided;
        // A tester sees an arm that is nobody's variant.
        let Some(route) = decision.route.filter(|_| facts.forced.is_none()) else { return false };
        let Some(owned) = assignment.experiment.owned_flag() else { return true };
        let flag = route.flag.and_then(|position| rules.flags().get(position));
        if !flag.is_some_and(|flag| flag.name == *owned && flag.limit().is_none()) {
            return false;
        }
        let is_by_variant = decision.verdict.reason == Reason::Experiment
            && assignment.variant.arm == Some(decision.verdict.arm);
        // The new arm could not serve the request, or does not now: then its users are missing.
        is_by_variant
            && (self.breakers.is_empty() || self.breakers.is_served(rules, route.new, now))
            && (decision.verdict.arm == Arm::New
                || !matches!(rules.adapter_for(route, facts), AdapterChoice::Unadapted))
    }

    /// Counts an event that a backend or a client reports of a user, for every experiment with a metric of its name. Returns
    /// true if there is such a metric.
    pub fn note_event(&mut self, user: &str, event: &str, value: Option<u64>, at_ms: i64) -> bool {
        self.note(&UserEvent { user, name: event, value, id: None, at_ms }) != EventResult::Unknown
    }

    /// As [`Isolate::note_event`], for an event that may have an id.
    pub(super) fn note(&mut self, event: &UserEvent<'_>) -> EventResult {
        let Some(rules) = self.rules().filter(|_| self.settings.reports) else {
            return EventResult::Unknown;
        };
        self.counting.note_event(&rules, event)
    }

    /// Returns true while no variant of an experiment serves anybody.
    fn is_held(&self, rules: &Ruleset, experiment: &CompiledExperiment, now: i64) -> bool {
        let Some(flag) = experiment.owned_flag() else { return false };
        let position = rules.flags().binary_search_by(|held| held.name.cmp(flag)).ok();
        self.settings.force_legacy || rules.is_held(experiment) || self.leaves_new(position, now)
    }
}
