//! The six properties that decisions are held to, for arbitrary runs, counts and circumstances.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, reason = "a test fails loudly")]

use cutover_core::{
    PartsPerMillion, Timestamp,
    batch::{Batch, Cell, Counts, Outcome, SCHEMA},
    canary::{
        Action, ArmCounts, Circumstances, Decision, Evidence, Reason, Record, Run, RunState, Test, Verdict,
        Window, decide, fold, replay, windows,
    },
    decide::{Arm, Reason as Why},
    plan::{CanaryPlan, Criteria, FreezeWindow, OnNoData, Options, Weekday},
    snapshot::Revision,
};
use proptest::prelude::*;

const START: i64 = 1_700_000_000_000;
const MINUTE: i64 = 60_000;

fn plan(steps: &[f64]) -> CanaryPlan {
    let share = |percent: f64| PartsPerMillion::from_percent(percent).unwrap();
    CanaryPlan {
        initial_percentage: share(steps[0]),
        promotion_steps: steps.iter().map(|step| share(*step)).collect(),
        step_duration_minutes: 10.0,
        success_criteria: Criteria { max_error_rate: 0.05, max_response_time_p95: 500.0 },
        rollback_criteria: Criteria { max_error_rate: 0.10, max_response_time_p95: 1_000.0 },
        options: Options::default(),
    }
}

fn run() -> Run {
    let moment = Timestamp::from_millis(START);
    Run::start("r1".parse().unwrap(), "flag".parse().unwrap(), plan(&[1.0, 25.0, 100.0]), moment, "somebody")
}

fn around(run: &Run) -> Circumstances {
    Circumstances { emergency: false, enabled: true, plan: Some(run.plan.clone()) }
}

fn counts(requests: u64, errors: u64, slow: u64) -> ArmCounts {
    ArmCounts {
        requests,
        errors: errors.min(requests),
        slow_success: slow.min(requests),
        slow_rollback: slow.min(requests) / 2,
    }
}

fn window(at: i64, step: u32, new: ArmCounts, legacy: ArmCounts) -> Window {
    Window { start: START + at * 10_000, step, new, legacy, ..Window::default() }
}

fn after(minutes: i64) -> Timestamp {
    Timestamp::from_millis(START + minutes * MINUTE)
}

/// Evidence of one window a minute up to a moment, so that there is no lack of data.
fn known(run: &Run, new: ArmCounts, legacy: ArmCounts, minutes: i64) -> Evidence {
    let windows: Vec<Window> = (0..minutes).map(|at| window(at * 6, run.step, new, legacy)).collect();
    fold(run, None, &windows)
}

fn arms() -> impl Strategy<Value = ArmCounts> {
    (0_u64..400, 0_u64..60, 0_u64..60).prop_map(|(requests, errors, slow)| counts(requests, errors, slow))
}

fn some_windows() -> impl Strategy<Value = Vec<Window>> {
    let one = (0_i64..40, 0_u32..3, arms(), arms(), prop::collection::vec(any::<u32>(), 0..4));
    let one = one.prop_map(|(at, step, new, legacy, units)| Window {
        units_new: units,
        ..window(at, step, new, legacy)
    });
    prop::collection::vec(one, 0..12)
}

fn some_run() -> impl Strategy<Value = Run> {
    let state = prop_oneof![
        Just(RunState::Running),
        Just(RunState::Paused),
        Just(RunState::Baking),
        Just(RunState::Completed),
        Just(RunState::RolledBack)
    ];
    (state, 0_u32..4, any::<bool>(), prop::option::of(0_u32..4)).prop_map(
        |(state, step, rollback, approved)| {
            let mut run = Run { state, step, approved, ..run() };
            if rollback {
                run.plan.options.on_no_data = OnNoData::Rollback;
                run.plan.options.approval_before = vec![PartsPerMillion::ALL];
            }
            run
        },
    )
}

fn some_circumstances(run: &Run) -> impl Strategy<Value = Circumstances> + use<> {
    let mut other = run.plan.clone();
    other.step_duration_minutes += 1.0;
    let plan = prop_oneof![5 => Just(Some(run.plan.clone())), 1 => Just(Some(other)), 1 => Just(None)];
    (prop::bool::weighted(0.1), prop::bool::weighted(0.9), plan)
        .prop_map(|(emergency, enabled, plan)| Circumstances { emergency, enabled, plan })
}

/// A run, its windows, the circumstances and the minute it is looked at.
fn some_case() -> impl Strategy<Value = (Run, Vec<Window>, Circumstances, i64)> {
    some_run().prop_flat_map(|run| {
        let around = some_circumstances(&run);
        (Just(run), some_windows(), around, 0_i64..200)
    })
}

/// Whether a decision exposes more users than before.
fn climbs(run: &Run, decision: &Decision) -> bool {
    decision.action == Action::Advance && run.advanced(after(0), "").share() > run.share()
}

proptest! {
    /// 1. Never advances with a breach, however it is dressed up.
    #[test]
    fn property_1_never_advances_with_a_breach((run, windows, around, minute) in some_case()) {
        let evidence = fold(&run, None, &windows);
        let decision = decide(&run, &evidence, &around, after(minute));
        if Verdict::of(&run, &evidence).breach.is_some() && run.state.is_active() && !around.emergency {
            prop_assert_eq!((decision.action, decision.reason), (Action::RollBack, Reason::Breach));
        }
        if matches!(decision.action, Action::Advance | Action::Complete) {
            prop_assert!(decision.verdict.breach.is_none() && run.state != RunState::Paused);
        }
    }

    /// 2. More errors of the canary never turn a rollback into anything that leaves users exposed.
    #[test]
    fn property_2_more_errors_never_help(
        run in some_run(), new in arms(), legacy in arms(), more in 1_u64..200, minute in 0_i64..100,
    ) {
        let worse = ArmCounts { errors: (new.errors + more).min(new.requests), ..new };
        let decided = |counts| {
            let evidence = fold(&run, None, &[window(0, run.step, counts, legacy)]);
            decide(&run, &evidence, &around(&run), after(minute))
        };
        let (before, after) = (decided(new), decided(worse));
        if before.action == Action::RollBack && before.reason == Reason::Breach {
            prop_assert_eq!(after.action, Action::RollBack, "{:?} {:?}", new, worse);
        }
        if !climbs(&run, &before) {
            prop_assert!(!climbs(&run, &after), "{:?} {:?}", new, worse);
        }
    }

    /// 3. A freeze window never blocks a rollback, and always blocks climbing.
    #[test]
    fn property_3_freeze_never_blocks_rollback((run, windows, around, minute) in some_case()) {
        let always = FreezeWindow {
            timezone: "UTC".to_owned(),
            days: vec![
                Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun,
            ],
            start: "00:00".to_owned(),
            end: "00:00".to_owned(),
        };
        let mut frozen = run.clone();
        frozen.plan.options.freeze_windows = vec![always];
        let same_plan = around.plan.as_ref() == Some(&run.plan);
        let frozen_around =
            Circumstances { plan: if same_plan { Some(frozen.plan.clone()) } else { around.plan.clone() }, ..around.clone() };
        let evidence = fold(&run, None, &windows);
        let free = decide(&run, &evidence, &around, after(minute));
        let cold = decide(&frozen, &evidence, &frozen_around, after(minute));
        if free.action == Action::RollBack {
            prop_assert_eq!(cold.action, Action::RollBack);
        }
        prop_assert!(!climbs(&frozen, &cold));
    }

    /// 4. The order of windows inside a step changes nothing, to the last bit.
    #[test]
    fn property_4_order_changes_nothing(
        run in some_run(), windows in some_windows().prop_flat_map(|w| (Just(w.clone()), Just(w).prop_shuffle())),
    ) {
        let (ordered, shuffled) = windows;
        let (a, b) = (fold(&run, None, &ordered), fold(&run, None, &shuffled));
        prop_assert_eq!(serde_json::to_string(&a).unwrap(), serde_json::to_string(&b).unwrap());
        // Nor does it where they come in two parts, before the watch after the last step.
        if !run.is_past_last_step() {
            let (first, second) = shuffled.split_at(shuffled.len() / 2);
            let mut parts = fold(&run, Some(&fold(&run, None, first)), second);
            // Looking in between may find a breach, and what was found stays found.
            let mut a = a;
            (a.breach, parts.breach) = (None, None);
            prop_assert_eq!(serde_json::to_string(&a).unwrap(), serde_json::to_string(&parts).unwrap());
        }
    }

    /// 5. A repeated tick changes nothing; a tick that comes late makes one step, not several.
    #[test]
    fn property_5_a_repeated_tick_changes_nothing((run, windows, around, minute) in some_case(), late in 0_i64..600) {
        let evidence = fold(&run, None, &windows);
        let now = after(minute);
        let first = decide(&run, &evidence, &around, now);
        prop_assert_eq!(&first, &decide(&run, &evidence, &around, now));
        prop_assert_eq!(&fold(&run, Some(&evidence), &[]), &evidence);
        let tardy = after(minute + late);
        if decide(&run, &evidence, &around, tardy).action == Action::Advance {
            let next = run.advanced(tardy, "");
            prop_assert_eq!(next.step, run.step + 1);
            let again = decide(&next, &fold(&next, Some(&evidence), &[]), &around, tardy);
            prop_assert!(!matches!(again.action, Action::Advance), "two steps in one tick");
        }
    }

    /// 6. Every decision can be made again from its record, also after the record was written and read.
    #[test]
    fn property_6_replay_agrees((run, windows, around, minute) in some_case(), parts in 1_usize..4) {
        let mut records = Vec::new();
        let mut evidence: Option<Evidence> = None;
        for part in windows.chunks(windows.len().div_ceil(parts).max(1)) {
            let (record, after) =
                Record::evaluation(after(minute), "test", &run, evidence.as_ref(), part.to_vec());
            records.push(record);
            evidence = Some(after);
        }
        let evidence = evidence.unwrap_or_else(|| Evidence::none(&run));
        records.push(Record::decision(after(minute), "test", &run, &evidence, around).0);
        let text = serde_json::to_string(&records).unwrap();
        let read: Vec<Record> = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&read, &records);
        prop_assert_eq!(replay(&read), []);
        // And a record that was changed is found out.
        let mut forged = read.clone();
        forged[0].plan_hash = "0000000000000000".to_owned();
        prop_assert!(!replay(&forged).is_empty());
    }

    /// Whatever is counted, nothing panics and every number is one that JSON can hold.
    #[test]
    fn numbers_stay_numbers(
        run in some_run(),
        all in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u64>(), any::<i64>()), 0..4),
    ) {
        let windows: Vec<Window> = all
            .iter()
            .map(|(requests, errors, slow, start)| Window {
                start: *start,
                step: run.step,
                new: ArmCounts { requests: *requests, errors: *errors, slow_success: *slow, slow_rollback: *slow },
                legacy: ArmCounts { requests: *errors, errors: *slow, slow_success: *slow, slow_rollback: *requests },
                ..Window::default()
            })
            .collect();
        let evidence = fold(&run, None, &windows);
        let decision = decide(&run, &evidence, &around(&run), after(20));
        prop_assert!(decision.verdict.tests.iter().all(|test| test.evidence.is_finite()), "{:?}", decision);
    }
}

#[test]
fn the_order_in_which_a_tick_looks_at_things() {
    let good = counts(500, 0, 0);
    let bad = counts(500, 250, 0);
    let quiet = ArmCounts::default();
    let base = run();
    let check =
        |what: &str, run: &Run, around: &Circumstances, evidence: &Evidence, minute: i64, expected| {
            let decision = decide(run, evidence, around, after(minute));
            assert_eq!((decision.action, decision.reason), expected, "{what}");
        };
    let proven = known(&base, good, good, 20);
    let breached = known(&base, bad, good, 20);
    let emergency = Circumstances { emergency: true, ..around(&base) };
    let paused = base.paused("p");
    check(
        "an emergency pauses, before anything",
        &base,
        &emergency,
        &breached,
        20,
        (Action::Pause, Reason::Emergency),
    );
    check(
        "a breach goes before pause",
        &paused,
        &around(&base),
        &breached,
        20,
        (Action::RollBack, Reason::Breach),
    );
    check(
        "a breach goes before the step's time",
        &base,
        &around(&base),
        &known(&base, bad, good, 1),
        1,
        (Action::RollBack, Reason::Breach),
    );
    let off = Circumstances { enabled: false, ..around(&base) };
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
        "legacy is asked and the canary is not",
        &base,
        &around(&base),
        &known(&base, quiet, good, 10),
        10,
        (Action::Hold, Reason::CanaryStarved),
    );
    let nothing = Evidence::none(&base);
    check("nobody is asked", &base, &around(&base), &nothing, 10, (Action::Hold, Reason::NoData));
    check("the deadline", &base, &around(&base), &nothing, 30, (Action::Pause, Reason::NoData));
    let mut strict = base.clone();
    strict.plan.options.approval_before = vec![PartsPerMillion::from_percent(25.0).unwrap()];
    let known_strict = known(&strict, good, good, 20);
    check(
        "approval is looked at last",
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
        "broken while it bakes",
        &baking,
        &around(&base),
        &known(&baking, bad, quiet, 20),
        20,
        (Action::RollBack, Reason::Breach),
    );
    let mut other = base.plan.clone();
    other.rollback_criteria.max_error_rate = 0.2;
    let changed = Circumstances { plan: Some(other.clone()), ..around(&base) };
    check(
        "another plan is another run",
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
        &Circumstances { plan: Some(other), ..around(&base) },
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
