//! Absolute alarms: the new arm is above a rollback limit, over the whole step or since a short
//! time. An alarm is a breach unless legacy shares the incident. A shared incident holds the run until the detector,
//! which begins anew, suspects nothing any more, or finds the new arm ill beside a healthy legacy.

use crate::{
    canary::{
        breach::{Breach, Figures},
        evidence::StepEvidence,
        group::{Group, GroupMeasure},
        levels::{Levels, of_beginning},
        measure::Measure,
        plan::{AfterStepPolicy, CanaryPlan},
        run::Run,
        test::Test,
        users::{Failures, UserCount},
        watch::{Alarm, AlarmState, Incident, Span, Suspect},
        window::BothArms,
    },
    measurement::pace::report_time,
    statistics::{Threshold, detector_threshold, firing},
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

/// Longest wait for the users behind an alarm, in milliseconds, in addition to the longest time limit and the time of a
/// report: their event window ends, and the windows in which their reports arrive are folded.
const USERS_MS: i64 = 22_000;

/// Time after a step up within which the canary may have broken legacy, in milliseconds.
const AFTER_STEP_MS: i64 = 15 * 60_000;

/// An absolute test with its evidence, and the counts behind it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Absolute {
    pub(crate) test: Test,
    pub(crate) evidence: f64,
    pub(crate) fires_at: f64,
    counts: BothArms,
    /// Start of these counts; `None` for the whole step.
    since: Option<i64>,
}

impl Absolute {
    pub(crate) fn fires(&self) -> bool {
        self.evidence >= self.fires_at
    }

    /// Raises the alarm at `now`, beside the open suspect span.
    fn alarm(&self, suspect: Option<Suspect>, now: i64) -> Alarm {
        Alarm {
            since: now,
            test: self.test,
            evidence: self.evidence,
            counted_since: self.since,
            counts: self.counts,
            suspect,
        }
    }
}

/// Evaluates the two absolute tests of a measure: over the whole step, or since its last beginning, and by the detector.
pub(crate) fn absolutes(plan: &CanaryPlan, step: &StepEvidence, measure: GroupMeasure<'_>) -> [Absolute; 2] {
    let watch = step.watch(measure);
    let level = of_beginning(Levels::of(plan).absolute(), watch.beginnings());
    let counts = step.total(measure).counts;
    let new = &counts.new;
    let events = measure.kind.against_rollback(new);
    let whole = Absolute {
        test: measure.kind.above(),
        evidence: Threshold::above(measure.rollback_limit(), level).evidence(events, new.requests),
        fires_at: firing(level),
        counts,
        since: watch.beginning.map(|beginning| beginning.total.since),
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

/// Raises the alarm of a test that fires and stands without the busiest failing users known so far. In a shared incident only
/// the detector can: the other counts contain what both arms had. The test of the alarm that has just been `cleared` is not
/// tried.
///
/// The detector comes first: the counts of the whole step tell later of a fault, and may be above their level by a few users
/// for long. Such an alarm would be cleared again and again, were it raised without a look at the users.
fn raised(
    plan: &CanaryPlan,
    step: &StepEvidence,
    measure: GroupMeasure<'_>,
    cleared: Option<Test>,
    now: i64,
) -> Option<Alarm> {
    let new = step.total(measure).counts.new;
    let is_below =
        measure.kind.against_rollback(&new) as f64 <= measure.rollback_limit() * new.requests as f64;
    let watch = step.watch(measure);
    let is_held = watch.incident().is_some();
    if (is_below || is_held) && !watch.detector.is_suspect() {
        // The usual case, without the cost of a test: neither can fire.
        return None;
    }
    let [whole, detected] = absolutes(plan, step, measure);
    let tests = [Some(detected), Some(whole).filter(|_| !is_held)];
    let mut alarms = tests
        .into_iter()
        .flatten()
        .filter(|test| test.fires() && Some(test.test) != cleared)
        .map(|test| test.alarm(watch.suspect(), now));
    alarms.find(|alarm| stands(step, measure, alarm, &busiest(step, measure, alarm)))
}

/// Returns true if the users of the window in which an alarm began are known: then so are all outcomes of
/// that window, of both arms. Until then neither the busiest users can be taken out of it, nor does a
/// legacy with the longer time limit look ill. A run without a key has no users to wait for.
fn is_learned(run: &Run, step: &StepEvidence, alarm: &Alarm, now: i64) -> bool {
    if run.key.is_none() {
        return true;
    }
    let is_known = step.users_through.is_some_and(|through| through >= alarm.since);
    is_known || now >= alarm.since.saturating_add(longest_wait(step))
}

/// Returns the longest time in which everything of a request is learned, in milliseconds.
fn longest_wait(step: &StepEvidence) -> i64 {
    USERS_MS.saturating_add(report_time(step.report_ms)).saturating_add(i64::from(step.settle_ms))
}

/// Returns the busiest failing users behind an alarm, in its own time. The wire tells the errors of each failing user, not
/// the slow responses, and not their routes: an alarm of a route with criteria of its own has no such users, because
/// those who fail on another route would clear it for ever.
fn busiest(step: &StepEvidence, measure: GroupMeasure<'_>, alarm: &Alarm) -> Vec<Failures> {
    if measure.kind == Measure::Slow || measure.group.route.is_some() {
        return Vec::new();
    }
    let of_detector = alarm.suspect.filter(|_| alarm.test == measure.kind.detector());
    step.events.busiest(of_detector.map(|suspect| suspect.number))
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

/// Returns the evidence that legacy shares the incident of a measure, if there is an alarm: that of the alarm that is not
/// decided, or over the open suspect span.
pub(crate) fn shared_evidence(step: &StepEvidence, measure: GroupMeasure<'_>) -> Option<f64> {
    let watch = step.watch(measure);
    let state = watch.alarm.as_ref()?;
    let suspect = state.undecided().map_or_else(|| watch.suspect(), |alarm| alarm.suspect);
    Some(measure.shared_evidence(&span(step, measure, suspect).counts))
}

/// Evidence at which an incident counts as shared.
pub(crate) fn shared_fires_at() -> f64 {
    SHARED
}

/// Returns the counts by which legacy's part is judged: those of a suspect span, or everything that the measure is tested by
/// if the detector suspects nothing.
fn span(step: &StepEvidence, measure: GroupMeasure<'_>, suspect: Option<Suspect>) -> Span {
    suspect.map_or_else(|| step.total(measure), |suspect| suspect.span)
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
    let noted = step.watch(measure).alarm;
    // An alarm that waits is looked at with the counts that raised it.
    let alarm = match noted {
        Some(AlarmState::Held(incident)) => return judge_held(run, step, measure, &incident, now),
        Some(AlarmState::Waiting(alarm)) => alarm,
        None => raised(plan, step, measure, None, now)?,
    };
    step.watch_mut(measure).alarm = Some(AlarmState::Waiting(alarm));
    if !is_learned(run, step, &alarm, now) {
        return None;
    }
    let busiest = busiest(step, measure, &alarm);
    if !stands(step, measure, &alarm, &busiest) {
        // A few users explain it. If it goes on without them, it is raised again, but the other test has its turn first.
        let other = raised(plan, step, measure, Some(alarm.test), now);
        step.watch_mut(measure).alarm = other.map(AlarmState::Waiting);
        return None;
    }
    match sharing(plan, step, measure, &alarm, now) {
        Sharing::Unknown => None,
        Sharing::Shared => {
            step.watch_mut(measure).hold(Incident::begun(alarm.since));
            None
        }
        Sharing::Alone => Some(breach(plan, step, measure, &alarm, busiest.first().copied())),
    }
}

/// Part of legacy in the incident of an alarm.
enum Sharing {
    /// The counts do not tell yet.
    Unknown,
    /// Legacy is ill too, so the run is held.
    Shared,
    /// The new arm alone is ill.
    Alone,
}

/// Finds out if legacy shares the incident of an alarm that is not held.
fn sharing(
    plan: &CanaryPlan,
    step: &StepEvidence,
    measure: GroupMeasure<'_>,
    alarm: &Alarm,
    now: i64,
) -> Sharing {
    // Beside nobody on legacy there is nothing that could be shared.
    if step.share >= PartsPerMillion::ALL {
        return Sharing::Alone;
    }
    let span = span(step, measure, alarm.suspect);
    // A run that was resumed has exposed nobody anew.
    let stepped_up = step.stepped_up.unwrap_or(step.began);
    let is_after_step = span.since < stepped_up.saturating_add(AFTER_STEP_MS);
    if is_after_step && plan.options.shared_incident_after_step == AfterStepPolicy::Rollback {
        return Sharing::Alone;
    }
    let evidence = measure.shared_evidence(&span.counts);
    let is_late = is_late(alarm, now);
    if evidence <= -SHARED || (is_late && evidence <= 0.0) {
        Sharing::Alone
    } else if evidence >= SHARED || is_late {
        Sharing::Shared
    } else {
        Sharing::Unknown
    }
}

/// Returns true if an alarm has waited for legacy's part for as long as it may.
fn is_late(alarm: &Alarm, now: i64) -> bool {
    now >= alarm.since.saturating_add(WAIT_MS)
}

/// Returns true if the shared incidents of a group are over, of both measures, because they begin anew together: the new arm
/// has recovered, and no alarm waits. A detector that has just begun anew takes long to suspect an arm that is a little
/// above its limit, so that its silence alone would not do.
fn is_over(step: &StepEvidence, group: Group<'_>) -> bool {
    group.measures().into_iter().all(|measure| match &step.watch(measure).alarm {
        None => true,
        Some(AlarmState::Waiting(_)) => false,
        Some(AlarmState::Held(incident)) => incident.again.is_none() && incident.recovery.is_complete(),
    })
}

/// Judges a measure whose shared incident holds the run. The detector has begun anew. If it raises an alarm, legacy's part
/// is asked for again, over its new span; when the new arm has recovered, the incident is over.
///
/// At the end of an incident the arm with the longer time limit looks ill for longer: its requests from before go on
/// to time out. So an alarm beside a healthy legacy is a breach if there is another one by requests that began later.
fn judge_held(
    run: &Run,
    step: &mut StepEvidence,
    measure: GroupMeasure<'_>,
    held: &Incident,
    now: i64,
) -> Option<Breach> {
    let plan = &run.plan;
    if is_over(step, measure.group) {
        step.begin_anew(measure.group, now);
        return None;
    }
    let alarm = held.again.or_else(|| raised(plan, step, measure, None, now))?;
    let number = |suspect: Suspect| suspect.number;
    let note = |step: &mut StepEvidence, again: Option<Alarm>| {
        step.watch_mut(measure).alarm = Some(AlarmState::Held(Incident { again, ..*held }));
    };
    note(step, Some(alarm));
    if !is_learned(run, step, &alarm, now) {
        return None;
    }
    let busiest = busiest(step, measure, &alarm);
    if !stands(step, measure, &alarm, &busiest) {
        note(step, None);
        return None;
    }
    let evidence = measure.shared_evidence(&span(step, measure, alarm.suspect).counts);
    let is_late = is_late(&alarm, now);
    if evidence <= -SHARED && held.alone_from.is_some() {
        return Some(breach(plan, step, measure, &alarm, busiest.first().copied()));
    }
    if evidence <= -SHARED {
        let alone_from = Some(now.saturating_add(longest_wait(step)));
        step.watch_mut(measure).hold(Incident { alone_from, again: None, ..*held });
    } else if evidence >= SHARED || (is_late && evidence > 0.0) {
        step.watch_mut(measure).hold(Incident { alone_from: None, again: None, ..*held });
    } else if is_late && step.watch(measure).suspect().map(number) != alarm.suspect.map(number) {
        // Its counts do not tell, and its span is closed.
        note(step, None);
    }
    None
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
        since: alarm.counted_since.map(Timestamp::from_millis),
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
