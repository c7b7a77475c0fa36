//! The two measures that a plan has limits for: errors, and slow responses.

use crate::{
    canary::{
        plan::{Criteria, SLOW_SHARE},
        test::Test,
        window::ArmCounts,
    },
    measurement::event_kinds::EventKinds,
};

/// A measure with a success limit and a rollback limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Requests that failed.
    Errors,
    /// Requests that were slow.
    Slow,
}

impl Measure {
    pub(crate) const ALL: [Self; 2] = [Self::Errors, Self::Slow];

    /// Returns the measure that has the limits for a kind of event, if there is one.
    pub(crate) fn of(kind: EventKinds) -> Option<Self> {
        match kind {
            EventKinds::ERROR => Some(Self::Errors),
            EventKinds::SLOW => Some(Self::Slow),
            _ => None,
        }
    }

    /// Returns the requests that count against the success limit.
    pub(crate) fn against_success(self, counts: &ArmCounts) -> u64 {
        match self {
            Self::Errors => counts.errors,
            Self::Slow => counts.slow_success,
        }
    }

    /// Returns the requests that count against the rollback limit.
    pub(crate) fn against_rollback(self, counts: &ArmCounts) -> u64 {
        match self {
            Self::Errors => counts.errors,
            Self::Slow => counts.slow_rollback,
        }
    }

    /// Returns the share of requests that the criteria allow.
    pub(crate) fn limit(self, criteria: &Criteria) -> f64 {
        match self {
            Self::Errors => criteria.max_error_rate,
            Self::Slow => SLOW_SHARE,
        }
    }

    /// Returns the test of the whole step against the rollback limit.
    pub(crate) fn above(self) -> Test {
        match self {
            Self::Errors => Test::ErrorsAbove,
            Self::Slow => Test::SlowAbove,
        }
    }

    pub(crate) fn detector(self) -> Test {
        match self {
            Self::Errors => Test::ErrorsDetector,
            Self::Slow => Test::SlowDetector,
        }
    }

    pub(crate) fn shared(self) -> Test {
        match self {
            Self::Errors => Test::SharedErrors,
            Self::Slow => Test::SharedSlow,
        }
    }

    pub(crate) fn below(self) -> Test {
        match self {
            Self::Errors => Test::ErrorsBelow,
            Self::Slow => Test::SlowBelow,
        }
    }

    pub(crate) fn doubt(self) -> Test {
        match self {
            Self::Errors => Test::ErrorsDoubt,
            Self::Slow => Test::SlowDoubt,
        }
    }
}
