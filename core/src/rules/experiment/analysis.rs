//! Rules by which an experiment is judged and ends.

use serde::{Deserialize, Serialize};

/// Levels and times by which an experiment ends.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoppingRules {
    /// Probability, at most, that a primary metric ever finds a difference where there is none, over all variants.
    pub alpha_primary: f64,
    /// Part, at most, of the findings of secondary metrics that are false, in the mean.
    pub alpha_secondary: f64,
    /// Probability, at most, that a guardrail ever switches off an experiment without harm, over all guardrails and variants.
    pub alpha_guardrail: f64,
    /// Days before which the experiment is not ready, whatever it has found. Whole weeks are advised.
    pub min_days: u32,
    /// Days after which the experiment ends without a result.
    pub max_days: u32,
    /// Largest relative difference of the primary metric that makes no practical difference, such as 0.02.
    pub practical_difference: f64,
    /// Time from a user's exposure in which values count and after which an outcome is final for intervals, in seconds.
    pub window_s: u32,
    /// Time that a report may take, in seconds. An outcome waits as long for the exposure of its user.
    pub settle_s: u32,
    /// Number of users, of a variant and control, at which intervals are the narrowest.
    pub tuned_for: u64,
}

impl Default for StoppingRules {
    fn default() -> Self {
        Self {
            alpha_primary: 0.05,
            alpha_secondary: 0.05,
            alpha_guardrail: 0.01,
            min_days: 7,
            max_days: 60,
            practical_difference: 0.02,
            window_s: 7 * 24 * 60 * 60,
            settle_s: 60 * 60,
            tuned_for: 10_000,
        }
    }
}

impl StoppingRules {
    /// Returns true for the rules of an experiment that says nothing of them.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
