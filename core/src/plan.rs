//! The plan of a canary: its steps, what it is judged by, and when it may not move. [`crate::canary`] runs it.

use crate::rate::PartsPerMillion;
use serde::{Deserialize, Serialize};

/// How a flag climbs, and when it comes back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CanaryPlan {
    /// The share that the canary starts at.
    pub initial_percentage: PartsPerMillion,
    /// The shares it climbs through, ascending.
    pub promotion_steps: Vec<PartsPerMillion>,
    /// Minutes that a step lasts at least.
    pub step_duration_minutes: f64,
    /// What must be proven before a step is left upwards.
    pub success_criteria: Criteria,
    /// What takes the canary back when it is exceeded.
    pub rollback_criteria: Criteria,
    /// What may be left out.
    #[serde(flatten)]
    pub options: Options,
}

/// Two limits on one arm.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Criteria {
    /// The share of requests that may fail, 0 to 1.
    pub max_error_rate: f64,
    /// The 95th percentile of the response time, in milliseconds.
    pub max_response_time_p95: f64,
    /// The share of compared answers that may differ in more than what differs by itself, 0 to 1; nothing is asked of
    /// comparisons where it is not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_mismatch_rate: Option<f64>,
}

/// The share of answers that may be slower than a 95th percentile.
pub const SLOW_SHARE: f64 = 0.05;

/// What a plan may leave out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// The probability that a canary within its limits is ever taken back in a step, over all tests together.
    #[serde(skip_serializing_if = "is_default_alpha_rollback")]
    pub alpha_rollback: f64,
    /// The probability that a canary beyond its limits is ever promoted from a step.
    #[serde(skip_serializing_if = "is_default_alpha_promote")]
    pub alpha_promote: f64,
    /// How often the watch after the last step may sound in vain: once in `1/alpha` windows.
    #[serde(skip_serializing_if = "is_default_alpha_bake")]
    pub alpha_bake: f64,
    /// How many times legacy's risk the new arm's may be at the same time; at least 1.
    #[serde(skip_serializing_if = "is_one")]
    pub max_relative_risk: f64,
    /// Minutes without a request on the new arm after which [`Self::on_no_data`] happens.
    #[serde(skip_serializing_if = "is_default_deadline")]
    pub deadline_minutes: f64,
    /// What happens at the deadline.
    #[serde(skip_serializing_if = "is_pause")]
    pub on_no_data: OnNoData,
    /// Minutes that the last step is watched before the run is complete.
    #[serde(skip_serializing_if = "is_default_bake")]
    pub bake_minutes: f64,
    /// Steps that are entered only when a person approved it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub approval_before: Vec<PartsPerMillion>,
    /// When the canary may not climb.
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

/// What happens to a canary that nobody asks anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnNoData {
    /// It waits for a person.
    #[default]
    Pause,
    /// It goes back to legacy.
    Rollback,
}

/// A time of the week in which a canary does not climb. It may always come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreezeWindow {
    /// The IANA time zone, such as `Europe/Oslo`.
    pub timezone: String,
    /// The days it begins on.
    pub days: Vec<Weekday>,
    /// The local time it begins at, `HH:MM`.
    pub start: String,
    /// The local time it ends at, `HH:MM`; not after the start means on the next day.
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
    /// The shares of the steps: the initial one, and those of the list that lie above it.
    pub fn steps(&self) -> Vec<PartsPerMillion> {
        let above = self.promotion_steps.iter().copied().filter(|step| *step > self.initial_percentage);
        let initial = Some(self.initial_percentage).filter(|share| *share > PartsPerMillion::ZERO);
        initial.into_iter().chain(above).collect()
    }
}
