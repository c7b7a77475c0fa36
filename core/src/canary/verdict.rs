//! The verdict on the evidence of a run: every test with its evidence and the threshold at which it
//! fires.

use crate::{
    canary::{
        alarm,
        breach::Breach,
        comparison,
        evidence::{Evidence, StepEvidence},
        group::{Group, GroupMeasure},
        levels::of_beginning,
        mismatch,
        run::Run,
        test::Test,
    },
    statistics::{Threshold, firing, split_evidence},
    vocabulary::names::RouteId,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Level of the sample ratio test.
const ALPHA_SAMPLE_RATIO: f64 = 0.001;

/// Number of users that the mixture of the sample ratio test stands for.
const SAMPLE_RATIO_STRENGTH: f64 = 1_000.0;

/// Mean bet at which there is a doubt.
const DOUBT: f64 = 5.0;

/// A test with its evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestResult {
    /// The test that was made.
    pub test: Test,
    /// The route with criteria of its own whose requests were tested; `None` for the requests of the others,
    /// and for tests of the whole flag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteId>,
    /// Its evidence, log E.
    pub evidence: f64,
    /// Evidence at which it fires.
    pub fires_at: f64,
}

impl TestResult {
    fn of_flag(test: Test, evidence: f64, fires_at: f64) -> Self {
        Self { test, route: None, evidence, fires_at }
    }

    fn of_group(measure: GroupMeasure<'_>, test: Test, evidence: f64, fires_at: f64) -> Self {
        Self { test, route: measure.group.route.cloned(), evidence, fires_at }
    }

    /// Returns true if the test fires.
    pub fn fires(&self) -> bool {
        self.evidence >= self.fires_at
    }

    /// Returns the evidence in percent of [`Self::fires_at`], never below 0, for display.
    pub fn percent(&self) -> f64 {
        (100.0 * self.evidence / self.fires_at).max(0.0)
    }
}

/// A group of requests whose success criteria are not proven, in a plan with criteria of routes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unproven {
    /// The route; `None` for all routes without criteria of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteId>,
    /// Requests of the group on the new arm: in the step, or since its last shared incident was over.
    pub requests: u64,
}

impl fmt::Display for Unproven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let route = self.route.as_ref().map_or("the other routes", RouteId::as_str);
        write!(f, "{route}: {} requests so far", self.requests)
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
    /// Groups of requests that are not proven. Empty if no route has criteria of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unproven: Vec<Unproven>,
    /// True if the newest requests cast doubt on them.
    pub doubt: bool,
    /// True if too few users were served by the new arm to speak for the others.
    pub few_users: bool,
    /// True if a breaker diverted requests in the last ten minutes.
    pub diverted: bool,
    /// True if counts or users of the step were lost in the last ten minutes.
    #[serde(default)]
    pub evidence_lost: bool,
}

impl Verdict {
    /// Judges the evidence of a run. The breach is the one that [`fold()`](crate::canary::fold()) has
    /// found.
    pub fn of(run: &Run, evidence: &Evidence) -> Self {
        let step = &evidence.current;
        let mut tests = rollback_tests(run, step);
        tests.extend(run.plan.measures().flat_map(|measure| success_tests(run, step, measure)));
        tests.extend(
            mismatch::below(&run.plan, step)
                .map(|(evidence, fires_at)| TestResult::of_flag(Test::MismatchBelow, evidence, fires_at)),
        );
        let (seen, share) = (step.seen.count, step.share.percent() / 100.0);
        let split = split_evidence(seen.new, seen.all, share, SAMPLE_RATIO_STRENGTH);
        tests.push(TestResult::of_flag(Test::SampleRatio, split, firing(ALPHA_SAMPLE_RATIO)));
        let alarms: Vec<_> = run.plan.measures().filter_map(|measure| step.watch(measure).alarm).collect();
        Self {
            breach: evidence.breach.clone(),
            shared_incident: alarms.iter().filter(|alarm| alarm.is_held()).map(|alarm| alarm.since()).min(),
            alarm: alarms.iter().map(|alarm| alarm.since()).min(),
            worse: step.worse.clone(),
            ratio_mismatch: tests.iter().any(|result| result.test == Test::SampleRatio && result.fires()),
            // The test of mismatches is made only if the plan has a limit for them.
            proven: tests.iter().filter(|result| result.test.is_success()).all(TestResult::fires),
            unproven: unproven(run, step, &tests),
            doubt: run.plan.measures().any(|measure| step.watch(measure).doubt.exists()),
            // Nobody reports the users of a run without a key.
            few_users: run.key.is_some() && step.seen.on_new() < run.plan.options.min_users,
            diverted: step.was_diverted(evidence.through.unwrap_or(step.began)),
            evidence_lost: step.has_losses(evidence.through.unwrap_or(step.began)),
            tests,
        }
    }

    /// Returns the result of a test, if it was made: of the requests without criteria of their own, if it
    /// is one of requests.
    pub fn result(&self, test: Test) -> Option<&TestResult> {
        self.tests.iter().find(|result| result.test == test)
    }
}

/// Returns the proof of a measure of a group, and the doubt.
fn success_tests(run: &Run, step: &StepEvidence, measure: GroupMeasure<'_>) -> [TestResult; 2] {
    let watch = step.watch(measure);
    // All groups must be proven, so each has the whole level.
    let alpha = of_beginning(run.plan.options.alpha_promote, watch.beginnings());
    let new = &step.total(measure).counts.new;
    let test = Threshold::below(measure.success_limit(), alpha);
    let proof = test.evidence_below(measure.kind.against_success(new), new.requests);
    let doubt = watch.doubt.evidence();
    [
        TestResult::of_group(measure, measure.kind.below(), proof, firing(alpha)),
        TestResult::of_group(measure, measure.kind.doubt(), doubt, libm::log(DOUBT)),
    ]
}

/// Returns the groups with a success test that does not fire.
fn unproven(run: &Run, step: &StepEvidence, tests: &[TestResult]) -> Vec<Unproven> {
    if run.plan.options.route_criteria.is_empty() {
        return Vec::new();
    }
    let is_open = |route: Option<&RouteId>| {
        let mut own = tests.iter().filter(|result| result.route.as_ref() == route);
        // Mismatches are those of the whole flag.
        own.any(|result| result.test.is_success() && result.test != Test::MismatchBelow && !result.fires())
    };
    let requests = |group: Group<'_>| {
        // Those by which the measure with the fewest is tested.
        group.measures().map(|measure| step.total(measure).counts.new.requests).into_iter().min()
    };
    let open = run.plan.groups().filter(|group| is_open(group.route));
    open.map(|group| Unproven { route: group.route.cloned(), requests: requests(group).unwrap_or_default() })
        .collect()
}

fn rollback_tests(run: &Run, step: &StepEvidence) -> Vec<TestResult> {
    let mut tests = Vec::new();
    for measure in run.plan.measures() {
        tests.extend(alarm::absolutes(&run.plan, step, measure).map(|absolute| {
            TestResult::of_group(measure, absolute.test, absolute.evidence, absolute.fires_at)
        }));
        tests.extend(alarm::shared_evidence(step, measure).map(|evidence| {
            TestResult::of_group(measure, measure.kind.shared(), evidence, alarm::shared_fires_at())
        }));
    }
    if step.step < run.step_count() {
        tests.extend(
            comparison::comparisons(&run.plan, step)
                .into_iter()
                .map(|compared| TestResult::of_flag(compared.test, compared.evidence, compared.fires_at)),
        );
    }
    tests.extend(
        mismatch::above(&run.plan, step)
            .map(|(evidence, fires_at)| TestResult::of_flag(Test::MismatchAbove, evidence, fires_at)),
    );
    tests
}
