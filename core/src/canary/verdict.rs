//! The verdict on the evidence of a run: every test with its evidence and the threshold at which it
//! fires.

use crate::{
    canary::{
        alarm,
        breach::Breach,
        comparison,
        evidence::{Evidence, StepEvidence},
        levels::of_beginning,
        measure::Measure,
        mismatch,
        run::Run,
        test::Test,
    },
    statistics::{Threshold, firing, split_evidence},
};
use serde::{Deserialize, Serialize};

/// Level of the sample ratio test.
const ALPHA_SAMPLE_RATIO: f64 = 0.001;

/// Number of users that the mixture of the sample ratio test stands for.
const SAMPLE_RATIO_STRENGTH: f64 = 1_000.0;

/// Mean bet at which there is a doubt.
const DOUBT: f64 = 5.0;

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
    /// Start of an alarm that legacy shares or may share, in milliseconds since 1970.
    pub shared_incident: Option<i64>,
    /// Time of an alarm that is not decided, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarm: Option<i64>,
    /// Comparison that found the new arm worse while it keeps its success limits.
    pub worse: Option<Breach>,
    /// True if users are not split as configured.
    pub ratio_mismatch: bool,
    /// True if all success criteria are proven: over the step, or since the last shared incident was over.
    pub proven: bool,
    /// True if the newest requests cast doubt on them.
    pub doubt: bool,
    /// True if too few users were served by the new arm to speak for the others.
    pub few_users: bool,
    /// True if a breaker diverted requests in the last ten minutes.
    pub diverted: bool,
}

impl Verdict {
    /// Judges the evidence of a run. The breach is the one that [`fold()`](crate::canary::fold()) has
    /// found.
    pub fn of(run: &Run, evidence: &Evidence) -> Self {
        let step = &evidence.current;
        let mut tests = rollback_tests(run, step);
        for measure in Measure::ALL {
            let alpha = of_beginning(run.plan.options.alpha_promote, step.watches.of(measure).beginnings());
            let new = step.total(measure).counts.new;
            let test = Threshold::below(measure.success_limit(&run.plan), alpha);
            let proof = test.evidence_below(measure.against_success(&new), new.requests);
            tests.push(TestResult { test: measure.below(), evidence: proof, fires_at: firing(alpha) });
            let doubt = step.watches.of(measure).doubt.evidence();
            tests.push(TestResult { test: measure.doubt(), evidence: doubt, fires_at: libm::log(DOUBT) });
        }
        tests.extend(mismatch::below(&run.plan, step).map(|(evidence, fires_at)| TestResult {
            test: Test::MismatchBelow,
            evidence,
            fires_at,
        }));
        let (seen, share) = (step.seen.count, step.share.percent() / 100.0);
        tests.push(TestResult {
            test: Test::SampleRatio,
            evidence: split_evidence(seen.new, seen.all, share, SAMPLE_RATIO_STRENGTH),
            fires_at: firing(ALPHA_SAMPLE_RATIO),
        });
        let fires = |test| tests.iter().any(|result| result.test == test && result.fires());
        let has_mismatch_limit = run.plan.success_criteria.max_mismatch_rate.is_some();
        let alarms = Measure::ALL.iter().filter_map(|measure| step.watches.of(*measure).alarm);
        Self {
            breach: evidence.breach,
            shared_incident: alarms.clone().filter(|alarm| alarm.held).map(|alarm| alarm.since).min(),
            alarm: alarms.map(|alarm| alarm.since).min(),
            worse: step.worse,
            ratio_mismatch: fires(Test::SampleRatio),
            proven: fires(Test::ErrorsBelow)
                && fires(Test::SlowBelow)
                && (fires(Test::MismatchBelow) || !has_mismatch_limit),
            doubt: Measure::ALL.iter().any(|measure| step.watches.of(*measure).doubt.exists()),
            // Nobody reports the users of a run without a key.
            few_users: run.key.is_some() && step.seen.on_new() < run.plan.options.min_users,
            diverted: step.was_diverted(evidence.through.unwrap_or(step.began)),
            tests,
        }
    }

    /// Returns the result of a test, if it was made.
    pub fn result(&self, test: Test) -> Option<&TestResult> {
        self.tests.iter().find(|result| result.test == test)
    }
}

fn rollback_tests(run: &Run, step: &StepEvidence) -> Vec<TestResult> {
    let mut tests = Vec::new();
    for measure in Measure::ALL {
        tests.extend(alarm::absolutes(&run.plan, step, measure).map(|absolute| TestResult {
            test: absolute.test,
            evidence: absolute.evidence,
            fires_at: absolute.fires_at,
        }));
        if step.watches.of(measure).alarm.is_some() {
            let evidence = alarm::shared_evidence(&run.plan, step, measure);
            tests.push(TestResult { test: measure.shared(), evidence, fires_at: alarm::shared_fires_at() });
        }
    }
    if step.step < run.step_count() {
        tests.extend(comparison::comparisons(&run.plan, step).into_iter().map(|compared| TestResult {
            test: compared.test,
            evidence: compared.evidence,
            fires_at: compared.fires_at,
        }));
    }
    tests.extend(mismatch::above(&run.plan, step).map(|(evidence, fires_at)| TestResult {
        test: Test::MismatchAbove,
        evidence,
        fires_at,
    }));
    tests
}
