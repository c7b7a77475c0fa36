//! Groups of requests that are judged by the same limits: each route with criteria of its own is one,
//! all other routes of the flag together are another.

use crate::{
    canary::{
        measure::Measure,
        plan::{CanaryPlan, Criteria},
        window::BothArms,
    },
    statistics::shared_incident_evidence,
    vocabulary::names::RouteId,
};

/// A group of requests with its limits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group<'p> {
    /// The route; `None` for all routes without criteria of their own.
    pub(crate) route: Option<&'p RouteId>,
    success: &'p Criteria,
    rollback: &'p Criteria,
}

/// A measure of one group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GroupMeasure<'p> {
    pub(crate) group: Group<'p>,
    pub(crate) kind: Measure,
}

impl<'p> Group<'p> {
    pub(crate) fn measures(self) -> [GroupMeasure<'p>; 2] {
        Measure::ALL.map(|kind| self.measure(kind))
    }

    pub(crate) fn measure(self, kind: Measure) -> GroupMeasure<'p> {
        GroupMeasure { group: self, kind }
    }
}

impl GroupMeasure<'_> {
    pub(crate) fn success_limit(&self) -> f64 {
        self.kind.limit(self.group.success)
    }

    pub(crate) fn rollback_limit(&self) -> f64 {
        self.kind.limit(self.group.rollback)
    }

    /// Returns the evidence that legacy shares the incident of the new arm, by the counts of both.
    pub(crate) fn shared_evidence(&self, counts: &BothArms) -> f64 {
        let BothArms { new, legacy } = counts;
        shared_incident_evidence(
            self.kind.against_rollback(legacy),
            legacy.requests,
            self.kind.against_rollback(new),
            new.requests,
            self.rollback_limit(),
        )
    }
}

impl CanaryPlan {
    /// Returns the groups: first the one that is judged by the plan's own limits, then the routes in
    /// the order of their names.
    pub(crate) fn groups(&self) -> impl Iterator<Item = Group<'_>> {
        let routes = self.options.route_criteria.iter().map(|(route, criteria)| Group {
            route: Some(route),
            success: &criteria.success_criteria,
            rollback: &criteria.rollback_criteria,
        });
        std::iter::once(self.rest()).chain(routes)
    }

    /// Returns the group of all routes without criteria of their own.
    pub(crate) fn rest(&self) -> Group<'_> {
        Group { route: None, success: &self.success_criteria, rollback: &self.rollback_criteria }
    }

    /// Returns the measures of all groups.
    pub(crate) fn measures(&self) -> impl Iterator<Item = GroupMeasure<'_>> {
        self.groups().flat_map(Group::measures)
    }

    /// Returns the number of groups.
    pub(crate) fn group_count(&self) -> f64 {
        // At most nine.
        1.0 + self.options.route_criteria.len() as f64
    }
}
