//! The tests of an experiment, each of a variant against control.

use serde::{Deserialize, Serialize};

/// Part of a test in the judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestKind {
    /// Users are not split between a variant and control as configured.
    SampleRatio,
    /// A guardrail is worse for a variant than for control.
    Guardrail,
    /// A primary metric differs.
    Primary,
    /// A secondary metric differs.
    Secondary,
}

/// A test of a variant against control.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestResult {
    /// Part of the test in the judgement.
    pub kind: TestKind,
    /// Position of the variant.
    pub variant: u8,
    /// Position of the metric; `None` for the sample ratio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<u8>,
    /// Number of the period of an hour, from 0, that a guardrail is tested over; `None` for the whole phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<u32>,
    /// Users of the variant: all that were exposed, or those with an event of the metric.
    pub users: u64,
    /// The same of the variant and control together.
    pub all: u64,
    /// Evidence, log E.
    pub evidence: f64,
    /// Evidence at which the test fires; for a secondary metric, at which it fires whatever the others say.
    pub fires_at: f64,
    /// True if the test fires.
    pub fires: bool,
    /// True if the variant is observed to be better than control; `None` for the sample ratio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_better: Option<bool>,
}

impl TestResult {
    /// Returns the evidence in percent of [`Self::fires_at`], never below 0, for display.
    pub fn percent(&self) -> f64 {
        (100.0 * self.evidence / self.fires_at).max(0.0)
    }

    /// Returns the one of two tests that fires, or else the one that is nearer to it; this one of equal ones.
    pub(crate) fn or_nearer(self, other: Self) -> Self {
        let missing = |test: &Self| test.fires_at - test.evidence;
        let is_nearer = missing(&other) < missing(&self);
        let is_other = if self.fires == other.fires { is_nearer } else { other.fires };
        if is_other { other } else { self }
    }

    /// Returns the difference that a test of a metric has found.
    pub(crate) fn finding(&self) -> Option<PrimaryFinding> {
        let (metric, is_better) = self.metric.zip(self.is_better)?;
        Some(PrimaryFinding { variant: self.variant, metric, is_better })
    }
}

/// A guardrail that has fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FiredGuardrail {
    /// Position of the variant that does harm.
    pub variant: u8,
    /// Position of the metric.
    pub metric: u8,
}

/// A difference of a primary metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrimaryFinding {
    /// Position of the variant.
    pub variant: u8,
    /// Position of the metric.
    pub metric: u8,
    /// True if the variant is better than control.
    pub is_better: bool,
}
