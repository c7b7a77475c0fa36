//! Levels of the tests that roll a canary back: a union bound over `alpha_rollback`.

use crate::{canary::plan::CanaryPlan, measurement::event_kinds::EventKinds};

/// Share of each absolute test: errors, and slow responses.
const ABSOLUTE: f64 = 0.1;

/// Share of the test of mismatches. It takes its part of everything, and the others share the rest.
const MISMATCH: f64 = 0.1;

/// Most halvings of a level. No step has as many shared incidents as would make the rest add up.
const MAX_HALVINGS: u32 = 32;

/// Returns the level of a test whose counts began anew so many times within their step: halved each time. The beginning
/// depends on the data, so each has a level of its own, and all of them together have at most twice that of the first.
pub(crate) fn of_beginning(level: f64, number: u32) -> f64 {
    (0..number.min(MAX_HALVINGS)).fold(level, |level, _| level / 2.0)
}

/// Levels of a plan.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Levels {
    alpha: f64,
    rest: f64,
    groups: f64,
}

impl Levels {
    pub(crate) fn of(plan: &CanaryPlan) -> Self {
        let alpha = plan.options.alpha_rollback;
        let has_mismatch = plan.rollback_criteria.max_mismatch_rate.is_some();
        let rest = if has_mismatch { alpha * (1.0 - MISMATCH) } else { alpha };
        Self { alpha, rest, groups: plan.group_count() }
    }

    /// Level of each absolute test of a group. The groups share the level of the test.
    pub(crate) fn absolute(self) -> f64 {
        self.rest * ABSOLUTE / self.groups
    }

    /// Level of the test of mismatches.
    pub(crate) fn mismatch(self) -> f64 {
        self.alpha * MISMATCH
    }

    /// Level of each of the two counts of a kind, brought and minted ids, over the whole step. The
    /// two have half of the kind's level each, and the step half of that.
    pub(crate) fn of_step(self, kind: EventKinds) -> f64 {
        self.of_kind(kind) / 4.0
    }

    /// Level of each of the two counts of a kind in a period, numbered from 0. The sum over all
    /// periods is that of the whole step.
    pub(crate) fn of_period(self, kind: EventKinds, number: u32) -> f64 {
        let period = f64::from(number) + 1.0;
        self.of_kind(kind) / (4.0 * period * (period + 1.0))
    }

    fn of_kind(self, kind: EventKinds) -> f64 {
        let share = match kind {
            EventKinds::ERROR => 0.3,
            EventKinds::SLOW => 0.2,
            _ => 0.1,
        };
        self.rest * share
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        canary::plan::{Criteria, Options, RouteCriteria},
        vocabulary::{names::RouteId, share::PartsPerMillion},
    };

    #[test]
    fn levels_of_all_beginnings_are_at_most_twice_the_first() {
        assert_eq!([0, 1, 3].map(|number| of_beginning(0.04, number)), [0.04, 0.02, 0.005]);
        // The longest step has a beginning every two minutes.
        let sum: f64 = (0..21_600).map(|number| of_beginning(0.01, number)).sum();
        assert!(sum <= 0.020_001, "{sum}");
        assert!(of_beginning(0.01, u32::MAX) > 0.0);
    }

    #[test]
    fn all_levels_together_are_alpha_rollback() {
        let limits = Criteria { max_error_rate: 0.1, max_response_time_p95: 1.0, max_mismatch_rate: None };
        let mut plan = CanaryPlan {
            initial_percentage: PartsPerMillion::of_percent(1),
            promotion_steps: Vec::new(),
            step_duration_minutes: 1.0,
            success_criteria: limits,
            rollback_criteria: limits,
            options: Options::default(),
        };
        let own = RouteCriteria { success_criteria: limits, rollback_criteria: limits };
        for (mismatch, routes) in [(None, 0), (Some(0.01), 0), (None, 1), (Some(0.01), 8)] {
            plan.rollback_criteria.max_mismatch_rate = mismatch;
            let route = |number: u32| (format!("route{number}").parse::<RouteId>().unwrap(), own);
            plan.options.route_criteria = (0..routes).map(route).collect();
            let levels = Levels::of(&plan);
            let of_kind = |kind| {
                let periods: f64 = (0..100_000).map(|number| levels.of_period(kind, number)).sum();
                2.0 * (levels.of_step(kind) + periods)
            };
            let kinds: f64 = EventKinds::ALL.into_iter().map(of_kind).sum();
            let mismatch = mismatch.map_or(0.0, |_| levels.mismatch());
            let sum = kinds + 2.0 * f64::from(1 + routes) * levels.absolute() + mismatch;
            assert!(sum <= 0.01 && sum > 0.009_999, "{sum}");
        }
    }
}
