//! The plan of a canary: its steps, its criteria, and the times at which it must not advance.
//! [`crate::canary`] executes it.

use crate::{
    measurement::event_kinds::EventKinds,
    vocabulary::{names::RouteId, share::PartsPerMillion},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use crate::vocabulary::weekday::Weekday;

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

/// Limits of one route, which is judged by them instead of the plan's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RouteCriteria {
    /// Limits that the route must be proven to keep before the canary advances.
    pub success_criteria: Criteria,
    /// Limits that roll the canary back if the route exceeds them.
    pub rollback_criteria: Criteria,
}

/// Most routes of a plan with criteria of their own. Each has counts and detectors in the evidence.
pub const MAX_ROUTE_CRITERIA: usize = 8;

/// Share of responses that may be slower than a limit on the 95th percentile.
pub const SLOW_SHARE: f64 = 0.05;

/// Optional settings of a plan, with their defaults. A field of an earlier version that no longer has
/// an effect is ignored, so that stored plans stay readable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// Routes that are judged by their own limits. All other routes of the flag together are judged by
    /// the plan's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub route_criteria: BTreeMap<RouteId, RouteCriteria>,
    /// Probability that a canary within its limits is ever rolled back in a step, over all tests
    /// together.
    #[serde(skip_serializing_if = "is_default_alpha_rollback")]
    pub alpha_rollback: f64,
    /// Probability that a canary beyond its limits ever advances from a step.
    #[serde(skip_serializing_if = "is_default_alpha_promote")]
    pub alpha_promote: f64,
    /// Mean number of days between two false alarms of the detectors, at a backend that is exactly at
    /// its rollback limits.
    #[serde(skip_serializing_if = "is_default_false_alarm_days")]
    pub false_alarm_days: f64,
    /// Action if the new arm is worse than legacy by [`Self::tolerated_risk`], but within the success
    /// limits. Client errors have no limit of their own and roll back unless this is `ignore`.
    #[serde(skip_serializing_if = "is_default")]
    pub relative: RelativePolicy,
    /// Tolerated ratio of the new arm's risk to legacy's. An earlier version had one number for all.
    #[serde(alias = "max_relative_risk", skip_serializing_if = "is_default")]
    pub tolerated_risk: ToleratedRisk,
    /// Distinct users that the new arm must have served before the canary advances.
    #[serde(skip_serializing_if = "is_default_min_users")]
    pub min_users: u64,
    /// Action if both arms go above a rollback limit soon after a step up.
    #[serde(skip_serializing_if = "is_default")]
    pub shared_incident_after_step: AfterStepPolicy,
    /// Minutes without a request on the new arm after which [`Self::on_no_data`] applies.
    #[serde(skip_serializing_if = "is_default_deadline")]
    pub deadline_minutes: f64,
    /// Action at the deadline.
    #[serde(skip_serializing_if = "is_default")]
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
            route_criteria: BTreeMap::new(),
            alpha_rollback: 0.01,
            alpha_promote: 0.05,
            false_alarm_days: 30.0,
            relative: RelativePolicy::default(),
            tolerated_risk: ToleratedRisk::default(),
            min_users: 50,
            shared_incident_after_step: AfterStepPolicy::default(),
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
    is_default_false_alarm_days false_alarm_days,
    is_default_deadline deadline_minutes,
    is_default_bake bake_minutes
);

fn is_default_min_users(value: &u64) -> bool {
    *value == Options::default().min_users
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Action for a new arm that is worse than legacy at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelativePolicy {
    /// The run holds while the new arm keeps its success limits, and is rolled back otherwise.
    #[default]
    Hold,
    /// The run is rolled back.
    Rollback,
    /// The comparison is reported and decides nothing.
    Ignore,
}

/// Action for an incident of both arms that begins within 15 minutes of a step up. Later ones hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterStepPolicy {
    /// The run is rolled back, because the canary may have broken legacy too.
    #[default]
    Rollback,
    /// The run holds, as in any other shared incident.
    Hold,
}

/// Tolerated ratio of the new arm's risk to legacy's, at least 1, by kind of event. In documents an
/// object such as `{ "errors": 1.25, "slow": 1.5 }`, or one number for all kinds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "WrittenRisk")]
pub struct ToleratedRisk {
    /// Risk of an error.
    pub errors: f64,
    /// Risk of a slow response.
    pub slow: f64,
    /// Risk of each class of client errors.
    pub client_errors: f64,
}

/// Risk that is tolerated by default. Without any tolerance, every harmless difference is found once
/// there is enough traffic.
const TOLERATED_RISK: f64 = 1.25;

impl Default for ToleratedRisk {
    fn default() -> Self {
        Self::all(TOLERATED_RISK)
    }
}

impl ToleratedRisk {
    /// Tolerates the same risk for all kinds.
    pub fn all(risk: f64) -> Self {
        Self { errors: risk, slow: risk, client_errors: risk }
    }

    /// Returns the risk that is tolerated for one kind of event.
    pub fn of(&self, kind: EventKinds) -> f64 {
        match kind {
            EventKinds::ERROR => self.errors,
            EventKinds::SLOW => self.slow,
            _ => self.client_errors,
        }
    }
}

/// The two ways of writing a [`ToleratedRisk`].
#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenRisk {
    All(f64),
    Each(EachRisk),
}

/// Risks by kind, each with its default.
#[derive(Deserialize)]
#[serde(default)]
struct EachRisk {
    errors: f64,
    slow: f64,
    client_errors: f64,
}

impl Default for EachRisk {
    fn default() -> Self {
        Self { errors: TOLERATED_RISK, slow: TOLERATED_RISK, client_errors: TOLERATED_RISK }
    }
}

impl From<WrittenRisk> for ToleratedRisk {
    fn from(written: WrittenRisk) -> Self {
        match written {
            WrittenRisk::All(risk) => Self::all(risk),
            WrittenRisk::Each(EachRisk { errors, slow, client_errors }) => {
                Self { errors, slow, client_errors }
            }
        }
    }
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

impl CanaryPlan {
    /// Returns the shares of the steps: the initial one, and those of the list that are above it.
    pub fn steps(&self) -> Vec<PartsPerMillion> {
        let above = self.promotion_steps.iter().copied().filter(|step| *step > self.initial_percentage);
        let initial = Some(self.initial_percentage).filter(|share| *share > PartsPerMillion::ZERO);
        initial.into_iter().chain(above).collect()
    }

    /// Returns the share of a step, that of the last one beyond it.
    pub fn share_at(&self, step: u32) -> PartsPerMillion {
        let steps = self.steps();
        let held = usize::try_from(step).ok().and_then(|step| steps.get(step));
        held.or(steps.last()).copied().unwrap_or_default()
    }
}
