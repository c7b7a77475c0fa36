//! Absolute alarms: the new arm is above a rollback limit, over the whole step or since a short
//! time. An alarm is a breach unless legacy shares the incident.

use crate::{
    canary::{
        breach::{Breach, Figures},
        evidence::StepEvidence,
        group::GroupMeasure,
        levels::Levels,
        measure::Measure,
        plan::{AfterStepPolicy, CanaryPlan},
        run::Run,
        test::Test,
        users::{Failures, UserCount},
        watch::{Alarm, Span},
        window::BothArms,
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
pub(crate) fn absolutes(plan: &CanaryPlan, step: &StepEvidence, measure: GroupMeasure<'_>) -> [Absolute; 2] {
    let watch = step.watch(measure);
    let level = Levels::of(plan).absolute();
    let counts = step.counts_of(measure.group.route);
    let new = &counts.new;
    let events = measure.kind.against_rollback(new);
    let whole = Absolute {
        test: measure.kind.above(),
        evidence: Threshold::above(measure.rollback_limit(), level).evidence(events, new.requests),
        fires_at: firing(level),
        counts,
        since: None,
    };
    let detected = Absolute {
        test: measure.kind.detector(),
        evidence: watch.detector.evidence(),
        // The detectors of all groups together have that many days.
        fires_at: detector_threshold(plan.options.false_alarm_days * plan.group_count()),
        counts: watch.span.map_or(counts, |span| span.counts),
        since: watch.span.map(|span| span.since),
    };
    [whole, detected]
}

/// Returns the test that raises an alarm, if one does.
fn raised(plan: &CanaryPlan, step: &StepEvidence, measure: GroupMeasure<'_>) -> Option<Absolute> {
    let new = &step.counts_of(measure.group.route).new;
    let is_below =
        measure.kind.against_rollback(new) as f64 <= measure.rollback_limit() * new.requests as f64;
    if is_below && !step.watch(measure).detector.is_suspect() {
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
fn busiest(step: &StepEvidence, measure: GroupMeasure<'_>, alarm: &Alarm) -> Vec<Failures> {
    match measure.kind {
        Measure::Errors => {
            // The wire tells no route of a user's errors, and the spans of users are those of the routes without
            // criteria of their own. Taken out of a group's counts they may be too many, which errs towards holding.
            let is_rest = measure.group.route.is_none();
            let since = alarm.suspect_since.filter(|_| is_rest);
            step.events.busiest(since.map(|_| step.watch(measure).span_number()))
        }
        Measure::Slow => Vec::new(),
    }
}

/// Returns true if an alarm stands without the busiest failing users: requests of one user are not
/// independent, and a few who always fail, on either backend, would otherwise roll a canary back.
fn stands(step: &StepEvidence, measure: GroupMeasure<'_>, alarm: &Alarm, busiest: &[Failures]) -> bool {
    if busiest.is_empty() || step.seen.count.new < MIN_SECOND_LOOK {
        return true;
    }
    let new = &alarm.counts.new;
    let (mut events, mut requests) = (measure.kind.against_rollback(new), new.requests);
    for user in busiest {
        events = events.saturating_sub(user.errors);
        requests = requests.saturating_sub(user.requests.max(user.errors));
    }
    let requests = requests.max(events);
    let second = Threshold::above(measure.rollback_limit(), ALPHA_SECOND_LOOK).evidence(events, requests);
    second >= firing(ALPHA_SECOND_LOOK)
}

/// Returns the evidence that legacy shares the incident of a measure: over the suspect span, or over
/// the step if there is none.
pub(crate) fn shared_evidence(step: &StepEvidence, measure: GroupMeasure<'_>) -> f64 {
    let BothArms { new, legacy } = span(step, measure).counts;
    shared_incident_evidence(
        measure.kind.against_rollback(&legacy),
        legacy.requests,
        measure.kind.against_rollback(&new),
        new.requests,
        measure.rollback_limit(),
    )
}

/// Evidence at which an incident counts as shared.
pub(crate) fn shared_fires_at() -> f64 {
    SHARED
}

fn span(step: &StepEvidence, measure: GroupMeasure<'_>) -> Span {
    let counts = step.counts_of(measure.group.route);
    step.watch(measure).span.unwrap_or(Span { since: step.began, counts })
}

/// Judges the alarm of a measure at `now`: notes it, and returns the breach if it stands without the busiest failing users
/// and legacy does not share the incident.
pub(crate) fn judge(
    run: &Run,
    step: &mut StepEvidence,
    measure: GroupMeasure<'_>,
    now: i64,
) -> Option<Breach> {
    let plan = &run.plan;
    let raised = raised(plan, step, measure);
    let watch = step.watch(measure);
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
            step.watch_mut(measure).alarm = None;
            return None;
        }
    };
    step.watch_mut(measure).alarm = Some(alarm);
    if !is_learned(run, step, alarm, now) {
        return None;
    }
    let busiest = busiest(step, measure, &alarm);
    if !stands(step, measure, &alarm, &busiest) {
        // A few users explain it. If it goes on without them, it is raised again.
        step.watch_mut(measure).alarm = None;
        return None;
    }
    let is_shared = is_shared(plan, step, measure, &mut alarm, now);
    step.watch_mut(measure).alarm = Some(alarm);
    (!is_shared).then(|| breach(plan, step, measure, &alarm, busiest.first().copied()))
}

/// Returns true if the run holds because legacy may be ill too, false if the alarm is a breach.
fn is_shared(
    plan: &CanaryPlan,
    step: &StepEvidence,
    measure: GroupMeasure<'_>,
    alarm: &mut Alarm,
    now: i64,
) -> bool {
    // Beside nobody on legacy there is nothing that could be shared.
    if step.share >= PartsPerMillion::ALL {
        return false;
    }
    // A held incident is not blamed on the step when its span is over.
    let is_after_step = span(step, measure).since < step.began.saturating_add(AFTER_STEP_MS);
    if !alarm.held && is_after_step && plan.options.shared_incident_after_step == AfterStepPolicy::Rollback {
        return false;
    }
    let evidence = shared_evidence(step, measure);
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
    measure: GroupMeasure<'_>,
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
        limit: measure.rollback_limit(),
        evidence: alarm.evidence,
        fires_at: found.map_or(alarm.evidence, |test| test.fires_at),
        // Errors on routes of other groups would be counted too.
        busiest: busiest.filter(|_| plan.options.route_criteria.is_empty()),
    };
    let route = measure.group.route.cloned();
    Breach { test: alarm.test, step: step.step, route, figures: Some(figures) }
}
