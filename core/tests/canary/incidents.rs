//! Shared incidents: failures of both backends at once.

use super::{
    after,
    alarms::{first_breach, run_without_comparisons},
    around, counts, failing_user, failing_users, known, reported, run_of, window, with_failing,
};
use cutover_core::{
    canary::{
        Action, AlarmState, Evidence, Reason, Record, Run, Test, Verdict, Window, decide, fold, replay,
    },
    measurement::batch::UserWindow,
    statistics::firing,
    vocabulary::arm::Arm,
};

/// S5: both backends go to 12 %, at shares at which the new arm has most of the traffic.
#[test]
fn s5_a_shared_incident_is_no_rollback_at_large_shares() {
    for (share, new, legacy) in [(10.0, 20, 180), (50.0, 100, 100), (75.0, 150, 50), (90.0, 180, 20)] {
        let run = run_of(&[share]);
        // Twelve percent of each, spread over 25 windows without fractions.
        let ill = |requests: u64, index: i64| {
            let index = index.unsigned_abs();
            (requests * 12 * (index + 1)) / 100 - (requests * 12 * index) / 100
        };
        let windows = |legacy_is_ill: bool| {
            (0..600).map(move |index| {
                let is_ill = index >= 120;
                let new_errors = if is_ill { ill(new, index) } else { 0 };
                let legacy_errors = if is_ill && legacy_is_ill { ill(legacy, index) } else { 0 };
                window(index, 0, counts(new, new_errors, 0), counts(legacy, legacy_errors, 0))
            })
        };
        assert_eq!(first_breach(&run, windows(true)), None, "{share} %: both are ill");
        let (index, _) = first_breach(&run, windows(false)).unwrap();
        assert!(index >= 120, "{share} %: legacy is healthy, and the new arm is rolled back");
    }
}

/// A shared incident that was held becomes a rollback once legacy has recovered and the new arm has
/// not.
#[test]
fn s5_a_held_incident_is_rolled_back_when_legacy_recovers() {
    let run = run_of(&[50.0]);
    let good = known(&run, counts(100, 0, 0), counts(100, 0, 0), 20);
    let ill = |index| reported(&run, window(index, 0, counts(100, 50, 0), counts(100, 50, 0)));
    let waiting = fold(&run, Some(&good), &[ill(120)]);
    assert!(
        !waiting.current.watches.errors.alarm.unwrap().is_held(),
        "the users of the window are not known"
    );
    let held = fold(&run, Some(&waiting), &[ill(121)]);
    let decision = decide(&run, &held, &around(&run), after(21));
    assert_eq!((decision.action, decision.reason), (Action::Hold, Reason::SharedIncident));
    assert!(held.current.watches.errors.alarm.unwrap().is_held());
    let recovered: Vec<Window> = (122..160)
        .map(|index| reported(&run, window(index, 0, counts(100, 50, 0), counts(100, 0, 0))))
        .collect();
    let breach = fold(&run, Some(&held), &recovered).breach.unwrap();
    assert_eq!(breach.test, Test::ErrorsDetector);
    assert!(breach.figures.unwrap().since.is_some(), "the counts are those of the suspect span");
}

/// Builds a window of 100 requests on each arm, with users and so many errors of each.
fn of_both(run: &Run, index: i64, new: u64, legacy: u64) -> Window {
    reported(run, window(index, 0, counts(100, new, 0), counts(100, legacy, 0)))
}

/// Builds evidence of 20 good minutes, and of a shared incident of 20 minutes after them, the windows 120 to 239.
fn after_an_incident(run: &Run) -> Evidence {
    let good = known(run, counts(100, 0, 0), counts(100, 0, 0), 20);
    let ill: Vec<Window> = (120..240).map(|index| of_both(run, index, 50, 50)).collect();
    let held = fold(run, Some(&good), &ill);
    let decision = decide(run, &held, &around(run), after(40));
    assert_eq!((decision.action, decision.reason), (Action::Hold, Reason::SharedIncident));
    held
}

/// The detector does not remember a shared incident for longer than it lasted, and the counts of the incident raise no
/// alarm after it. What is proven is proven without them, at half of the level.
#[test]
fn s5_a_shared_incident_that_is_over_ends_by_itself() {
    let run = run_of(&[50.0]);
    let mut evidence = after_an_incident(&run);
    let mut index = 240;
    while evidence.current.watches.errors.alarm.is_some() {
        assert!(index < 260, "an incident of 20 minutes ends within 200 seconds of good traffic");
        evidence = fold(&run, Some(&evidence), &[of_both(&run, index, 0, 0)]);
        index += 1;
    }
    assert!(index > 250, "it does not end after a few good windows: {index}");
    assert!(!Verdict::of(&run, &evidence).proven, "nothing from before it counts");
    let windows: Vec<Window> = (index..300).map(|index| of_both(&run, index, 1, 1)).collect();
    let evidence = fold(&run, Some(&evidence), &windows);
    assert_eq!((&evidence.breach, evidence.current.watches.errors.alarm), (&None, None));
    assert_eq!(
        evidence.current.counts.new.errors,
        6_000 + 300 - index.unsigned_abs(),
        "the step's own are all kept"
    );
    let decision = decide(&run, &evidence, &around(&run), after(50));
    assert_eq!((decision.action, decision.reason), (Action::Advance, Reason::Proven));
    let fires_at = |test| decision.verdict.result(test).unwrap().fires_at;
    assert_eq!(fires_at(Test::ErrorsBelow), firing(run.plan.options.alpha_promote / 2.0));
    assert_eq!(fires_at(Test::SlowBelow), fires_at(Test::ErrorsBelow), "both measures began anew");
    let first = Verdict::of(&run, &Evidence::none(&run));
    for test in [Test::ErrorsAbove, Test::SlowAbove] {
        let halved = fires_at(test) - first.result(test).unwrap().fires_at;
        assert!((halved - firing(0.5)).abs() < 1e-9, "{test:?}: {halved}");
    }

    // A second incident of the same step is held like the first one, and by what came after that.
    let ill: Vec<Window> = (300..330).map(|index| of_both(&run, index, 50, 50)).collect();
    let held = fold(&run, Some(&evidence), &ill);
    assert!(held.breach.is_none() && held.current.watches.errors.alarm.unwrap().is_held());
}

/// Twelve quiet windows are no recovery if they have few requests: an arm at its limit has such stretches.
#[test]
fn s5_a_few_good_requests_do_not_end_a_shared_incident() {
    let run = run_of(&[50.0]);
    let mut evidence = after_an_incident(&run);
    for index in 240..270 {
        let few = reported(&run, window(index, 0, counts(20, 1, 0), counts(20, 1, 0)));
        evidence = fold(&run, Some(&evidence), &[few]);
        let is_held = evidence.current.watches.errors.alarm.is_some();
        assert!(is_held || index >= 258, "{index}: {} requests", 20 * (index - 239));
    }
    assert_eq!(
        evidence.current.watches.errors.alarm, None,
        "600 requests at half of the limit are a recovery"
    );
}

/// Requests that fail at once are fast. They prove nothing of slow responses when an incident of errors is over.
#[test]
fn s5_the_fast_errors_of_an_incident_prove_no_fast_responses() {
    let run = run_of(&[50.0]);
    let held = after_an_incident(&run);
    assert!(Verdict::of(&run, &held).result(Test::SlowBelow).unwrap().fires(), "none of them was slow");
    let good: Vec<Window> = (240..252).map(|index| of_both(&run, index, 0, 0)).collect();
    let over = fold(&run, Some(&held), &good);
    assert_eq!(over.current.watches.errors.alarm, None);
    assert!(!Verdict::of(&run, &over).result(Test::SlowBelow).unwrap().fires());
    let beginnings = [&over.current.watches.errors, &over.current.watches.slow].map(|watch| watch.beginning);
    assert_eq!(beginnings[0], beginnings[1]);
}

/// Counts from before legacy recovered do not delay the rollback of a new arm that does not.
#[test]
fn s5_a_long_incident_that_goes_on_at_the_new_arm_is_rolled_back_soon() {
    let run = run_without_comparisons();
    let held = after_an_incident(&run);
    let alone: Vec<Window> = (240..264).map(|index| of_both(&run, index, 50, 0)).collect();
    let breach = fold(&run, Some(&held), &alone).breach.expect("within four minutes");
    assert_eq!(breach.test, Test::ErrorsDetector);
    let figures = breach.figures.unwrap();
    assert_eq!(figures.legacy.errors, 0, "the counts are those since legacy recovered");
}

/// At the end of an outage the arm with the longer time limit goes on to time out, by requests that began in it.
#[test]
fn s5_the_timeouts_that_follow_a_shared_incident_are_no_rollback() {
    let run = run_without_comparisons();
    for minutes in [5, 20] {
        let good = known(&run, counts(100, 0, 0), counts(100, 0, 0), 20);
        let over = 120 + minutes * 6;
        let windows = (120..over + 30).map(|index| {
            let (new, legacy) = match index - over {
                ..0 => (100, 100),
                0..3 => (100, 0),
                _ => (0, 0),
            };
            with_limit(of_both(&run, index, new, legacy), 30_000)
        });
        let evidence = fold(&run, Some(&good), &windows.collect::<Vec<_>>());
        assert_eq!(evidence.breach, None, "{minutes} minutes");
        assert_eq!(evidence.current.watches.errors.alarm, None, "{minutes} minutes: it is over");
    }
}

/// An incident that goes on holds for as long as it lasts.
#[test]
fn s5_a_shared_incident_that_goes_on_is_held() {
    let run = run_of(&[50.0]);
    let held = after_an_incident(&run);
    let since = held.current.watches.errors.alarm.unwrap().since();
    let ill: Vec<Window> = (240..480).map(|index| of_both(&run, index, 20, 20)).collect();
    let later = fold(&run, Some(&held), &ill);
    let alarm = later.current.watches.errors.alarm.unwrap();
    assert!(later.breach.is_none() && alarm.is_held() && alarm.since() == since, "{alarm:?}");
    let decision = decide(&run, &later, &around(&run), after(80));
    assert_eq!((decision.action, decision.reason), (Action::Pause, Reason::SharedIncident));
}

/// A detector that has begun anew takes minutes to suspect an arm a little above its limit.
#[test]
fn s5_a_shared_incident_that_wanes_is_held() {
    let run = run_of(&[50.0]);
    let mut evidence = after_an_incident(&run);
    for index in 240..300 {
        let little = reported(&run, window(index, 0, counts(50, 6, 0), counts(50, 6, 0)));
        evidence = fold(&run, Some(&evidence), &[little]);
        assert!(evidence.current.watches.errors.alarm.is_some_and(|alarm| alarm.is_held()), "{index}");
    }
    assert_eq!(evidence.breach, None);
}

/// The decisions about an incident can be made again from their records, and from stored evidence.
#[test]
fn s5_incidents_can_be_replayed() {
    let run = run_of(&[50.0]);
    let errors = |index: i64| match index {
        120..150 => (50, 50),
        200..210 => (40, 40),
        210..230 => (40, 0),
        _ => (0, 0),
    };
    let mut records = Vec::new();
    let mut evidence: Option<Evidence> = None;
    for index in 0..230 {
        let (new, legacy) = errors(index);
        let window = of_both(&run, index, new, legacy);
        let (record, next) = Record::evaluation(after(0), "test", &run, evidence.as_ref(), vec![window]);
        records.push(record);
        let stored = serde_json::to_string(&next).unwrap();
        assert_eq!(serde_json::from_str::<Evidence>(&stored).unwrap(), next);
        evidence = Some(next);
    }
    let evidence = evidence.unwrap();
    assert!(evidence.breach.is_some() && evidence.current.watches.errors.beginning.unwrap().number == 1);
    assert_eq!(replay(&records), []);
}

/// An earlier version stored alarms in another form, and the incident apart from it. One that waits is raised again.
#[test]
fn s5_alarms_of_an_earlier_version_load() {
    let run = run_of(&[50.0]);
    let loaded = |held: bool| {
        let mut stored = serde_json::to_value(after_an_incident(&run)).unwrap();
        let watch = stored["current"]["watches"]["errors"].as_object_mut().unwrap();
        let counts = serde_json::to_value(counts(100, 50, 0)).unwrap();
        let alarm = serde_json::json!({
            "since": 17, "held": held, "test": "errors_detector", "evidence": 15.5, "suspect_since": 7,
            "counts": { "new": counts, "legacy": counts },
        });
        watch.insert("alarm".to_owned(), alarm);
        watch.insert("incident".to_owned(), serde_json::json!({ "quiet": 3 }));
        serde_json::from_value::<Evidence>(stored).unwrap()
    };
    assert_eq!(loaded(false).current.watches.errors.alarm, None);
    let held = loaded(true);
    let alarm = held.current.watches.errors.alarm.unwrap();
    assert!(alarm.is_held() && alarm.since() == 17, "{alarm:?}");
    let good: Vec<Window> = (240..270).map(|index| of_both(&run, index, 0, 0)).collect();
    assert_eq!(fold(&run, Some(&held), &good).current.watches.errors.alarm, None);
}

/// Gives the users of a window a longest time limit, in milliseconds.
fn with_limit(window: Window, settle_ms: u32) -> Window {
    let users = window.users.into_iter().map(|users| UserWindow { settle_ms, ..users }).collect();
    Window { users, ..window }
}

/// Builds the windows 120 to 149 of 250 requests on each arm, and folds them after 20 good minutes. `errors` returns those of
/// a window on both arms.
fn with_errors(run: &Run, settle_ms: u32, errors: impl Fn(i64) -> (u64, u64)) -> Evidence {
    let good = known(run, counts(250, 0, 0), counts(250, 0, 0), 20);
    let windows = (120..150).map(|index| {
        let (new, legacy) = errors(index);
        let window = window(index, run.step, counts(250, new, 0), counts(250, legacy, 0));
        with_limit(reported(run, window), settle_ms)
    });
    fold(run, Some(&good), &windows.collect::<Vec<_>>())
}

/// The users behind an alarm are known some windows later. The detector suspects nothing any more then, and the alarm is
/// judged by its own span, not by the whole step.
#[test]
fn s5_a_short_shared_incident_is_no_rollback() {
    let run = run_of(&[50.0]);
    for settle_ms in [1_000, 10_000, 30_000] {
        for windows in [1, 2] {
            let is_ill = |index| (120..120 + windows).contains(&index);
            let shared = with_errors(&run, settle_ms, |index| if is_ill(index) { (75, 75) } else { (0, 0) });
            assert_eq!(shared.breach, None, "{windows} windows, a limit of {settle_ms} ms");
            let alarm = shared.current.watches.errors.alarm;
            assert_eq!(alarm, None, "{windows} windows, a limit of {settle_ms} ms: it is over");
            let alone = with_errors(&run, settle_ms, |index| if is_ill(index) { (75, 0) } else { (0, 0) });
            assert!(
                alone.breach.is_some(),
                "{windows} windows, a limit of {settle_ms} ms: legacy is healthy"
            );
        }
    }
}

/// Of requests that hang, legacy with the longer time limit reports 30 s later that they failed.
#[test]
fn s5_the_late_outcomes_of_legacy_belong_to_a_short_incident() {
    let run = run_without_comparisons();
    let late = with_errors(&run, 30_000, |index| match index {
        120 => (75, 0),
        123 => (0, 75),
        _ => (0, 0),
    });
    assert_eq!(late.breach, None);
}

/// The users of an alarm are those of its span, also if the detector suspects nothing any more when they are learned: others
/// who failed before explain nothing.
#[test]
fn s3_the_users_of_a_short_alarm_are_those_of_its_span() {
    let run = run_without_comparisons();
    let heavy = (0..3).map(|number| failing_user(Arm::New, number, 25)).collect();
    let early = window(0, 0, counts(1_000, 75, 0), counts(1_000, 0, 0));
    let mut windows = vec![with_failing(&run, heavy, early)];
    windows.extend((1..20).map(|minute| window(minute * 6, 0, counts(250, 0, 0), counts(250, 0, 0))));
    windows.extend((120..130).map(|index| {
        let errors = if index == 120 { 75 } else { 0 };
        let window = window(index, 0, counts(250, errors, 0), counts(250, 0, 0));
        with_limit(with_failing(&run, failing_users(Arm::New, 100, index, errors), window), 10_000)
    }));
    let breach = fold(&run, None, &windows).breach.expect("sixty users had errors");
    assert_eq!(breach.test, Test::ErrorsDetector);
}

/// An alarm may wait for its users inside a shared incident.
#[test]
fn s5_an_alarm_inside_a_shared_incident_is_decided_although_nothing_arrives() {
    let run = run_of(&[50.0]);
    let mut evidence = after_an_incident(&run);
    let undecided = |evidence: &Evidence| match evidence.current.watches.errors.alarm {
        Some(AlarmState::Held(incident)) => incident.again.is_some(),
        _ => false,
    };
    let mut index = 240;
    while !undecided(&evidence) {
        assert!(index < 250, "the detector raises another alarm");
        evidence = fold(&run, Some(&evidence), &[of_both(&run, index, 50, 50)]);
        index += 1;
    }
    assert!(evidence.is_waiting(0), "time alone decides");
}

/// With too little to tell, the run waits for a minute, then it is rolled back.
#[test]
fn s5_an_undecided_incident_waits_for_a_minute() {
    let run = run_of(&[99.0]);
    let good = known(&run, counts(990, 0, 0), counts(0, 0, 0), 20);
    let ill = |index| window(index, 0, counts(200, 60, 0), counts(0, 0, 0));
    let waiting = fold(&run, Some(&good), &[ill(120)]);
    assert_eq!(waiting.breach, None);
    let decision = decide(&run, &waiting, &around(&run), after(21));
    assert_eq!((decision.action, decision.reason), (Action::Hold, Reason::Alarm));
    assert!(waiting.is_waiting(0), "time alone decides");
    let later: Vec<Window> = (121..126).map(ill).collect();
    assert_eq!(fold(&run, Some(&waiting), &later).breach, None);
    let over: Vec<Window> = (121..=127).map(ill).collect();
    assert!(fold(&run, Some(&waiting), &over).breach.is_some());
}
