//! Conclusions about an experiment, from its tests and effects. None of them ships a variant: an operator does.

use crate::experiment::{
    circumstances::Reached,
    design::Design,
    effect::Effect,
    test::{FiredGuardrail, PrimaryFinding, TestKind, TestResult},
};
use serde::{Deserialize, Serialize};
use std::fmt;

const DAY_S: i64 = 24 * 60 * 60;

/// Conclusion about an experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Conclusion {
    /// A guardrail fires: the experiment is switched off at once, and all users get control.
    Off {
        /// Position of the variant that does harm.
        variant: u8,
        /// Position of the guardrail.
        metric: u8,
    },
    /// Users are not split as configured, so nothing that was measured can be trusted. Results are hidden.
    Hidden {
        /// Position of the variant whose number of users does not fit that of control.
        variant: u8,
    },
    /// A primary metric has found a difference: an operator can decide.
    Ready {
        /// The differences.
        findings: Vec<PrimaryFinding>,
    },
    /// No variant differs from control by more than makes a practical difference.
    NoPracticalDifference,
    /// The longest time is over without a result.
    Inconclusive,
    /// The experiment goes on.
    Continue {
        /// The reason for it.
        because: Waiting,
    },
}

/// Reason for which an experiment goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Waiting {
    /// The shortest time is not over.
    MinDays,
    /// Too few users or events for an interval of a primary metric.
    TooFew,
    /// No test has fired.
    Undecided,
}

impl fmt::Display for Conclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off { .. } => "a guardrail has fired; all users get control",
            Self::Hidden { .. } => {
                "users are not split as configured; results are hidden until the cause is found"
            }
            Self::Ready { .. } => "the primary metric differs; decide which variant stays",
            Self::NoPracticalDifference => "the variants make no practical difference",
            Self::Inconclusive => "the longest time is over without a result",
            Self::Continue { because: Waiting::MinDays } => "the shortest time is not over",
            Self::Continue { because: Waiting::TooFew } => "too few users or events so far",
            Self::Continue { because: Waiting::Undecided } => "no difference is found so far",
        })
    }
}

impl Conclusion {
    /// Notes the conclusion if it holds whatever comes later.
    pub(crate) fn note_in(&self, reached: &mut Reached) {
        match self {
            Self::Off { variant, metric } => {
                reached.harm.get_or_insert(FiredGuardrail { variant: *variant, metric: *metric });
            }
            Self::Hidden { variant } => reached.note_misfits([*variant]),
            Self::Ready { findings } => reached.findings = reached.findings_with(findings.iter().copied()),
            Self::NoPracticalDifference => reached.is_alike = true,
            Self::Inconclusive | Self::Continue { .. } => {}
        }
    }

    /// Returns true if the conclusion is worth a record after the one of the record before. Users who are seen in another variant
    /// are taken out again, so few of them can make enough too few and back many times: that is no news.
    pub(crate) fn is_news_after(&self, before: Option<&Self>) -> bool {
        let is_fewer = matches!(self, Self::Continue { because: Waiting::TooFew })
            && matches!(before, Some(Self::Continue { because: Waiting::Undecided }));
        before != Some(self) && !is_fewer
    }

    /// Returns the conclusion `age_s` seconds after the phase began: the first one that holds. Guardrails come first:
    /// to switch off is safe even if the split is not as configured. What was reached before holds, so a later
    /// conclusion can only be one that comes before it here.
    pub(crate) fn of(
        design: &Design,
        tests: &[TestResult],
        effects: &[Effect],
        age_s: i64,
        reached: &Reached,
    ) -> Self {
        if let Some(FiredGuardrail { variant, metric }) = reached.harm {
            return Self::Off { variant, metric };
        }
        let firing = |kind: TestKind| tests.iter().filter(move |test| test.kind == kind && test.fires);
        let worst = firing(TestKind::Guardrail).max_by(|a, b| a.evidence.total_cmp(&b.evidence));
        if let Some(TestResult { variant, metric: Some(metric), .. }) = worst {
            return Self::Off { variant: *variant, metric: *metric };
        }
        if let Some(test) = firing(TestKind::SampleRatio).next() {
            return Self::Hidden { variant: test.variant };
        }
        let is_over = |days: u32| age_s >= i64::from(days).saturating_mul(DAY_S);
        if !is_over(design.rules.min_days) {
            return Self::Continue { because: Waiting::MinDays };
        }
        let findings = reached.findings_with(firing(TestKind::Primary).filter_map(TestResult::finding));
        if !findings.is_empty() {
            return Self::Ready { findings };
        }
        let primary: Vec<&Effect> =
            effects.iter().filter(|effect| design.is_primary(effect.metric)).collect();
        let is_alike = |effect: &&Effect| {
            effect.relative.is_some_and(|range| range.is_within(design.rules.practical_difference))
        };
        if reached.is_alike || !primary.is_empty() && primary.iter().all(is_alike) {
            return Self::NoPracticalDifference;
        }
        if is_over(design.rules.max_days) {
            return Self::Inconclusive;
        }
        let is_too_few = primary.iter().any(|effect| effect.is_too_few());
        Self::Continue { because: if is_too_few { Waiting::TooFew } else { Waiting::Undecided } }
    }
}
