//! Absolute alarms: the detector and the second look.

use super::{
    after, around, counts, crowd, events, failing_user, failing_users, percent, reported, run_of, users,
    window, with_failing,
};
use cutover_core::{
    canary::{Action, ArmCounts, Evidence, Reason, Run, Test, Window, decide, fold, plan::RelativePolicy},
    measurement::{
        batch::{EventKinds, UserEvents, UserWindow, WINDOW_MS},
        pace::Pace,
    },
    vocabulary::arm::Arm,
};

/// Returns the first window after which there is a breach.
pub(super) fn first_breach(run: &Run, windows: impl Iterator<Item = Window>) -> Option<(i64, Test)> {
    let mut evidence = None;
    for (index, window) in (0..).zip(windows) {
        let next = fold(run, evidence.as_ref(), &[window]);
        if let Some(breach) = &next.breach {
            return Some((index, breach.test));
        }
        evidence = Some(next);
    }
    None
}

/// Starts a run at 50 percent that compares nothing, so that only absolute alarms roll it back.
pub(super) fn run_without_comparisons() -> Run {
    let mut run = run_of(&[50.0]);
    run.plan.options.relative = RelativePolicy::Ignore;
    run
}

/// S6: at 100 percent, after 50 good minutes, a total outage is found at once and not after six
/// minutes more. The last window of each bound is the wait for the users.
#[test]
fn s6_the_detector_watches_every_step() {
    let run = run_of(&[100.0]);
    let quiet = ArmCounts::default();
    for (errors, at_most) in [(100, 2), (50, 3), (30, 4), (15, 16)] {
        let windows = (0..400).map(|index| {
            let errors = if index < 300 { 0 } else { errors };
            reported(&run, window(index, 0, counts(100, errors, 0), quiet))
        });
        let (index, test) = first_breach(&run, windows).unwrap();
        assert!((300..300 + at_most).contains(&index), "{errors} %: {index}");
        assert_eq!(test, Test::ErrorsDetector);
    }
}

/// Counts are learned before users. An alarm waits for the users of the window in which it began,
/// because they may explain it, but for 30 seconds and the time limit at most.
#[test]
fn s3_an_alarm_waits_for_the_users_of_its_window() {
    let run = run_of(&[50.0]);
    let settled = |settle_ms| UserWindow { settle_ms, ..crowd(&run, 0) };
    let cases = [
        ("no time limit", vec![settled(0)], 1),
        ("a time limit of 1 s", vec![crowd(&run, 0)], 1),
        ("a time limit of 15 s", vec![settled(15_000)], 3),
        ("a time limit of 60 s", vec![settled(60_000)], 7),
        ("the users of the window before", vec![crowd(&run, -1)], 4),
        ("the users of another share", vec![UserWindow { share: percent(25.0), ..crowd(&run, 0) }], 4),
        ("no users", Vec::new(), 3),
    ];
    for (name, users, expected) in cases {
        let ill = |index| window(index, 0, counts(500, 250, 0), counts(500, 0, 0));
        let first = Window { users, ..ill(0) };
        let windows: Vec<Window> = std::iter::once(first).chain((1..8).map(ill)).collect();
        let found = first_breach(&run, windows.iter().cloned());
        assert_eq!(found, Some((expected, Test::ErrorsDetector)), "{name}");
        if expected > 0 {
            let waiting = fold(&run, None, &windows[..1]);
            assert!(waiting.current.watches.errors.alarm.is_some(), "{name}: it is noted");
            assert!(waiting.is_waiting(super::START + WINDOW_MS), "{name}: time alone decides");
        }
    }
}

/// Isolates with the longest interval report their users later than 30 seconds after an alarm. They may explain it.
#[test]
fn s3_an_alarm_waits_for_users_in_the_reports_of_a_longer_interval() {
    let run = run_of(&[50.0]);
    let report_ms = Pace { interval_ms: 60_000, ..Pace::default() }.report_ms(super::START);
    let found = |failing: Vec<UserEvents>| {
        let ill = with_failing(&run, failing, window(0, 0, counts(400, 150, 0), counts(400, 0, 0)));
        let fine = (1..10).map(|index| window(index, 0, counts(100, 0, 0), counts(100, 0, 0)));
        let slowly = |window: Window| Window { report_ms, ..window };
        first_breach(&run, std::iter::once(ill).chain(fine).map(slowly))
    };
    assert_eq!(found((0..3).map(|number| failing_user(Arm::New, number, 50)).collect()), None);
    // A window, a time limit of 1 s, an interval and its delivery.
    assert_eq!(found(Vec::new()), Some((7, Test::ErrorsDetector)));
}

/// The edge reports no users of a run without a key.
#[test]
fn s3_an_alarm_of_a_run_without_a_key_does_not_wait() {
    let keyless = Run { key: None, ..run_of(&[50.0]) };
    let ill = |index| window(index, 0, counts(500, 250, 0), counts(500, 0, 0));
    assert_eq!(first_breach(&keyless, (0..8).map(ill)), Some((0, Test::ErrorsDetector)));
}

/// An alarm that stands only because of three users is over once they are known.
#[test]
fn s3_an_alarm_of_three_users_is_cleared_and_the_run_goes_on() {
    let run = run_of(&[50.0]);
    let fine = counts(500, 0, 0);
    let ill = window(0, 0, counts(400, 150, 0), counts(400, 0, 0));
    let three = (0..3).map(|number| failing_user(Arm::New, number, 50)).collect();
    let waiting = fold(&run, None, &[with_failing(&run, three, ill.clone())]);
    assert_eq!(waiting.breach, None);
    assert!(waiting.current.watches.errors.alarm.is_some(), "it waits for the users");

    let next = window(1, 0, counts(100, 0, 0), counts(100, 0, 0));
    let cleared = fold(&run, Some(&waiting), std::slice::from_ref(&next));
    assert_eq!((&cleared.breach, cleared.current.watches.errors.alarm), (&None, None));
    let others = fold(&run, None, &[with_failing(&run, Vec::new(), ill), next]);
    assert_eq!(others.breach.map(|breach| breach.test), Some(Test::ErrorsDetector), "of others it stands");

    let decision = decide(&run, &cleared, &around(&run), after(1));
    assert_eq!((decision.action, decision.reason), (Action::Hold, Reason::StepTime));
    let later: Vec<Window> = (1..20).map(|minute| window(minute * 6, 0, fine, fine)).collect();
    let proven = fold(&run, Some(&cleared), &later);
    let decision = decide(&run, &proven, &around(&run), after(20));
    assert_eq!((decision.action, decision.reason), (Action::Advance, Reason::Proven));
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
    let run = run_without_comparisons();
    let quiet = |index| window(index, 0, counts(100, 0, 0), counts(100, 0, 0));
    let with = |errors: u64, heavy_users: u64| {
        let heavy = (0..heavy_users).map(|number| failing_user(Arm::New, number, 50)).collect();
        let ill = window(0, 0, counts(500, errors, 0), counts(500, 0, 0));
        fold(&run, None, &[with_failing(&run, heavy, ill), quiet(1)])
    };
    let test = |evidence: &Evidence| evidence.breach.as_ref().map(|breach| breach.test);
    assert_eq!(
        test(&with(500, 0)),
        Some(Test::ErrorsDetector),
        "without known failing users there is no second look"
    );
    assert_eq!(test(&with(400, 8)), Some(Test::ErrorsDetector), "it stands without three of eight");
    let three = with(150, 3);
    assert_eq!(test(&three), None, "three users alone break no limit");

    let others = (10..60).map(|number| failing_user(Arm::New, number, 6)).collect();
    let ill = window(2, 0, counts(400, 300, 0), counts(400, 0, 0));
    let others = fold(&run, Some(&three), &[with_failing(&run, others, ill), quiet(3)]);
    assert_eq!(test(&others), Some(Test::ErrorsDetector), "others fail as well");
}

/// Three users keep the counts of the whole step above their level, a little above the limit. An alarm that they explain must
/// not keep the detector from finding a fault of others.
#[test]
fn s3_an_alarm_that_was_cleared_does_not_hide_another() {
    let run = run_without_comparisons();
    let windows = (0..80).map(|index| {
        let heavy = (0..3).map(|number| failing_user(Arm::New, number, if number < 2 { 37 } else { 36 }));
        let others = if index < 60 { 0 } else { 200 };
        let failing = heavy.chain(failing_users(Arm::New, 100, index, others)).collect();
        let window = window(index, 0, counts(1_000, 110 + others, 0), counts(1_000, 0, 0));
        with_failing(&run, failing, window)
    });
    let (index, test) = first_breach(&run, windows).expect("a fifth of the requests of others fail");
    assert!((60..66).contains(&index), "{index}");
    assert_eq!(test, Test::ErrorsDetector);
}

/// The counts of the whole step are looked at although an alarm of the detector was cleared.
#[test]
fn s3_an_alarm_that_goes_on_without_its_users_is_raised_again() {
    let run = run_without_comparisons();
    let windows = (0..60).map(|index| {
        let heavy = (0..3).map(|number| failing_user(Arm::New, number, 50));
        let others = if index < 3 { 0 } else { 60 };
        let failing = heavy.chain(failing_users(Arm::New, 100, index, others)).collect();
        let window = window(index, 0, counts(500, 150 + others, 0), counts(500, 0, 0));
        with_failing(&run, failing, window)
    });
    let (index, _) = first_breach(&run, windows).expect("60 of 350 requests of others fail");
    assert!(index < 20, "{index}");
}

#[test]
fn s3_an_alarm_reports_the_busiest_user() {
    let run = run_without_comparisons();
    let busiest = UserEvents { requests: 41, ..failing_user(Arm::New, 0, 40) };
    let others = (1..=52).map(|number| failing_user(Arm::New, number, 5));
    let failing = std::iter::once(busiest).chain(others).collect();
    let fine = counts(100, 0, 0);
    let ill = with_failing(&run, failing, window(3, 0, counts(400, 300, 0), fine));
    let windows = [window(0, 0, fine, fine), ill, window(4, 0, fine, fine)];
    let breach = fold(&run, None, &windows).breach.unwrap();
    assert_eq!(breach.figures.unwrap().busiest.unwrap().errors, 40);
    assert!(
        breach.sentence().contains("the busiest failing user had 40 of the errors"),
        "{}",
        breach.sentence()
    );
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
