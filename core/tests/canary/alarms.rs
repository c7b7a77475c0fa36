//! Absolute alarms: the detector, the second look, and shared incidents.

use super::{after, around, counts, crowd, events, known, run_of, users, window};
use cutover_core::{
    canary::{Action, ArmCounts, Evidence, Reason, Run, Test, Window, decide, fold},
    measurement::batch::{EventKinds, UserEvents, UserWindow, WINDOW_MS},
    vocabulary::arm::Arm,
};

/// Returns the first window after which there is a breach.
fn first_breach(run: &Run, windows: impl Iterator<Item = Window>) -> Option<(i64, Test)> {
    let mut evidence = None;
    for (index, window) in (0..).zip(windows) {
        let next = fold(run, evidence.as_ref(), &[window]);
        if let Some(breach) = next.breach {
            return Some((index, breach.test));
        }
        evidence = Some(next);
    }
    None
}

/// S6: at 100 percent, after 50 good minutes, a total outage is found at once and not after six
/// minutes more.
#[test]
fn s6_the_detector_watches_every_step() {
    let run = run_of(&[100.0]);
    let quiet = ArmCounts::default();
    for (errors, at_most) in [(100, 1), (50, 2), (30, 3), (15, 15)] {
        let windows = (0..400).map(|index| {
            let errors = if index < 300 { 0 } else { errors };
            window(index, 0, counts(100, errors, 0), quiet)
        });
        let (index, test) = first_breach(&run, windows).unwrap();
        assert!((300..300 + at_most).contains(&index), "{errors} %: {index}");
        assert_eq!(test, Test::ErrorsDetector);
    }
}

/// A piece of a window must not move the detector: each restart makes false alarms more frequent.
#[test]
fn the_detector_moves_once_for_each_closed_window() {
    let run = run_of(&[50.0]);
    let whole = window(0, 0, counts(600, 66, 0), counts(600, 6, 0));
    let piece = window(0, 0, counts(100, 11, 0), counts(100, 1, 0));
    let mut pieces: Vec<Window> =
        (1..=6).map(|n| Window { end: piece.start + n * WINDOW_MS / 6, ..piece.clone() }).collect();
    pieces[5].end = whole.end;
    let in_one = fold(&run, None, &[whole]);
    let in_six = pieces.iter().fold(None, |held: Option<Evidence>, piece| {
        Some(fold(&run, held.as_ref(), std::slice::from_ref(piece)))
    });
    assert_eq!(in_six.unwrap().current.watches, in_one.current.watches);
    // A window without requests is no move either.
    let idle = fold(&run, Some(&in_one), &[window(1, 0, counts(0, 0, 0), counts(0, 0, 0))]);
    assert_eq!(idle.current.watches.errors, in_one.current.watches.errors);
}

/// An open window is closed by the time alone, when nothing arrives any more.
#[test]
fn an_open_window_is_closed_although_nothing_arrives() {
    let run = run_of(&[50.0]);
    let whole = window(0, 0, counts(600, 66, 0), counts(600, 6, 0));
    let open = Window { end: whole.start + 4_000, ..whole.clone() };
    let evidence = fold(&run, None, &[open]);
    assert_eq!(evidence.current.watches.errors, Evidence::none(&run).current.watches.errors);
    assert!(!evidence.is_waiting(whole.end - 1) && evidence.is_waiting(whole.end));
    let closed = fold(&run, Some(&evidence), &[Window::nothing(whole.end)]);
    assert_eq!(closed.current.watches, fold(&run, None, std::slice::from_ref(&whole)).current.watches);
    assert!(!closed.is_waiting(whole.end));
}

/// S3: requests of one user are not independent. A limit that only three users break is not broken.
#[test]
fn s3_an_alarm_must_stand_without_the_three_busiest_failing_users() {
    let run = run_of(&[50.0]);
    let heavy = |number: u64| UserEvents {
        errors: 50,
        requests: 50,
        ..events(Arm::New, EventKinds::ERROR, number, 1).next().unwrap()
    };
    let with = |heavy_users: u64| {
        let failing: Vec<UserEvents> = (0..heavy_users).map(heavy).collect();
        let first = UserWindow { events: failing, ..crowd(&run, 0) };
        let fine = counts(1_000, 0, 0);
        let mut windows = vec![window(0, 0, fine, fine), window(2, 0, fine, fine)];
        windows[0].users.push(first);
        // The users of the first window are ripe when the errors arrive.
        windows.push(window(3, 0, counts(500, 500, 0), counts(500, 0, 0)));
        fold(&run, None, &windows).breach.map(|breach| breach.test)
    };
    assert_eq!(with(0), Some(Test::ErrorsAbove), "without failing users there is no second look");
    assert_eq!(with(8), Some(Test::ErrorsAbove), "it stands without three of eight");

    let fine = counts(1_000, 0, 0);
    let mut early = window(0, 0, counts(400, 150, 0), fine);
    early.users.push(UserWindow { events: (0..3).map(heavy).collect(), ..crowd(&run, 0) });
    assert!(fold(&run, None, std::slice::from_ref(&early)).breach.is_some(), "counts do not wait for users");
    // Here the users are known when the errors are.
    early.steps.clear();
    let evidence = fold(&run, None, &[early, window(2, 0, counts(400, 150, 0), fine)]);
    assert_eq!(evidence.breach, None, "three users alone break no limit");
    let others = fold(&run, Some(&evidence), &[window(4, 0, counts(400, 300, 0), fine)]);
    assert!(others.breach.is_some(), "others fail as well");
}

#[test]
fn s3_an_alarm_reports_the_busiest_user() {
    let run = run_of(&[50.0]);
    let failing =
        UserEvents { errors: 40, requests: 41, ..events(Arm::New, EventKinds::ERROR, 0, 1).next().unwrap() };
    let fine = counts(100, 0, 0);
    let mut first = window(0, 0, fine, fine);
    first.users.push(UserWindow { events: vec![failing], ..crowd(&run, 0) });
    let windows = [first, window(2, 0, fine, fine), window(3, 0, counts(400, 300, 0), fine)];
    let breach = fold(&run, None, &windows).breach.unwrap();
    assert_eq!(breach.figures.unwrap().busiest.unwrap().errors, 40);
    assert!(
        breach.sentence().contains("the busiest failing user had 40 of the errors"),
        "{}",
        breach.sentence()
    );
}

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
    let ill = window(120, 0, counts(100, 50, 0), counts(100, 50, 0));
    let held = fold(&run, Some(&good), &[ill]);
    let decision = decide(&run, &held, &around(&run), after(21));
    assert_eq!((decision.action, decision.reason), (Action::Hold, Reason::SharedIncident));
    assert!(held.current.watches.errors.alarm.unwrap().held);
    let recovered: Vec<Window> =
        (121..160).map(|index| window(index, 0, counts(100, 50, 0), counts(100, 0, 0))).collect();
    let breach = fold(&run, Some(&held), &recovered).breach.unwrap();
    assert_eq!(breach.test, Test::ErrorsDetector);
    assert!(breach.figures.unwrap().since.is_some(), "the counts are those of the suspect span");
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
    assert_eq!((decision.action, decision.reason), (Action::Hold, Reason::SharedIncident));
    assert!(waiting.is_waiting(0), "time alone decides");
    let later: Vec<Window> = (121..126).map(ill).collect();
    assert_eq!(fold(&run, Some(&waiting), &later).breach, None);
    let over: Vec<Window> = (121..=127).map(ill).collect();
    assert!(fold(&run, Some(&waiting), &over).breach.is_some());
}

/// Slow responses have a detector of their own.
#[test]
fn slow_responses_are_detected_too() {
    let run = run_of(&[100.0]);
    let windows = (0..310).map(|index| {
        let slow = if index < 300 { 0 } else { 60 };
        window(index, 0, counts(100, 0, slow), ArmCounts::default())
    });
    let (index, test) = first_breach(&run, windows).unwrap();
    assert!(index <= 303, "{index}");
    assert_eq!(test, Test::SlowDetector);
}

/// The map of failing users is bounded; the alarm works without those that were left out.
#[test]
fn a_hundred_thousand_failing_users_are_a_breach() {
    let run = run_of(&[50.0]);
    let mut ill = window(0, 0, counts(100_000, 90_000, 0), counts(100_000, 0, 0));
    let failing = events(Arm::New, EventKinds::ERROR, 0, 100_000).collect();
    ill.users.push(UserWindow { events: failing, ..users(&run, 0) });
    let evidence = fold(&run, None, &[ill, window(5, 0, counts(10, 9, 0), counts(10, 0, 0))]);
    assert!(evidence.breach.is_some());
    assert!(evidence.current.events.users.len() <= 4_096);
    assert_eq!(
        evidence.current.events.step.total(EventKinds::ERROR).new,
        100_000,
        "sums are never taken back"
    );
}
