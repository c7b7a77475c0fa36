//! The verdict on the evidence of a run: every test with its evidence and the threshold at which it
//! fires.

use crate::{
    canary::{
        evidence::{Evidence, StepEvidence},
        plan::SLOW_SHARE,
        run::Run,
        test::{Breach, Test},
    },
    statistics::{Threshold, firing, sample_ratio},
};
use serde::{Deserialize, Serialize};

/// Level of the sample ratio test.
const ALPHA_SAMPLE_RATIO: f64 = 0.001;

/// Number of tests that can always roll a canary back. They share `alpha_rollback` evenly, together
/// with the test of comparisons if the plan has a limit for it.
const ROLLBACK_TESTS: f64 = 4.0;

/// A test with its evidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TestResult {
    /// The test that was made.
    pub test: Test,
    /// Its evidence, log E.
    pub evidence: f64,
    /// Evidence at which it fires.
    pub fires_at: f64,
}

impl TestResult {
    /// Returns true if the test fires.
    pub fn fires(&self) -> bool {
        self.evidence >= self.fires_at
    }

    /// Returns the evidence in percent of [`Self::fires_at`], never below 0, for display.
    pub fn percent(&self) -> f64 {
        (100.0 * self.evidence / self.fires_at).max(0.0)
    }
}

/// Verdict on the evidence of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Results of the current step's tests.
    pub tests: Vec<TestResult>,
    /// Cause to roll the canary back, if any.
    pub breach: Option<Breach>,
    /// True if both backends exceed the same limit and there is no breach.
    pub shared_incident: bool,
    /// True if all success criteria are proven.
    pub proven: bool,
    /// True if users are not split as configured.
    pub ratio_mismatch: bool,
}

impl Verdict {
    /// Judges the evidence of a run.
    pub fn of(run: &Run, evidence: &Evidence) -> Self {
        let mut tests = rollback_tests(run, &evidence.current);
        let (mut breach, shared_incident) = judged(&tests, evidence.current.step);
        if breach.is_none()
            && let Some(previous) = &evidence.previous
        {
            // Late windows of the previous step are judged by the same thresholds.
            breach = judged(&rollback_tests(run, previous), previous.step).0;
        }
        if run.is_past_last_step() {
            let fires_at = firing(run.plan.options.alpha_bake);
            for (test, states) in [Test::BakeErrors, Test::BakeSlow].into_iter().zip(evidence.bake) {
                let mean = states.iter().sum::<f64>() / states.len() as f64;
                let evidence = if mean > 0.0 { libm::log(mean) } else { 0.0 };
                tests.push(TestResult { test, evidence, fires_at });
            }
            // After the last step only the detectors count: legacy has no traffic to compare with.
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

    /// Returns the result of a test, if it was made.
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

/// Returns the breach of a step, and true if both backends exceed the same limit, which is not a
/// breach.
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
    // A compared request was served by both backends, so a shared incident cannot explain a
    // mismatch.
    let mismatch = fired(tests, Test::MismatchAbove).map(|test| Breach { test, step });
    let breach = breach.or(mismatch);
    (breach, shared && breach.is_none())
}
