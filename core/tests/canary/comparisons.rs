//! Comparisons of the arms by users, and the sample ratio.

use super::{after, around, counts, crowd, events, hash, known, percent, run_of, seen, users, window};
use cutover_core::{
    canary::{Action, Evidence, Reason, Run, Test, Verdict, Window, decide, fold, plan::RelativePolicy},
    measurement::{
        batch::{EventKinds, SeenUser, UserEvents, UserWindow, WINDOW_MS},
        pace::Pace,
    },
    vocabulary::arm::Arm,
};

/// Builds a window at `index` with the users of the event window five minutes before, all of them
/// ripe.
fn with_users(run: &Run, index: i64, errors: u64, reported: UserWindow) -> Window {
    let fine = counts(500, 0, 0);
    Window { users: vec![reported], ..window(index, run.step, counts(500, errors, 0), fine) }
}

/// Returns evidence of twenty minutes in which users on the new arm have an event of a kind, and so
/// many on legacy.
fn with_events(run: &Run, kind: EventKinds, new: u64, legacy: u64) -> Evidence {
    let evidence = known(run, counts(500, 0, 0), counts(500, 0, 0), 19);
    let all = events(Arm::New, kind, 0, new).chain(events(Arm::Legacy, kind, 1_000_000, legacy)).collect();
    let reported = UserWindow { events: all, ..users(run, 60) };
    fold(run, Some(&evidence), &[with_users(run, 114, new.min(25), reported)])
}

fn decided(run: &Run, evidence: &Evidence) -> (Action, Reason) {
    let decision = decide(run, evidence, &around(run), after(20));
    (decision.action, decision.reason)
}

/// B3: within its limits, but worse than legacy: the plan says what follows.
#[test]
fn b3_the_policy_decides_about_a_backend_that_is_worse_within_its_limits() {
    let mut run = run_of(&[25.0, 50.0]);
    let worse = with_events(&run, EventKinds::ERROR, 25, 0);
    assert_eq!(decided(&run, &worse), (Action::Hold, Reason::WorseThanLegacy));
    assert_eq!(worse.current.worse.as_ref().unwrap().test, Test::ErrorsRelative);

    // It is kept when the evidence fades, and becomes a breach when the limit is exceeded.
    let fine = counts(500, 0, 0);
    let faded: Vec<UserEvents> = events(Arm::Legacy, EventKinds::ERROR, 2_000_000, 500).collect();
    let faded = with_users(&run, 115, 0, UserWindow { events: faded, ..users(&run, 61) });
    let faded = fold(&run, Some(&worse), &[faded]);
    assert!(!Verdict::of(&run, &faded).result(Test::ErrorsRelative).unwrap().fires());
    assert_eq!(decided(&run, &faded), (Action::Hold, Reason::WorseThanLegacy));
    let failing = fold(&run, Some(&worse), &[window(115, 0, counts(20_000, 1_500, 0), fine)]);
    assert_eq!(failing.breach.unwrap().test, Test::ErrorsRelative);

    run.plan.options.relative = RelativePolicy::Rollback;
    let worse = with_events(&run, EventKinds::ERROR, 25, 0);
    assert_eq!(decided(&run, &worse), (Action::RollBack, Reason::Breach));
    run.plan.options.relative = RelativePolicy::Ignore;
    let worse = with_events(&run, EventKinds::ERROR, 25, 0);
    assert_eq!(decided(&run, &worse), (Action::Advance, Reason::Proven));
    assert!(Verdict::of(&run, &worse).result(Test::ErrorsRelative).unwrap().fires(), "it is reported");
}

/// S2: a backend that answers 404, 401 or 400 is fast and free of errors.
#[test]
fn s2_client_errors_roll_back_by_class() {
    for (kind, test) in [
        (EventKinds::UNAUTHORIZED, Test::UnauthorizedRelative),
        (EventKinds::NOT_FOUND, Test::NotFoundRelative),
        (EventKinds::CLIENT_ERROR, Test::ClientErrorsRelative),
    ] {
        let run = run_of(&[25.0, 50.0]);
        let evidence = with_events(&run, kind, 40, 3);
        assert_eq!(evidence.breach.map(|breach| breach.test), Some(test));
        let fair = with_events(&run, kind, 10, 30);
        assert_eq!(decided(&run, &fair), (Action::Advance, Reason::Proven), "{test:?}");
    }
}

/// S2: one class must not hide another.
#[test]
fn s2_a_common_404_does_not_hide_a_lost_token() {
    let run = run_of(&[25.0, 50.0]);
    let mut all: Vec<UserEvents> = events(Arm::New, EventKinds::NOT_FOUND, 0, 1_000).collect();
    all.extend(events(Arm::Legacy, EventKinds::NOT_FOUND, 1_000_000, 3_000));
    all.extend(events(Arm::New, EventKinds::UNAUTHORIZED, 0, 60));
    let reported = UserWindow { events: all, ..users(&run, 0) };
    let evidence = fold(&run, None, &[with_users(&run, 30, 0, reported)]);
    assert_eq!(evidence.breach.unwrap().test, Test::UnauthorizedRelative);
}

/// S3: users who always fail count once, however often they fail.
#[test]
fn s3_a_user_counts_once_in_the_step_and_once_in_a_period() {
    let run = run_of(&[50.0]);
    let fails = |index: i64| {
        let failing = events(Arm::New, EventKinds::ERROR, 0, 5).collect();
        let reported = UserWindow { events: failing, ..users(&run, index) };
        with_users(&run, index + 2, 5, reported)
    };
    let windows: Vec<Window> = (0..300).map(|index| fails(index * 3)).collect();
    let evidence = fold(&run, None, &windows);
    assert_eq!(evidence.breach, None, "five users are no breach, whatever they do");
    assert_eq!(evidence.current.events.step.total(EventKinds::ERROR).new, 5);
    let periods = &evidence.current.events.periods;
    assert!(!periods.is_empty() && periods.len() <= 3, "old periods are forgotten");
    assert!(periods.iter().all(|period| period.sums.total(EventKinds::ERROR).new <= 5));
    assert!(periods.iter().any(|period| period.sums.total(EventKinds::ERROR).new == 5), "again, once");
}

/// S3: identical backends, with users who fail half of the time whoever answers.
#[test]
fn s3_identical_backends_are_not_told_apart() {
    for (share, salt) in (0..60).map(|salt| ([1.0, 5.0, 25.0, 50.0, 90.0][salt as usize % 5], salt)) {
        let run = run_of(&[share]);
        let arm = |number: u64| {
            let bucket = hash(number ^ (salt << 32)) % 1_000_000;
            if bucket < u64::from(percent(share).get()) { Arm::New } else { Arm::Legacy }
        };
        let mut evidence = None;
        for index in 0..360_i64 {
            let failing: Vec<UserEvents> = (0..20_u64)
                .filter(|number| hash(number + index.unsigned_abs() * 1_000 + (salt << 40)).is_multiple_of(2))
                .flat_map(|number| events(arm(number), EventKinds::ERROR, number, 1))
                .collect();
            let reported = UserWindow { events: failing, ..users(&run, index) };
            evidence = Some(fold(&run, evidence.as_ref(), &[with_users(&run, index + 2, 1, reported)]));
        }
        let evidence = evidence.unwrap();
        assert_eq!((&evidence.breach, &evidence.current.worse), (&None, &None), "{share} %, salt {salt}");
    }
}

/// A client without cookies is a user per request. In one count it would hide a fault.
#[test]
fn minted_ids_do_not_hide_a_fault_of_real_users() {
    let mut run = run_of(&[5.0, 50.0]);
    run.plan.options.relative = RelativePolicy::Rollback;
    let bot = |arm, first, count| {
        events(arm, EventKinds::ERROR, first, count).map(|event| UserEvents { minted: true, ..event })
    };
    let mut all: Vec<UserEvents> = bot(Arm::New, 0, 100).chain(bot(Arm::Legacy, 1_000, 1_900)).collect();
    let quiet =
        fold(&run, None, &[with_users(&run, 30, 0, UserWindow { events: all.clone(), ..users(&run, 0) })]);
    assert_eq!(quiet.breach, None);
    all.extend(events(Arm::New, EventKinds::ERROR, 5_000, 12));
    let ill = fold(&run, None, &[with_users(&run, 30, 0, UserWindow { events: all, ..users(&run, 0) })]);
    assert_eq!(ill.breach.unwrap().test, Test::ErrorsRelative);
}

/// A fault after fifty good minutes, with users who fail anyway, is found by the period.
#[test]
fn a_late_fault_is_found_in_its_period() {
    let mut run = run_of(&[50.0]);
    run.plan.options.relative = RelativePolicy::Rollback;
    let mut early: Vec<UserEvents> = events(Arm::New, EventKinds::ERROR, 0, 300).collect();
    early.extend(events(Arm::Legacy, EventKinds::ERROR, 1_000_000, 300));
    let early = with_users(&run, 2, 0, UserWindow { events: early, ..users(&run, 0) });
    let late = events(Arm::New, EventKinds::ERROR, 10_000, 40).collect();
    let late = with_users(&run, 310, 0, UserWindow { events: late, ..users(&run, 306) });
    let breach = fold(&run, None, &[early, late]).breach.unwrap();
    let figures = breach.figures.unwrap();
    assert_eq!((figures.users.new, figures.users.all), (40, 40), "the users of the period alone");
    assert_eq!(figures.since.unwrap(), after(50));
}

/// A shared outage in which the new arm fails sooner: both arms of a window are learned together.
#[test]
fn users_wait_until_their_window_is_ripe() {
    let mut run = run_of(&[50.0]);
    run.plan.options.relative = RelativePolicy::Rollback;
    let fast: Vec<UserEvents> = events(Arm::New, EventKinds::ERROR, 0, 50).collect();
    let slow: Vec<UserEvents> = events(Arm::Legacy, EventKinds::ERROR, 1_000, 50).collect();
    let reported = |events| UserWindow { settle_ms: 15_000, events, ..users(&run, 0) };
    let first = with_users(&run, 0, 0, reported(fast.clone()));
    let evidence = fold(&run, None, &[first]);
    assert_eq!((evidence.current.events.users.len(), &evidence.breach), (0, &None));
    assert!(!evidence.is_waiting(super::START + 32_999) && evidence.is_waiting(super::START + 33_000));
    let both = fold(
        &run,
        Some(&evidence),
        &[with_users(&run, 1, 0, reported(slow)), window(3, 0, counts(1, 0, 0), counts(1, 0, 0))],
    );
    assert_eq!(both.current.events.step.total(EventKinds::ERROR).all, 100);
    assert_eq!(both.breach, None);
    let alone = fold(&run, Some(&evidence), &[Window::nothing(super::START + 33_000)]);
    assert_eq!(alone.breach.unwrap().test, Test::ErrorsRelative);
}

/// The same in a large fleet, whose isolates have a longer interval: as long as the reports of some may be missing, nobody is
/// learned.
#[test]
fn users_wait_for_the_reports_of_isolates_with_a_longer_interval() {
    let mut run = run_of(&[50.0]);
    run.plan.options.relative = RelativePolicy::Rollback;
    for interval_ms in [20_000, 60_000] {
        let report_ms = Pace { interval_ms, ..Pace::default() }.report_ms(super::START);
        // The end of the event window, the time limit, and the time of a report.
        let ripe = WINDOW_MS + i64::from(super::SETTLE_MS) + i64::try_from(report_ms).unwrap();
        let reported = |index: i64, arm: Arm, first: u64| {
            let events = events(arm, EventKinds::ERROR, first, 50).collect();
            let window = with_users(&run, index, 0, UserWindow { events, ..users(&run, 0) });
            Window { report_ms, ..window }
        };
        let until = |end: i64| Window { report_ms, ..Window::nothing(super::START + end) };
        let early = fold(&run, None, &[reported(0, Arm::New, 0)]);
        assert!(!early.is_waiting(super::START + ripe - 1) && early.is_waiting(super::START + ripe));
        let waiting = fold(&run, Some(&early), &[until(ripe - 1)]);
        assert_eq!((waiting.current.events.users.len(), &waiting.breach), (0, &None), "{interval_ms}");
        let late = reported(ripe / WINDOW_MS - 1, Arm::Legacy, 1_000);
        let both = fold(&run, Some(&early), &[late, until(ripe)]);
        assert_eq!(both.current.events.step.total(EventKinds::ERROR).all, 100, "{interval_ms}");
        assert_eq!(both.breach, None, "{interval_ms}");
        let alone = fold(&run, Some(&early), &[until(ripe)]);
        assert_eq!(alone.breach.unwrap().test, Test::ErrorsRelative, "{interval_ms}");
    }
}

/// After the step, and with another share, users are not comparable.
#[test]
fn users_of_another_share_do_not_count() {
    let run = run_of(&[50.0]);
    let all: Vec<UserEvents> = events(Arm::New, EventKinds::ERROR, 0, 50).collect();
    let reported = UserWindow { events: all, share: percent(25.0), ..users(&run, 0) };
    let evidence = fold(&run, None, &[with_users(&run, 30, 0, reported)]);
    assert_eq!(evidence.current.events.users.len(), 0);
}

/// S1: a perfect split is no mismatch, however many users there are; a wrong one is.
#[test]
fn s1_the_sample_ratio_has_no_false_alarm_and_finds_a_wrong_split() {
    let run = run_of(&[5.0, 50.0]);
    let fires = |on_new_of_100: u64, windows: u64| {
        let mut evidence = None;
        for index in 0..windows {
            let arms = (0..3_000).map(|number| {
                let number = index * 3_000 + number;
                let is_new = number % 100 < on_new_of_100;
                SeenUser(hash(number), if is_new { Arm::New } else { Arm::Legacy })
            });
            let index = i64::try_from(index).unwrap();
            let reported = UserWindow { seen: arms.collect(), ..users(&run, index) };
            evidence = Some(fold(&run, evidence.as_ref(), &[with_users(&run, index + 2, 0, reported)]));
        }
        Verdict::of(&run, &evidence.unwrap()).ratio_mismatch
    };
    assert!(!fires(5, 150), "450 000 users, split as configured");
    assert!(fires(10, 3), "twice the share");
}

#[test]
fn a_split_that_is_not_the_configured_one_holds() {
    let run = run_of(&[25.0, 50.0]);
    let with = |new: u64, legacy: u64| {
        let reported = UserWindow {
            seen: seen(Arm::New, 0, new).chain(seen(Arm::Legacy, 10_000, legacy)).collect(),
            ..users(&run, 60)
        };
        let windows = [with_users(&run, 113, 0, reported.clone()), with_users(&run, 114, 0, reported)];
        let evidence = fold(&run, None, &windows);
        assert_eq!(evidence.current.seen.count.new, new, "a user counts once");
        decided(&run, &evidence).1
    };
    assert_eq!(with(250, 750), Reason::Proven);
    assert_eq!(with(500, 500), Reason::SampleRatioMismatch);
}

/// Mismatches count the first compared request of each user.
#[test]
fn mismatches_roll_back_and_keep_from_advancing() {
    let mut run = run_of(&[25.0, 50.0]);
    run.plan.success_criteria.max_mismatch_rate = Some(0.01);
    run.plan.rollback_criteria.max_mismatch_rate = Some(0.05);
    let with = |users_compared: u64, mismatched: u64| {
        let compared = (0..users_compared).map(|number| (hash(number), number < mismatched)).collect();
        let reported = UserWindow { compared, ..crowd(&run, 60) };
        fold(&run, None, &[with_users(&run, 114, 0, reported.clone()), with_users(&run, 115, 0, reported)])
    };
    assert_eq!(decided(&run, &with(10, 0)), (Action::Hold, Reason::NotProven));
    let good = with(2_000, 0);
    assert_eq!((good.current.compared.compared, good.current.compared.mismatched), (2_000, 0));
    assert_eq!(decided(&run, &good), (Action::Advance, Reason::Proven));
    let breach = with(200, 40).breach.unwrap();
    assert_eq!(
        breach.sentence(),
        "Rolled back from 25 %: 40 of 200 users got a different response from new (20.0 %, the limit is 5.0 %)."
    );
}

#[test]
fn a_comparison_is_explained_with_its_users() {
    let mut run = run_of(&[50.0]);
    run.plan.options.relative = RelativePolicy::Rollback;
    let reported = UserWindow {
        seen: seen(Arm::New, 0, 640).chain(seen(Arm::Legacy, 1_000_000, 655)).collect(),
        events: events(Arm::New, EventKinds::ERROR, 0, 25).collect(),
        ..users(&run, 0)
    };
    let evidence = fold(&run, None, &[with_users(&run, 30, 25, reported)]);
    assert_eq!(
        evidence.breach.unwrap().sentence(),
        "Rolled back from 50 %: 25 of 640 users on new had errors (3.9 %), 0 of 655 on legacy."
    );
}
