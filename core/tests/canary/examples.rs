//! Examples: the order of the checks in a tick, and the requests that count as evidence.

use super::{START, after, around, counts, known, run, window};
use cutover_core::{
    PartsPerMillion,
    canary::{
        Action, ArmCounts, Evidence, Reason, Run, RunState, Test, TickContext, Verdict, Window, decide, fold,
        windows,
    },
    measurement::{
        batch::{Batch, Cell, SCHEMA},
        counts::{Counts, Outcome},
    },
    vocabulary::{arm::Arm, reason::Reason as Why, revision::Revision},
};

#[test]
fn the_order_in_which_a_tick_looks_at_things() {
    let good = counts(500, 0, 0);
    let bad = counts(500, 250, 0);
    let quiet = ArmCounts::default();
    let base = run();
    let check = |name: &str, run: &Run, around: &TickContext, evidence: &Evidence, minute: i64, expected| {
        let decision = decide(run, evidence, around, after(minute));
        assert_eq!((decision.action, decision.reason), expected, "{name}");
    };
    let proven = known(&base, good, good, 20);
    let breached = known(&base, bad, good, 20);
    let emergency = TickContext { emergency: true, ..around(&base) };
    let paused = base.paused("p");
    check(
        "an emergency pauses, before anything else",
        &base,
        &emergency,
        &breached,
        20,
        (Action::Pause, Reason::Emergency),
    );
    check(
        "a breach is checked before a pause",
        &paused,
        &around(&base),
        &breached,
        20,
        (Action::RollBack, Reason::Breach),
    );
    check(
        "a breach is checked before the step's time",
        &base,
        &around(&base),
        &known(&base, bad, good, 1),
        1,
        (Action::RollBack, Reason::Breach),
    );
    let off = TickContext { enabled: false, ..around(&base) };
    check("a disabled flag holds", &base, &off, &proven, 20, (Action::Hold, Reason::FlagDisabled));
    check("pause holds", &paused, &around(&base), &proven, 20, (Action::Hold, Reason::Paused));
    check(
        "a shared incident holds",
        &base,
        &around(&base),
        &known(&base, bad, bad, 20),
        20,
        (Action::Hold, Reason::SharedIncident),
    );
    check(
        "the step's time",
        &base,
        &around(&base),
        &known(&base, good, good, 5),
        5,
        (Action::Hold, Reason::StepTime),
    );
    check("proven", &base, &around(&base), &proven, 20, (Action::Advance, Reason::Proven));
    let few = known(&base, counts(2, 0, 0), good, 20);
    check("not proven", &base, &around(&base), &few, 20, (Action::Hold, Reason::NotProven));
    check(
        "only legacy receives requests",
        &base,
        &around(&base),
        &known(&base, quiet, good, 10),
        10,
        (Action::Hold, Reason::CanaryStarved),
    );
    let nothing = Evidence::none(&base);
    check("no requests", &base, &around(&base), &nothing, 10, (Action::Hold, Reason::NoData));
    check("the deadline", &base, &around(&base), &nothing, 30, (Action::Pause, Reason::NoData));
    let mut strict = base.clone();
    strict.plan.options.approval_before = vec![PartsPerMillion::from_percent(25.0).unwrap()];
    let known_strict = known(&strict, good, good, 20);
    check(
        "approval is checked last",
        &strict,
        &around(&strict),
        &known_strict,
        20,
        (Action::Hold, Reason::Approval),
    );
    let approved = Run { approved: Some(1), ..strict.clone() };
    check("approved", &approved, &around(&strict), &known_strict, 20, (Action::Advance, Reason::Proven));
    let mut baking = base.clone();
    for _ in 0..3 {
        baking = baking.advanced(after(0), "");
    }
    assert_eq!((baking.state, baking.step), (RunState::Baking, 3));
    check(
        "baking",
        &baking,
        &around(&base),
        &known(&baking, good, quiet, 20),
        20,
        (Action::Hold, Reason::Baking),
    );
    check(
        "baked",
        &baking,
        &around(&base),
        &known(&baking, good, quiet, 60),
        60,
        (Action::Complete, Reason::Baked),
    );
    check(
        "a breach while it bakes",
        &baking,
        &around(&base),
        &known(&baking, bad, quiet, 20),
        20,
        (Action::RollBack, Reason::Breach),
    );
    let mut other = base.plan.clone();
    other.rollback_criteria.max_error_rate = 0.2;
    let changed = TickContext { plan: Some(other.clone()), ..around(&base) };
    check(
        "a changed plan starts a new run",
        &base,
        &changed,
        &proven,
        20,
        (Action::Restart, Reason::PlanChanged),
    );
    let mut climbed = base.advanced(after(0), "");
    let under = climbed.under(&other, "r2".parse().unwrap(), after(5)).unwrap();
    assert_eq!((under.step, under.share(), under.id.as_str()), (1, climbed.share(), "r2"));
    other.initial_percentage = PartsPerMillion::ALL;
    climbed.plan.initial_percentage = PartsPerMillion::ALL;
    assert!(base.under(&other, "r3".parse().unwrap(), after(5)).is_none(), "never more than before");
    check(
        "no step of the new plan is low enough",
        &base,
        &TickContext { plan: Some(other), ..around(&base) },
        &proven,
        20,
        (Action::Pause, Reason::PlanChanged),
    );
}

#[test]
fn what_was_found_stays_found() {
    let base = run();
    let bad = fold(&base, None, &[window(0, 0, counts(60, 40, 0), counts(0, 0, 0))]);
    let diluted = fold(&base, Some(&bad), &[window(60, 0, counts(1_000_000, 0, 0), counts(600, 0, 0))]);
    let alone = Evidence { breach: None, ..diluted.clone() };
    assert!(Verdict::of(&base, &alone).breach.is_none(), "the windows together look good");
    assert_eq!(decide(&base, &diluted, &around(&base), after(20)).action, Action::RollBack);
}

#[test]
fn what_comes_late_of_the_step_before_can_still_be_a_breach() {
    let base = run();
    let first = known(&base, counts(500, 0, 0), counts(500, 0, 0), 20);
    let next = base.advanced(after(20), "");
    let late = window(130, 0, counts(300, 300, 0), counts(300, 0, 0));
    let evidence = fold(&next, Some(&first), &[late]);
    assert_eq!(evidence.current.new.requests, 0, "a new step is not diluted by the last");
    let decision = decide(&next, &evidence, &around(&next), after(21));
    assert_eq!(
        (decision.action, decision.verdict.breach.map(|breach| breach.step)),
        (Action::RollBack, Some(0))
    );
}

#[test]
fn a_split_that_is_not_the_configured_one_is_noticed() {
    let run = run().advanced(after(0), "");
    let users = |count: u32, from: u32| (from..from + count).collect::<Vec<_>>();
    let with = |new: u32, legacy: u32| {
        let counted = counts(5_000, 0, 0);
        let window = Window {
            units_new: users(new, 0),
            units_legacy: users(legacy, 10_000),
            ..window(60, 1, counted, counted)
        };
        let evidence = fold(&run, None, &[window.clone(), window]);
        assert_eq!(evidence.current.units_new.len(), new as usize, "a user counts once");
        decide(&run, &evidence, &around(&run), after(11)).reason
    };
    assert_eq!(with(250, 750), Reason::Proven);
    assert_eq!(with(500, 500), Reason::SampleRatioMismatch);
}

#[test]
fn only_what_the_bucket_decided_is_evidence() {
    let run = run();
    let cell = |arm, reason, step, status, ms| {
        let mut counts = Counts::default();
        counts.add(Outcome::Status(status), ms, run.label().as_ref());
        Cell {
            flag: Some("flag".parse().unwrap()),
            route: None,
            arm,
            reason,
            revision: Revision(1),
            canary: Some((run.id.clone(), step)),
            window: START,
            counts,
        }
    };
    let batch = Batch {
        schema: SCHEMA,
        isolate: "a".repeat(32),
        sequence: 1,
        revision: Revision(1),
        idle: false,
        age_ms: 0,
        lost: 0,
        cells: vec![
            cell(Arm::New, Why::Rollout, 0, 500, 2_000),
            cell(Arm::New, Why::Whitelisted, 0, 500, 1),
            cell(Arm::Legacy, Why::Rollout, 0, 200, 1),
            cell(Arm::Legacy, Why::Fallback, 0, 200, 1),
            cell(Arm::New, Why::Rollout, 1, 200, 1),
        ],
        units: Vec::new(),
        comparisons: Vec::new(),
    };
    let found = windows(&run.id, std::iter::once(&batch));
    assert_eq!(found.len(), 2);
    let failed = ArmCounts { requests: 1, errors: 1, slow_success: 1, slow_rollback: 1 };
    assert_eq!((found[0].new, found[0].legacy.requests, found[1].step), (failed, 1, 1));
    assert!(windows(&"r9".parse().unwrap(), std::iter::once(&batch)).is_empty());
}

#[test]
fn bake_tests_have_their_own_mark() {
    let mut baking = run();
    for _ in 0..3 {
        baking = baking.advanced(after(0), "");
    }
    let verdict = Verdict::of(&baking, &known(&baking, counts(100, 5, 2), ArmCounts::default(), 60));
    assert!(!verdict.result(Test::BakeErrors).unwrap().fires() && verdict.breach.is_none());
}
