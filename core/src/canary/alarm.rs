//! Absolute alarms: the new arm is above a rollback limit, over the whole step or since a short
//! time. An alarm is a breach unless legacy shares the incident.

use crate::{
    canary::{
        breach::{Breach, Figures},
        evidence::StepEvidence,
        levels::Levels,
        measure::Measure,
        plan::{AfterStepPolicy, CanaryPlan},
        run::Run,
        test::Test,
        users::{Failures, UserCount},
        watch::{Alarm, BothArms, Span},
    },
    statistics::{Threshold, detector_threshold, firing, shared_incident_evidence},
    vocabulary::{share::PartsPerMillion, timestamp::Timestamp},
};

/// Level at which an alarm must stand without the busiest failing users.
const ALPHA_SECOND_LOOK: f64 = 0.05;

/// Fewest users on the new arm for a second look. Without the busiest of fewer, nobody would be left.
const MIN_SECOND_LOOK: u64 = 10;

/// Ratio of likelihoods at which an incident is shared, or is not: ln 10.
const SHARED: f64 = std::f64::consts::LN_10;

/// Longest wait for a decision about a shared incident, in milliseconds.
const WAIT_MS: i64 = 60_000;

/// Longest wait for the users behind an alarm, in milliseconds, in addition to the longest time limit.
const USERS_MS: i64 = 30_000;

/// Time after a step up within which the canary may have broken legacy, in milliseconds.
const AFTER_STEP_MS: i64 = 15 * 60_000;

/// An absolute test with its evidence, and the counts behind it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Absolute {
    pub(crate) test: Test,
    pub(crate) evidence: f64,
    pub(crate) fires_at: f64,
    counts: BothArms,
    /// Start of the suspect span; `None` for the whole step.
    since: Option<i64>,
}

impl Absolute {
    pub(crate) fn fires(&self) -> bool {
        self.evidence >= self.fires_at
    }
}

/// Evaluates the two absolute tests of a measure: over the whole step, and by the detector.
pub(crate) fn absolutes(plan: &CanaryPlan, step: &StepEvidence, measure: Measure) -> [Absolute; 2] {
    let watch = step.watches.of(measure);
    let level = Levels::of(plan).absolute();
    let new = &step.counts.new;
    let events = measure.against_rollback(new);
    let whole = Absolute {
        test: measure.above(),
        evidence: Threshold::above(measure.rollback_limit(plan), level).evidence(events, new.requests),
        fires_at: firing(level),
        counts: step.counts,
        since: None,
    };
    let detected = Absolute {
        test: measure.detector(),
        evidence: watch.detector.evidence(),
        fires_at: detector_threshold(plan.options.false_alarm_days),
        counts: watch.span.map_or(step.counts, |span| span.counts),
        since: watch.span.map(|span| span.since),
    };
    [whole, detected]
}

/// Returns the test that raises an alarm, if one does.
fn raised(plan: &CanaryPlan, step: &StepEvidence, measure: Measure) -> Option<Absolute> {
    let new = &step.counts.new;
    let is_below = measure.against_rollback(new) as f64 <= measure.rollback_limit(plan) * new.requests as f64;
    if is_below && !step.watches.of(measure).detector.is_suspect() {
        // The usual case, without the cost of a test: neither can fire.
        return None;
    }
    absolutes(plan, step, measure).into_iter().find(Absolute::fires)
}

/// Returns true if the users of the window in which an alarm began are known: then so are all outcomes of
/// that window, of both arms. Until then neither the busiest users can be taken out of it, nor does a
/// legacy with the longer time limit look ill. A run without a key has no users to wait for.
fn is_learned(run: &Run, step: &StepEvidence, alarm: Alarm, now: i64) -> bool {
    if run.key.is_none() {
        return true;
    }
    let is_known = step.users_through.is_some_and(|through| through >= alarm.since);
    let longest = USERS_MS.saturating_add(i64::from(step.settle_ms));
    is_known || now >= alarm.since.saturating_add(longest)
}

/// Returns the busiest failing users behind a test. The wire tells the errors of each failing user, not
/// the slow responses.
fn busiest(step: &StepEvidence, measure: Measure, alarm: &Alarm) -> Vec<Failures> {
    match measure {
        Measure::Errors => {
            step.events.busiest(alarm.suspect_since.map(|_| step.watches.of(measure).span_number()))
        }
        Measure::Slow => Vec::new(),
    }
}

/// Returns true if an alarm stands without the busiest failing users: requests of one user are not
/// independent, and a few who always fail, on either backend, would otherwise roll a canary back.
fn stands(
    plan: &CanaryPlan,
    step: &StepEvidence,
    measure: Measure,
    alarm: &Alarm,
    busiest: &[Failures],
) -> bool {
    if busiest.is_empty() || step.seen.count.new < MIN_SECOND_LOOK {
        return true;
    }
    let new = &alarm.counts.new;
    let (mut events, mut requests) = (measure.against_rollback(new), new.requests);
    for user in busiest {
        events = events.saturating_sub(user.errors);
        requests = requests.saturating_sub(user.requests.max(user.errors));
    }
    let requests = requests.max(events);
    let second = Threshold::above(measure.rollback_limit(plan), ALPHA_SECOND_LOOK).evidence(events, requests);
    second >= firing(ALPHA_SECOND_LOOK)
}

/// Returns the evidence that legacy shares the incident of a measure: over the suspect span, or over
/// the step if there is none.
pub(crate) fn shared_evidence(plan: &CanaryPlan, step: &StepEvidence, measure: Measure) -> f64 {
    let BothArms { new, legacy } = span(step, measure).counts;
    shared_incident_evidence(
        measure.against_rollback(&legacy),
        legacy.requests,
        measure.against_rollback(&new),
        new.requests,
        measure.rollback_limit(plan),
    )
}

/// Evidence at which an incident counts as shared.
pub(crate) fn shared_fires_at() -> f64 {
    SHARED
}

fn span(step: &StepEvidence, measure: Measure) -> Span {
    step.watches.of(measure).span.unwrap_or(Span { since: step.began, counts: step.counts })
}

/// Judges the alarm of a measure at `now`: notes it, and returns the breach if it stands without the busiest failing users
/// and legacy does not share the incident.
pub(crate) fn judge(run: &Run, step: &mut StepEvidence, measure: Measure, now: i64) -> Option<Breach> {
    let plan = &run.plan;
    let raised = raised(plan, step, measure);
    let watch = step.watches.of(measure);
    // An alarm that waits is looked at with the counts that raised it; one that is held is over when nothing is suspected.
    let mut alarm = match (watch.alarm, raised) {
        (Some(alarm), _) if !alarm.held || watch.detector.is_suspect() => alarm,
        (_, Some(test)) => Alarm {
            since: now,
            held: false,
            test: test.test,
            evidence: test.evidence,
            suspect_since: test.since,
            counts: test.counts,
        },
        (_, None) => {
            step.watches.of_mut(measure).alarm = None;
            return None;
        }
    };
    step.watches.of_mut(measure).alarm = Some(alarm);
    if !is_learned(run, step, alarm, now) {
        return None;
    }
    let busiest = busiest(step, measure, &alarm);
    if !stands(plan, step, measure, &alarm, &busiest) {
        // A few users explain it. If it goes on without them, it is raised again.
        step.watches.of_mut(measure).alarm = None;
        return None;
    }
    let is_shared = is_shared(plan, step, measure, &mut alarm, now);
    step.watches.of_mut(measure).alarm = Some(alarm);
    (!is_shared).then(|| breach(plan, step, measure, &alarm, busiest.first().copied()))
}

/// Returns true if the run holds because legacy may be ill too, false if the alarm is a breach.
fn is_shared(plan: &CanaryPlan, step: &StepEvidence, measure: Measure, alarm: &mut Alarm, now: i64) -> bool {
    // Beside nobody on legacy there is nothing that could be shared.
    if step.share >= PartsPerMillion::ALL {
        return false;
    }
    // A held incident is not blamed on the step when its span is over.
    let is_after_step = span(step, measure).since < step.began.saturating_add(AFTER_STEP_MS);
    if !alarm.held && is_after_step && plan.options.shared_incident_after_step == AfterStepPolicy::Rollback {
        return false;
    }
    let evidence = shared_evidence(plan, step, measure);
    if evidence <= -SHARED {
        return false;
    }
    let is_over = now >= alarm.since.saturating_add(WAIT_MS);
    if evidence >= SHARED || (is_over && evidence > 0.0) {
        alarm.held = true;
    }
    alarm.held || !is_over
}

fn breach(
    plan: &CanaryPlan,
    step: &StepEvidence,
    measure: Measure,
    alarm: &Alarm,
    busiest: Option<Failures>,
) -> Breach {
    let found = absolutes(plan, step, measure).into_iter().find(|test| test.test == alarm.test);
    let figures = Figures {
        share: step.share,
        since: alarm.suspect_since.map(Timestamp::from_millis),
        new: alarm.counts.new,
        legacy: alarm.counts.legacy,
        users: UserCount::default(),
        seen: None,
        limit: measure.rollback_limit(plan),
        evidence: alarm.evidence,
        fires_at: found.map_or(alarm.evidence, |test| test.fires_at),
        busiest,
    };
    Breach { test: alarm.test, step: step.step, figures: Some(figures) }
}
