//! The tests of a canary.

use serde::{Deserialize, Serialize};

/// A test of a canary step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// The new arm's error rate is above the rollback limit, over the whole step.
    ErrorsAbove,
    /// More of the new arm's responses exceed the rollback limit than a 95th percentile allows, over
    /// the whole step.
    SlowAbove,
    /// The new arm's error rate went above the rollback limit, whatever it was before.
    #[serde(alias = "bake_errors")]
    ErrorsDetector,
    /// The new arm became slower than the rollback limit, whatever it was before.
    #[serde(alias = "bake_slow")]
    SlowDetector,
    /// More users than their share have errors on the new arm.
    ErrorsRelative,
    /// More users than their share have slow responses on the new arm.
    SlowRelative,
    /// More users than their share get status 401 or 403 on the new arm.
    UnauthorizedRelative,
    /// More users than their share get status 404, 405 or 410 on the new arm.
    NotFoundRelative,
    /// More users than their share get another 4xx status on the new arm.
    ClientErrorsRelative,
    /// More users get different responses from the two backends than the rollback limit allows.
    MismatchAbove,
    /// Legacy's errors resemble those of the new arm, not those of a healthy backend.
    #[serde(alias = "legacy_errors_above")]
    SharedErrors,
    /// Legacy's slow responses resemble those of the new arm, not those of a healthy backend.
    #[serde(alias = "legacy_slow_above")]
    SharedSlow,
    /// The new arm's error rate is below the success limit.
    ErrorsBelow,
    /// Fewer of the new arm's responses exceed the success limit than a 95th percentile allows.
    SlowBelow,
    /// Fewer users get different responses from the two backends than the success limit allows.
    MismatchBelow,
    /// The new arm's error rate may have gone above the success limit lately.
    ErrorsDoubt,
    /// The new arm may have become slower than the success limit lately.
    SlowDoubt,
    /// Users are not split as configured.
    SampleRatio,
}

impl Test {
    /// Returns true for a test that proves a success criterion.
    pub(crate) fn is_success(self) -> bool {
        matches!(self, Self::ErrorsBelow | Self::SlowBelow | Self::MismatchBelow)
    }

    /// Returns the message for operators when the test fires.
    pub fn says(self) -> &'static str {
        match self {
            Self::ErrorsAbove => "the new backend's error rate is above the rollback limit",
            Self::SlowAbove => "the new backend's response time is above the rollback limit",
            Self::ErrorsDetector => "the new backend's error rate has risen above the rollback limit",
            Self::SlowDetector => "the new backend's response time has risen above the rollback limit",
            Self::ErrorsRelative => "more users have errors on the new backend than on the old one",
            Self::SlowRelative => "more users have slow responses on the new backend than on the old one",
            Self::UnauthorizedRelative => {
                "more users get 401 or 403 from the new backend than from the old one"
            }
            Self::NotFoundRelative => {
                "more users get 404, 405 or 410 from the new backend than from the old one"
            }
            Self::ClientErrorsRelative => {
                "more users get other 4xx statuses from the new backend than from the old one"
            }
            Self::MismatchAbove => {
                "the new backend's responses differ from the old one's for more users than the rollback limit allows"
            }
            Self::SharedErrors => "the old backend fails like the new one",
            Self::SharedSlow => "the old backend is slow like the new one",
            Self::ErrorsBelow => "the new backend's error rate is proven to be below the success limit",
            Self::SlowBelow => "the new backend's response time is proven to be below the success limit",
            Self::MismatchBelow => {
                "the new backend's responses are proven to differ for fewer users than the success limit allows"
            }
            Self::ErrorsDoubt => "the new backend's error rate may have risen above the success limit lately",
            Self::SlowDoubt => {
                "the new backend's response time may have risen above the success limit lately"
            }
            Self::SampleRatio => "users are not split between the backends as configured",
        }
    }
}
