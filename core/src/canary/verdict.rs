//! What the evidence says: every test with its evidence and the mark at which it fires.

use super::{
    evidence::{Evidence, StepEvidence},
    run::{Breach, Run},
};
use crate::{
    plan::SLOW_SHARE,
    statistics::{Threshold, firing, sample_ratio},
};
use serde::{Deserialize, Serialize};

/// The level at which a split of users that is not the configured one is believed.
const ALPHA_SAMPLE_RATIO: f64 = 0.001;

/// The tests that can always take a canary back; they share `alpha_rollback` evenly, with the one of comparisons where the
/// plan has a limit for it.
const ROLLBACK_TESTS: f64 = 4.0;

/// A test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// The new arm's error rate is above the rollback limit.
    ErrorsAbove,
    /// More of the new arm's answers are slower than the rollback limit than a 95th percentile allows.
    SlowAbove,
    /// The new arm's errors are more than its share, beside legacy's at the same time.
    ErrorsRelative,
    /// The new arm's slow answers are more than its share, beside legacy's at the same time.
    SlowRelative,
    /// The new arm's error rate is below the success limit.
    ErrorsBelow,
    /// Fewer of the new arm's answers are slower than the success limit than a 95th percentile allows.
    SlowBelow,
    /// More answers differ between the backends than the rollback limit allows.
    MismatchAbove,
    /// Fewer answers differ between the backends than the success limit allows.
    MismatchBelow,
    /// Legacy's error rate is above the rollback limit.
    LegacyErrorsAbove,
    /// More of legacy's answers are slower than the rollback limit than a 95th percentile allows.
    LegacySlowAbove,
    /// Users are not split as configured.
    SampleRatio,
    /// The new arm's error rate went above the rollback limit after the last step.
    BakeErrors,
    /// The new arm became slower than the rollback limit after the last step.
    BakeSlow,
}

impl Test {
    /// What it says when it fires, for people.
    pub fn says(self) -> &'static str {
        match self {
            Self::ErrorsAbove => "the new backend's error rate is above the rollback limit",
            Self::SlowAbove => "the new backend's response time is above the rollback limit",
            Self::ErrorsRelative => "the new backend fails more often than the old one at the same time",
            Self::SlowRelative => "the new backend is slow more often than the old one at the same time",
            Self::ErrorsBelow => "the new backend's error rate is proven to be below the success limit",
            Self::SlowBelow => "the new backend's response time is proven to be below the success limit",
            Self::MismatchAbove => {
                "the new backend's answers differ from the old one's more often than the rollback limit allows"
            }
            Self::MismatchBelow => {
                "the new backend's answers are proven to differ less often than the success limit allows"
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

/// A test and what it found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TestResult {
    /// The test.
    pub test: Test,
    /// The evidence, log E.
    pub evidence: f64,
    /// The evidence at which it fires.
    pub fires_at: f64,
}

impl TestResult {
    /// Whether it fires.
    pub fn fires(&self) -> bool {
        self.evidence >= self.fires_at
    }

    /// The evidence in percent of what is needed, for people; never below 0.
    pub fn percent(&self) -> f64 {
        (100.0 * self.evidence / self.fires_at).max(0.0)
    }
}

/// What the evidence of a run says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The tests of the current step.
    pub tests: Vec<TestResult>,
    /// What takes the canary back.
    pub breach: Option<Breach>,
    /// Both backends are beyond a limit alike.
    pub shared_incident: bool,
    /// All success criteria are proven.
    pub proven: bool,
    /// Users are not split as configured.
    pub ratio_mismatch: bool,
}

impl Verdict {
    /// What the evidence says.
    pub fn of(run: &Run, evidence: &Evidence) -> Self {
        let mut tests = rollback_tests(run, &evidence.current);
        let (mut breach, shared_incident) = judged(&tests, evidence.current.step);
        if breach.is_none()
            && let Some(previous) = &evidence.previous
        {
            // What came late of the step before is held against the same marks.
            breach = judged(&rollback_tests(run, previous), previous.step).0;
        }
        if run.is_past_last_step() {
            let fires_at = firing(run.plan.options.alpha_bake);
            for (test, states) in [Test::BakeErrors, Test::BakeSlow].into_iter().zip(evidence.bake) {
                let mean = states.iter().sum::<f64>() / states.len() as f64;
                let evidence = if mean > 0.0 { libm::log(mean) } else { 0.0 };
                tests.push(TestResult { test, evidence, fires_at });
            }
            // After the last step only the detectors speak: legacy has no traffic to compare with.
            breach = fired(&tests, Test::BakeErrors)
                .or(fired(&tests, Test::BakeSlow))
                .or(fired(&tests, Test::MismatchAbove))
                .map(|test| Breach { test, step: run.step })
                .or(breach.filter(|breach| breach.step < run.step));
        }
        let counts = evidence.current.new;
        let alpha = run.plan.options.alpha_promote;
        for (test, limit, events) in [
            (Test::ErrorsBelow, run.plan.success_criteria.max_error_rate, counts.errors),
            (Test::SlowBelow, SLOW_SHARE, counts.slow_success),
        ] {
            let evidence = Threshold::below(limit, alpha).evidence_below(events, counts.requests);
            tests.push(TestResult { test, evidence, fires_at: firing(alpha) });
        }
        if let Some(limit) = run.plan.success_criteria.max_mismatch_rate {
            let step = &evidence.current;
            let evidence = Threshold::below(limit, alpha).evidence_below(step.mismatched, step.compared);
            tests.push(TestResult { test: Test::MismatchBelow, evidence, fires_at: firing(alpha) });
        }
        let units = (evidence.current.units_new.len(), evidence.current.units_legacy.len());
        tests.push(TestResult {
            test: Test::SampleRatio,
            evidence: sample_ratio(units.0 as u64, units.1 as u64, run.share().percent() / 100.0),
            fires_at: firing(ALPHA_SAMPLE_RATIO),
        });
        let fires = |test| fired(&tests, test).is_some();
        Self {
            breach: evidence.breach.or(breach),
            shared_incident,
            proven: fires(Test::ErrorsBelow)
                && fires(Test::SlowBelow)
                && (fires(Test::MismatchBelow) || run.plan.success_criteria.max_mismatch_rate.is_none()),
            ratio_mismatch: fires(Test::SampleRatio),
            tests,
        }
    }

    /// The result of a test, if it was made.
    pub fn result(&self, test: Test) -> Option<&TestResult> {
        self.tests.iter().find(|result| result.test == test)
    }
}

fn fired(tests: &[TestResult], test: Test) -> Option<Test> {
    tests.iter().find(|result| result.test == test && result.fires()).map(|result| result.test)
}

fn rollback_tests(run: &Run, step: &StepEvidence) -> Vec<TestResult> {
    let limit = run.plan.rollback_criteria.max_error_rate;
    let mismatch = run.plan.rollback_criteria.max_mismatch_rate;
    let alpha = run.plan.options.alpha_rollback / (ROLLBACK_TESTS + f64::from(u8::from(mismatch.is_some())));
    let above = |limit, events, requests| Threshold::above(limit, alpha).evidence(events, requests);
    let (new, legacy) = (&step.new, &step.legacy);
    let mut tests = vec![
        (Test::ErrorsAbove, above(limit, new.errors, new.requests)),
        (Test::SlowAbove, above(SLOW_SHARE, new.slow_rollback, new.requests)),
        (Test::ErrorsRelative, step.errors.evidence()),
        (Test::SlowRelative, step.slow.evidence()),
        (Test::LegacyErrorsAbove, above(limit, legacy.errors, legacy.requests)),
        (Test::LegacySlowAbove, above(SLOW_SHARE, legacy.slow_rollback, legacy.requests)),
    ];
    tests.extend(mismatch.map(|limit| (Test::MismatchAbove, above(limit, step.mismatched, step.compared))));
    let result = |(test, evidence)| TestResult { test, evidence, fires_at: firing(alpha) };
    tests.into_iter().map(result).collect()
}

/// The breach of a step, and whether both backends are beyond a limit alike, which is none.
fn judged(tests: &[TestResult], step: u32) -> (Option<Breach>, bool) {
    let mut shared = false;
    let mut breach = None;
    for (absolute, legacy, relative) in [
        (Test::ErrorsAbove, Test::LegacyErrorsAbove, Test::ErrorsRelative),
        (Test::SlowAbove, Test::LegacySlowAbove, Test::SlowRelative),
    ] {
        let fires = |test| fired(tests, test);
        match (fires(relative), fires(absolute), fires(legacy)) {
            (Some(test), _, _) | (None, Some(test), None) => breach = breach.or(Some(Breach { test, step })),
            (None, Some(_), Some(_)) => shared = true,
            (None, None, _) => {}
        }
    }
    // Both backends answer a comparison, so no incident of both can explain it away.
    let mismatch = fired(tests, Test::MismatchAbove).map(|test| Breach { test, step });
    let breach = breach.or(mismatch);
    (breach, shared && breach.is_none())
}
