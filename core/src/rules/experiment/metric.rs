//! Metrics of experiments: the events that count for a user, and the part that each metric plays in the judgement.

use crate::vocabulary::names::RouteId;
use serde::{Deserialize, Serialize};

/// Response time above which a response counts for the metric `response_time` of an established file, in milliseconds.
pub const SLOW_MS: u32 = 1_000;

/// Lowest status of a response that has failed.
const FIRST_FAILURE: u16 = 400;

/// Most metrics of an experiment. The edge tells a metric by a bit.
pub const MAX_METRICS: usize = 16;

/// A metric of an experiment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metric {
    /// Name of the metric, unique in its experiment.
    pub name: String,
    /// Quantity that is compared.
    #[serde(default)]
    pub kind: MetricKind,
    /// Events that the metric counts.
    pub on: Trigger,
    /// Largest value that counts, in thousandths, fixed before the experiment begins: of a user's sum for values, of one
    /// event for ratios. One user with an extreme value would decide an experiment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<u64>,
    /// Part that the metric plays.
    #[serde(default)]
    pub role: Role,
    /// Direction in which the metric gets better. It is always stored: what a file leaves out is
    /// [`Trigger::default_direction`], and what was stored and recorded stays as it is.
    #[serde(default)]
    pub direction: Direction,
}

/// Quantity that a metric compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    /// Share of the users with at least one event.
    #[default]
    Conversion,
    /// Sum of the values of a user's events, such as revenue.
    Value,
    /// Values by events, of all users together, such as milliseconds by request.
    Ratio,
}

/// Events that a metric counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// Responses of a route.
    Response(ResponseTrigger),
    /// Events with this name that a backend or a client reports.
    Event(String),
    /// Server errors, timeouts and connections that failed.
    Error,
    /// Responses slower than a limit.
    Slow {
        /// The limit, in milliseconds.
        over_ms: u32,
    },
}

/// Responses of a route that count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseTrigger {
    /// The route.
    pub route: RouteId,
    /// Methods in upper case; an empty list stands for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Statuses that count; those of successes by default.
    #[serde(default)]
    pub status: StatusRange,
}

/// A range of statuses, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusRange {
    /// Lowest status.
    pub from: u16,
    /// Highest status.
    pub to: u16,
}

impl Default for StatusRange {
    fn default() -> Self {
        Self { from: 200, to: 299 }
    }
}

impl StatusRange {
    /// Returns true if the status is in the range.
    pub fn contains(self, status: u16) -> bool {
        (self.from..=self.to).contains(&status)
    }
}

/// Part that a metric plays in the judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The metric that the experiment was made for: it ends the experiment.
    Primary,
    /// A metric that must not get worse: it switches the experiment off.
    Guardrail,
    /// Any other metric: it is shown, and decides nothing.
    #[default]
    Secondary,
}

/// Direction in which a metric gets better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// More is better.
    #[default]
    Increase,
    /// Less is better.
    Decrease,
}

impl Trigger {
    /// Returns the direction in which a metric of these events gets better if it does not name one: errors, slow
    /// responses and responses with a status of 400 or more are harm, so fewer are better.
    pub fn default_direction(&self) -> Direction {
        let is_harm = match self {
            Self::Error | Self::Slow { .. } => true,
            Self::Response(trigger) => trigger.status.from >= FIRST_FAILURE,
            Self::Event(_) => false,
        };
        if is_harm { Direction::Decrease } else { Direction::Increase }
    }

    /// Returns true if no operator can want more of these events: a guardrail on them fires for more, never for fewer.
    pub fn is_always_harm(&self) -> bool {
        matches!(self, Self::Error | Self::Slow { .. })
    }
}

impl ResponseTrigger {
    /// Returns true if a response of the route counts.
    pub fn matches(&self, method: &str, status: u16) -> bool {
        self.selects(method) && self.status.contains(status)
    }

    /// Returns true if requests with the method can count.
    pub fn selects(&self, method: &str) -> bool {
        self.methods.is_empty() || self.methods.iter().any(|held| held == method)
    }
}

impl Metric {
    /// Returns the metrics that the names under `success_metrics` stand for. `error_rate` and `response_time` are
    /// guardrails on the first error and the first slow response of a user. Every other name is an event that users have or
    /// have not; the first of these is the primary metric.
    pub fn of_success_metrics(names: &[String]) -> Vec<Self> {
        let mut metrics: Vec<Self> = names.iter().map(|name| Self::of_success_metric(name)).collect();
        if let Some(first) = metrics.iter_mut().find(|metric| metric.role == Role::Secondary) {
            first.role = Role::Primary;
        }
        metrics
    }

    fn of_success_metric(name: &str) -> Self {
        let (on, role) = match name {
            "error_rate" => (Trigger::Error, Role::Guardrail),
            "response_time" => (Trigger::Slow { over_ms: SLOW_MS }, Role::Guardrail),
            event => (Trigger::Event(event.to_owned()), Role::Secondary),
        };
        let direction = on.default_direction();
        Self { name: name.to_owned(), kind: MetricKind::Conversion, on, cap: None, role, direction }
    }
}
