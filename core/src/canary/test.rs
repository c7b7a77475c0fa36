//! The tests of a canary, and breaches that they find.

use serde::{Deserialize, Serialize};

/// Cause of a rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breach {
    /// The test that fired.
    pub test: Test,
    /// The step at which it fired.
    pub step: u32,
}

/// A test of a canary step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// The new arm's error rate is above the rollback limit.
    ErrorsAbove,
    /// More of the new arm's responses exceed the rollback limit than a 95th percentile allows.
    SlowAbove,
    /// The new arm has more than its share of the errors on both arms at the same time.
    ErrorsRelative,
    /// The new arm has more than its share of the slow responses on both arms at the same time.
    SlowRelative,
    /// The new arm's error rate is below the success limit.
    ErrorsBelow,
    /// Fewer of the new arm's responses exceed the success limit than a 95th percentile allows.
    SlowBelow,
    /// More responses differ between the backends than the rollback limit allows.
    MismatchAbove,
    /// Fewer responses differ between the backends than the success limit allows.
    MismatchBelow,
    /// Legacy's error rate is above the rollback limit.
    LegacyErrorsAbove,
    /// More of legacy's responses exceed the rollback limit than a 95th percentile allows.
    LegacySlowAbove,
    /// Users are not split as configured.
    SampleRatio,
    /// The new arm's error rate went above the rollback limit after the last step.
    BakeErrors,
    /// The new arm became slower than the rollback limit after the last step.
    BakeSlow,
}

impl Test {
    /// Returns the message for operators when the test fires.
    pub fn says(self) -> &'static str {
        match self {
            Self::ErrorsAbove => "the new backend's error rate is above the rollback limit",
            Self::SlowAbove => "the new backend's response time is above the rollback limit",
            Self::ErrorsRelative => "the new backend fails more often than the old one at the same time",
            Self::SlowRelative => "the new backend is slow more often than the old one at the same time",
            Self::ErrorsBelow => "the new backend's error rate is proven to be below the success limit",
            Self::SlowBelow => "the new backend's response time is proven to be below the success limit",
            Self::MismatchAbove => {
                "the new backend's responses differ from the old one's more often than the rollback limit allows"
            }
            Self::MismatchBelow => {
                "the new backend's responses are proven to differ less often than the success limit allows"
            }
            Self::LegacyErrorsAbove => "the old backend's error rate is above the rollback limit",
            Self::LegacySlowAbove => "the old backend's response time is above the rollback limit",
            Self::SampleRatio => "users are not split between the backends as configured",
            Self::BakeErrors => {
                "the new backend's error rate went above the rollback limit after the last step"
            }
            Self::BakeSlow => {
                "the new backend's response time went above the rollback limit after the last step"
            }
        }
    }
}
