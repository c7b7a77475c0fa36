//! Guardrails by periods of an hour: whom they count, what they find in a phase that is thinned, and how often they
//! fire without harm.

use super::{
    BEGAN, CONTROL, ERRORS, TREATMENT, arrivals, batch, design, experiment, exposure, is_deep, outcome, part,
    tick,
};
use cutover_core::{
    Timestamp,
    experiment::{
        Conclusion, Design, Evidence, Judgement, Phase, PhaseIdentity, Record, TestKind, TestResult, replay,
    },
    measurement::experiments::{ExperimentPart, GuardrailEvent},
    rules::experiment::metric::{Direction, Metric},
    statistics::{
        calibration::events,
        event_evidence, firing,
        split_mix::{SplitMix64, mix},
    },
};

const HOUR_S: i64 = 60 * 60;
const WEEK_S: i64 = 7 * 24 * HOUR_S;

/// A user with an error at this many seconds after the start of the phase.
fn error(user: u64, variant: u8, after_s: i64) -> GuardrailEvent {
    GuardrailEvent { user, variant, metrics: 1 << ERRORS, after_s: u32::try_from(after_s).unwrap() }
}

fn guardrails(guardrails: Vec<GuardrailEvent>) -> ExperimentPart {
    ExperimentPart { guardrails, ..part(Vec::new(), Vec::new()) }
}

fn guarded(design: &Design, capacity: u32) -> Evidence {
    Evidence::none(design, capacity).guarded_since(BEGAN)
}

/// Returns the users with an error by period: number, users of control, users of treatment.
fn sums(evidence: &Evidence) -> Vec<(u32, u64, u64)> {
    let periods = &evidence.figures().guardrails.as_ref().unwrap().periods;
    let users = |held: &[Vec<u64>], variant: u8| held[usize::from(variant)][usize::from(ERRORS)];
    let sums = periods.iter();
    sums.map(|held| (held.number, users(&held.with_event, CONTROL), users(&held.with_event, TREATMENT)))
        .collect()
}

fn guardrail(judgement: &Judgement) -> &TestResult {
    judgement.tests.iter().find(|test| test.kind == TestKind::Guardrail).unwrap()
}

#[test]
fn in_each_period_a_user_counts_once() {
    let design = design(&[50, 50]);
    let mut evidence = guarded(&design, 1_000);
    let first = vec![error(1, TREATMENT, 10), error(1, TREATMENT, 50), error(2, CONTROL, 60)];
    tick(&mut evidence, &design, vec![guardrails(first.clone()), guardrails(first)], 100);
    assert_eq!(sums(&evidence), [(0, 1, 1)]);
    tick(&mut evidence, &design, vec![guardrails(vec![error(1, TREATMENT, 3_599)])], 3_650);
    assert_eq!(sums(&evidence), [(0, 1, 1)], "known in this period");
    let late = vec![error(3, TREATMENT, 3_500), error(1, TREATMENT, 3_600)];
    tick(&mut evidence, &design, vec![guardrails(late)], 3_700);
    assert_eq!(sums(&evidence), [(0, 1, 2), (1, 0, 1)], "a report may be late by a period");
    tick(&mut evidence, &design, vec![guardrails(vec![error(4, TREATMENT, 100)])], 7_200);
    assert_eq!(sums(&evidence), [(1, 0, 1)], "the first period is over for an hour");
    // Nor does it begin again when an older report is the newest one that is known.
    tick(&mut evidence, &design, vec![guardrails(vec![error(5, TREATMENT, 200)])], 3_800);
    assert_eq!(sums(&evidence), [(1, 0, 1)], "the first period was tested");
    // A user of two variants counts for the one that was learned first, and a variant that the design lacks for none.
    tick(&mut evidence, &design, vec![guardrails(vec![error(1, CONTROL, 3_700), error(5, 2, 3_700)])], 7_210);
    assert_eq!((sums(&evidence), evidence.figures().unknown), (vec![(1, 0, 1)], 1));
}

#[test]
fn a_tick_has_no_order() {
    let design = design(&[50, 50]);
    let mut events: Vec<GuardrailEvent> =
        (0..400).map(|user| error(mix(user % 300), (user % 2) as u8, (user % 7_000) as i64)).collect();
    let mut in_order = guarded(&design, 400);
    tick(&mut in_order, &design, vec![guardrails(events.clone())], 7_100);
    events.reverse();
    let mut mixed = guarded(&design, 400);
    let halves = events.chunks(150).map(|chunk| guardrails(chunk.to_vec())).collect();
    tick(&mut mixed, &design, halves, 7_100);
    assert_eq!(in_order, mixed);
    let text = serde_json::to_string(&in_order).unwrap();
    assert_eq!(serde_json::from_str::<Evidence>(&text).unwrap(), in_order);
}

#[test]
fn the_largest_periods_are_within_the_bound_of_a_document() {
    let mut design = design(&[50, 50]);
    let errors = design.metrics[usize::from(ERRORS)].clone();
    design.metrics =
        (0..16).map(|number| Metric { name: format!("errors_{number}"), ..errors.clone() }).collect();
    let capacity = 1_000;
    let mut evidence = guarded(&design, capacity);
    let of_period = |period: i64| {
        let user = move |number: u64| GuardrailEvent {
            user: u64::MAX - 1 - number,
            variant: TREATMENT,
            metrics: u16::MAX,
            after_s: u32::try_from(period * HOUR_S).unwrap(),
        };
        guardrails((0..250).map(user).collect())
    };
    tick(&mut evidence, &design, vec![of_period(0), of_period(1)], HOUR_S);
    let text = serde_json::to_string(&evidence).unwrap();
    let nobody = Evidence::max_bytes(0, 2, design.metrics.len());
    assert!(text.len() <= nobody + 2 * 250 * 40 && text.len() > 2 * 250 * 30, "{} bytes", text.len());
    assert!(evidence.halve(), "they can be left out");
    let left = serde_json::to_string(&evidence).unwrap().len();
    assert!(left + 2 * 250 * 30 <= text.len(), "all have the largest hashes: {left} bytes are left");
    assert!(!evidence.halve());
}

fn identity() -> PhaseIdentity {
    PhaseIdentity { experiment: experiment(), phase: 1, began: Timestamp::from_millis(1_000 * BEGAN) }
}

fn at(after_s: i64) -> Timestamp {
    Timestamp::from_millis(1_000 * (BEGAN + after_s))
}

/// A phase with far more users than it remembers, a few of whom had an error in either variant, two weeks after its
/// start.
fn crowded() -> Phase {
    let mut phase = Phase::begin(identity(), design(&[50, 50]), 4_096);
    for tick in 0..60_u64 {
        let users = || (0..1_000).map(|user| mix(1_000 * tick + user));
        let exposures = users().map(|user| exposure(user, (user % 2) as u8, 0)).collect();
        let outcomes = users().step_by(50).map(|user| outcome(user, ERRORS, 10, None)).collect();
        let own = arrivals(&[batch(1, 1 + tick, part(exposures, outcomes))]);
        phase.fold(&own, at(60 * tick as i64));
    }
    assert!(phase.evidence.theta() < u64::MAX / 8, "most are left out");
    phase
}

/// The fault of this hour, as an isolate reports it that holds its users no more than the evidence does.
fn fault(began: i64) -> ExperimentPart {
    let failing = |number: u64| mix(50_000_000 + number);
    let harmed = (0..40).map(|number| error(failing(number), TREATMENT, began)).collect();
    ExperimentPart {
        outcomes: (0..40).map(|number| outcome(failing(number), ERRORS, began as u32, None)).collect(),
        ..guardrails(harmed)
    }
}

#[test]
fn a_fault_that_begins_after_weeks_is_noticed_at_once_in_a_phase_that_remembers_few() {
    let mut phase = crowded();
    let now = 2 * WEEK_S;
    assert_eq!(phase.judged(at(now), "test").harm(), None);
    phase.fold(&arrivals(&[batch(2, 1, fault(now))]), at(now + 10));
    let record = phase.judged(at(now + 10), "test");
    assert_eq!(record.judgement.conclusion, Conclusion::Off { variant: TREATMENT, metric: ERRORS });
    let test = guardrail(&record.judgement);
    assert_eq!((test.period, test.users, test.all), (Some(336), 40, 40));
    assert_eq!(test.fires_at, firing(0.005 / (337.0 * 338.0)));
    let harm = record.harm().unwrap();
    assert!(harm.contains("of 40 users with an event within an hour, 40 are in"), "{harm}");
    assert!(replay(std::slice::from_ref(&record)).is_empty());
    let stored: Record = serde_json::from_str(&serde_json::to_string(&record).unwrap()).unwrap();
    assert_eq!(stored, record);
}

/// As an earlier version wrote it: without periods, and the whole level for the phase.
#[test]
fn a_phase_and_its_records_of_an_earlier_version_are_judged_as_they_were() {
    let mut phase = crowded();
    let mut written = serde_json::to_value(&phase).unwrap();
    written["evidence"]["figures"].as_object_mut().unwrap().remove("guardrails").unwrap();
    phase = serde_json::from_value(written).unwrap();
    let now = 2 * WEEK_S;
    phase.fold(&arrivals(&[batch(2, 1, fault(now))]), at(now + 10));
    let record = phase.judged(at(now + 10), "test");
    let test = guardrail(&record.judgement);
    assert_eq!((test.period, test.fires, test.fires_at), (None, false, firing(0.01)));
    let text = serde_json::to_string(&record).unwrap();
    assert!(!text.contains("guardrails") && !text.contains("period"), "{text}");
    assert!(replay(&[serde_json::from_str(&text).unwrap()]).is_empty());
}

/// A design whose guardrail is of events that there should be many of.
fn of_good_events() -> Design {
    let mut design = design(&[50, 50]);
    design.metrics[usize::from(ERRORS)].direction = Direction::Increase;
    design
}

#[test]
fn good_events_that_control_has_more_of_are_harm_too() {
    let design = of_good_events();
    let mut evidence = guarded(&design, 1_000);
    let exposures = (0..80).map(|user| exposure(mix(user), (user % 2) as u8, 10)).collect();
    let of_control = (0..80).step_by(2).map(|user| outcome(mix(user), ERRORS, 20, None)).collect();
    tick(&mut evidence, &design, vec![part(exposures, of_control)], 60);
    let judgement = Judgement::of(&design, evidence.figures(), 60);
    assert_eq!(judgement.conclusion, Conclusion::Off { variant: TREATMENT, metric: ERRORS });
    let test = guardrail(&judgement);
    assert_eq!(test.evidence, event_evidence(0.5, 1.0, 40, 40));
    assert_eq!((test.period, test.fires_at), (None, firing(0.01)), "the whole level is for the phase");
}

/// Every user buys once: those of treatment at once, those of control an hour later. So all who buy in the second hour
/// are of control, and no user buys less.
#[test]
fn a_variant_that_is_merely_faster_does_no_harm() {
    let design = of_good_events();
    let mut evidence = guarded(&design, 1_000);
    for (variant, after_s) in [(TREATMENT, 60), (CONTROL, 60 + HOUR_S)] {
        let users = || (0..100).map(|user| mix(user + 1_000 * u64::from(variant)));
        let bought = ExperimentPart {
            guardrails: users().map(|user| error(user, variant, after_s)).collect(),
            ..part(
                users().map(|user| exposure(user, variant, 50)).collect(),
                users().map(|user| outcome(user, ERRORS, after_s as u32, None)).collect(),
            )
        };
        tick(&mut evidence, &design, vec![bought], after_s + 10);
        let judgement = Judgement::of(&design, evidence.figures(), after_s + 10);
        assert_eq!(guardrail(&judgement).period, None);
        assert!(!guardrail(&judgement).fires, "{:?}", guardrail(&judgement));
    }
    assert!(sums(&evidence).is_empty(), "nobody is remembered for it");
}

/// As the version before wrote it: with periods for every guardrail.
#[test]
fn a_record_with_periods_of_good_events_is_judged_as_it_was() {
    let mut design = of_good_events();
    let mut written = serde_json::to_value(guarded(&design, 1_000)).unwrap();
    let period = serde_json::json!({ "number": 1, "with_event": [[0, 0, 0, 40], [0, 0, 0, 0]] });
    written["figures"]["guardrails"] = serde_json::json!({ "since": BEGAN, "periods": [period] });
    let evidence: Evidence = serde_json::from_value(written).unwrap();
    let is_off = |design: &Design| {
        let conclusion = Judgement::of(design, evidence.figures(), 2 * HOUR_S).conclusion;
        conclusion == Conclusion::Off { variant: TREATMENT, metric: ERRORS }
    };
    assert!(is_off(&design));
    design.metrics[usize::from(ERRORS)].direction = Direction::Decrease;
    assert!(!is_off(&design));
}

/// Exact, looked at after each user with an event: no period fires more often than its level, and the levels of the
/// phase and of all its periods add up to that of the guardrail.
#[test]
fn the_levels_of_all_periods_add_up_to_that_of_the_guardrail() {
    let level = 0.2;
    let of_period = |number: u32| level / 2.0 / ((f64::from(number) + 1.0) * (f64::from(number) + 2.0));
    let mut design = design(&[70, 30]);
    design.rules.alpha_guardrail = level;
    let mut sum = level / 2.0;
    for number in 0..2_000_u32 {
        sum += of_period(number);
    }
    assert!(sum <= level && sum > 0.99 * level, "{sum}");
    for number in [0, 1, 30] {
        let mut evidence = guarded(&design, 1_000);
        let after_s = i64::from(number) * HOUR_S;
        let events = (0..12).map(|user| error(mix(user), TREATMENT, after_s)).collect();
        tick(&mut evidence, &design, vec![guardrails(events)], after_s);
        let judgement = Judgement::of(&design, evidence.figures(), after_s);
        assert_eq!(guardrail(&judgement).fires_at, firing(of_period(number)), "period {number}");
        for share in [0.05, 0.3, 0.5, 0.95] {
            let exact = events_of(share, of_period(number));
            assert!(exact <= of_period(number), "share {share}, period {number}: {exact}");
        }
    }
}

fn events_of(share: f64, level: f64) -> f64 {
    events(share, 1.0, 1.0, level, 600).fires
}

/// Phases of three hours without harm: exposed users who fail now and then or always, more than are remembered, looked
/// at after each event. The test of the whole phase alone stops its part of them, and all tests together stop no more
/// than each of them would by itself. Were a user counted twice, or the level not divided, they would stop more.
#[test]
fn without_harm_phases_are_stopped_as_often_as_the_levels_of_their_tests_say() {
    let (runs, level, hours, of_hour) = (if is_deep() { 4_000 } else { 300_u64 }, 0.4, 3_u32, 80_u32);
    let mut design = design(&[50, 50]);
    design.rules.alpha_guardrail = level;
    let mut stopped = 0_u64;
    for run in 0..runs {
        let mut random = SplitMix64::new(run);
        let mut evidence = guarded(&design, 128);
        let mut is_stopped = false;
        for look in 0..hours * of_hour {
            let after_s = look * 3_600 / of_hour;
            // Every fourth event is of one of ten users who always fail.
            let user = if random.draw().is_multiple_of(4) { random.draw() % 10 } else { random.draw() };
            let hash = mix(user ^ (run << 32));
            let variant = (mix(hash ^ 0xabcd) % 2) as u8;
            let failed = ExperimentPart {
                guardrails: vec![error(hash, variant, i64::from(after_s))],
                ..part(vec![exposure(hash, variant, after_s)], vec![outcome(hash, ERRORS, after_s, None)])
            };
            tick(&mut evidence, &design, vec![failed], i64::from(after_s));
            let conclusion = Judgement::of(&design, evidence.figures(), i64::from(after_s)).conclusion;
            is_stopped |= matches!(conclusion, Conclusion::Off { .. });
        }
        stopped += u64::from(is_stopped);
    }
    // The users of the phase who are counted at least, and those of each test at most.
    let phase_alone = events(0.5, 1.0, 1.0, level / 2.0, 100).fires;
    let of_hour = |hour: u32| events_of(0.5, level / 2.0 / f64::from((hour + 1) * (hour + 2)));
    let together = events_of(0.5, level / 2.0) + (0..hours).map(of_hour).sum::<f64>();
    let runs = runs as f64;
    let bound = |share: f64, sigmas: f64| runs * share + sigmas * (runs * share).sqrt();
    println!("{stopped} of {runs} stopped, {phase_alone} to {together} of them are expected");
    assert!(together < level, "{together}");
    assert!(stopped as f64 >= bound(phase_alone, -3.0), "{stopped} of {runs}");
    assert!(stopped as f64 <= bound(together, 3.0), "{stopped} of {runs}");
}
