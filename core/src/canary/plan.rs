//! The plan of a canary: its steps, its criteria, and the times at which it must not advance.
//! [`crate::canary`] executes it.

use crate::vocabulary::share::PartsPerMillion;
use serde::{Deserialize, Serialize};

/// The steps that a canary raises its flag through, and the criteria for advancing and rolling
/// back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CanaryPlan {
    /// Share of the first step.
    pub initial_percentage: PartsPerMillion,
    /// Shares of the further steps, ascending.
    pub promotion_steps: Vec<PartsPerMillion>,
    /// Minimum duration of a step, in minutes.
    pub step_duration_minutes: f64,
    /// Limits that the new arm must be proven to keep before the canary advances.
    pub success_criteria: Criteria,
    /// Limits that roll the canary back if the new arm exceeds them.
    pub rollback_criteria: Criteria,
    /// Optional settings.
    #[serde(flatten)]
    pub options: Options,
}

/// Limits on the new arm.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Criteria {
    /// Share of requests that may fail, 0 to 1.
    pub max_error_rate: f64,
    /// 95th percentile of the response time, in milliseconds.
    pub max_response_time_p95: f64,
    /// Share of compared responses that may differ in more than noise, 0 to 1. Comparisons are not
    /// tested if it is `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_mismatch_rate: Option<f64>,
}

/// Share of responses that may be slower than a limit on the 95th percentile.
pub const SLOW_SHARE: f64 = 0.05;

/// Optional settings of a plan, with their defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// Probability that a canary within its limits is ever rolled back in a step, over all tests
    /// together.
    #[serde(skip_serializing_if = "is_default_alpha_rollback")]
    pub alpha_rollback: f64,
    /// Probability that a canary beyond its limits ever advances from a step.
    #[serde(skip_serializing_if = "is_default_alpha_promote")]
    pub alpha_promote: f64,
    /// False-alarm rate of the watch after the last step: on average one in `1/alpha` windows.
    #[serde(skip_serializing_if = "is_default_alpha_bake")]
    pub alpha_bake: f64,
    /// Tolerated ratio of the new arm's risk to legacy's at the same time; at least 1.
    #[serde(skip_serializing_if = "is_one")]
    pub max_relative_risk: f64,
    /// Minutes without a request on the new arm after which [`Self::on_no_data`] applies.
    #[serde(skip_serializing_if = "is_default_deadline")]
    pub deadline_minutes: f64,
    /// Action at the deadline.
    #[serde(skip_serializing_if = "is_pause")]
    pub on_no_data: OnNoData,
    /// Minutes of watching after the last step before the run is complete.
    #[serde(skip_serializing_if = "is_default_bake")]
    pub bake_minutes: f64,
    /// Steps that the canary enters only with an operator's approval.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub approval_before: Vec<PartsPerMillion>,
    /// Times at which the canary must not advance.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub freeze_windows: Vec<FreezeWindow>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            alpha_rollback: 0.01,
            alpha_promote: 0.05,
            alpha_bake: 0.0001,
            max_relative_risk: 1.0,
            deadline_minutes: 30.0,
            on_no_data: OnNoData::Pause,
            bake_minutes: 60.0,
            approval_before: Vec::new(),
            freeze_windows: Vec::new(),
        }
    }
}

macro_rules! is_default {
    ($($name:ident $field:ident),*) => {
        $(fn $name(value: &f64) -> bool { value.to_bits() == Options::default().$field.to_bits() })*
    };
}

is_default!(
    is_default_alpha_rollback alpha_rollback,
    is_default_alpha_promote alpha_promote,
    is_default_alpha_bake alpha_bake,
    is_one max_relative_risk,
    is_default_deadline deadline_minutes,
    is_default_bake bake_minutes
);

fn is_pause(value: &OnNoData) -> bool {
    *value == OnNoData::Pause
}

/// Action for a canary that receives no requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnNoData {
    /// The run pauses until an operator resumes it.
    #[default]
    Pause,
    /// The run is rolled back to legacy.
    Rollback,
}

/// A time of the week in which a canary does not advance. Rollbacks are never blocked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreezeWindow {
    /// IANA time zone, such as `Europe/Oslo`.
    pub timezone: String,
    /// Days on which the window begins.
    pub days: Vec<Weekday>,
    /// Local time at which it begins, `HH:MM`.
    pub start: String,
    /// Local time at which it ends, `HH:MM`. If it is not after the start, the window ends on the
    /// next day.
    pub end: String,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl CanaryPlan {
    /// Returns the shares of the steps: the initial one, and those of the list that are above it.
    pub fn steps(&self) -> Vec<PartsPerMillion> {
        let above = self.promotion_steps.iter().copied().filter(|step| *step > self.initial_percentage);
        let initial = Some(self.initial_percentage).filter(|share| *share > PartsPerMillion::ZERO);
        initial.into_iter().chain(above).collect()
    }
}
