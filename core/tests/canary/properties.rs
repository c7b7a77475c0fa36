//! The properties of canary decisions, for arbitrary runs, counts, users and circumstances.

use super::{START, after, around, counts, hash, run, users, window};
use cutover_core::{
    PartsPerMillion,
    canary::{
        Action, ArmCounts, Decision, Evidence, Reason, Record, Run, RunState, StepCounts, TickContext,
        Verdict, Window, decide, fold,
        plan::{AfterStepPolicy, FreezeWindow, OnNoData, RelativePolicy, Weekday},
        replay, windows,
    },
    measurement::{
        batch::{Batch, Cell, EventKinds, SeenUser, UserEvents, UserWindow, WINDOW_MS},
        counts::Counts,
    },
    vocabulary::{arm::Arm, reason::Reason as Why, revision::Revision},
};
use proptest::prelude::*;

fn arms() -> impl Strategy<Value = ArmCounts> {
    (0_u64..400, 0_u64..60, 0_u64..60).prop_map(|(requests, errors, slow)| counts(requests, errors, slow))
}

fn some_user() -> impl Strategy<Value = UserEvents> {
    (0_u64..40, any::<bool>(), 0_usize..5, 0_u32..9).prop_map(|(number, minted, kind, errors)| UserEvents {
        user: hash(number),
        arm: if number.is_multiple_of(2) { Arm::New } else { Arm::Legacy },
        minted,
        kinds: EventKinds::ALL[kind],
        errors,
        requests: errors * 2,
    })
}

/// Step, counts of both arms, events, and the age of their window.
type Parts = (u32, ArmCounts, ArmCounts, Vec<UserEvents>, i64);

/// Generates windows of different times, of the first three steps.
fn some_windows() -> impl Strategy<Value = Vec<Window>> {
    let one = (0_u32..3, arms(), arms(), prop::collection::vec(some_user(), 0..12), 0_i64..3);
    prop::collection::btree_map(0_i64..240, one, 0..12).prop_map(|all| {
        let build = |(index, (step, new, legacy, events, age)): (i64, Parts)| {
            let at = Run { step, ..run() };
            let reported = UserWindow { events, ..users(&at, index - age) };
            Window { users: vec![reported], ..window(index, step, new, legacy) }
        };
        all.into_iter().map(build).collect()
    })
}

fn some_run() -> impl Strategy<Value = Run> {
    let state = prop_oneof![
        Just(RunState::Running),
        Just(RunState::Paused),
        Just(RunState::Baking),
        Just(RunState::Completed),
        Just(RunState::RolledBack)
    ];
    let policy =
        prop_oneof![Just(RelativePolicy::Hold), Just(RelativePolicy::Rollback), Just(RelativePolicy::Ignore)];
    (state, 0_u32..4, any::<bool>(), prop::option::of(0_u32..4), policy, any::<bool>()).prop_map(
        |(state, step, rollback, approved, policy, hold)| {
            let mut run = Run { state, step, approved, ..run() };
            let options = &mut run.plan.options;
            options.relative = policy;
            options.min_users = 1;
            if hold {
                options.shared_incident_after_step = AfterStepPolicy::Hold;
            }
            if rollback {
                options.on_no_data = OnNoData::Rollback;
                options.approval_before = vec![PartsPerMillion::ALL];
            }
            run
        },
    )
}

fn some_circumstances(run: &Run) -> impl Strategy<Value = TickContext> + use<> {
    let mut other = run.plan.clone();
    other.step_duration_minutes += 1.0;
    let plan = prop_oneof![5 => Just(Some(run.plan.clone())), 1 => Just(Some(other)), 1 => Just(None)];
    let minute = || prop::option::of(0_i64..200);
    (prop::bool::weighted(0.1), prop::bool::weighted(0.9), plan, minute(), minute()).prop_map(
        |(emergency, enabled, plan, through, changed)| TickContext {
            emergency,
            enabled,
            plan,
            through: through.map(after),
            flag_changed: changed.map(after),
        },
    )
}

/// Generates a run, its windows, the circumstances and the minute of the tick.
fn some_case() -> impl Strategy<Value = (Run, Vec<Window>, TickContext, i64)> {
    some_run().prop_flat_map(|run| {
        let around = some_circumstances(&run);
        (Just(run), some_windows(), around, 0_i64..200)
    })
}

/// Returns true if a decision exposes more users than before.
fn climbs(run: &Run, decision: &Decision) -> bool {
    decision.action == Action::Advance && run.advanced(after(0), "").share() > run.share()
}

/// Builds a batch of one isolate from the parts of a window.
fn batch(run: &Run, sequence: u64, window: &Window) -> Batch {
    let cell = |arm, step, counted: ArmCounts| Cell {
        flag: Some(run.flag.clone()),
        route: None,
        arm,
        reason: Why::Rollout,
        revision: Revision(1),
        canary: Some((run.id.clone(), step)),
        counts: Counts {
            requests: counted.requests,
            server_errors: counted.errors,
            slow_success: counted.slow_success,
            slow_rollback: counted.slow_rollback,
            ..Counts::default()
        },
    };
    let cells = window.steps.iter().flat_map(|StepCounts { step, new, legacy, .. }| {
        [cell(Arm::New, *step, *new), cell(Arm::Legacy, *step, *legacy)]
    });
    let isolate = format!("{sequence:032}");
    Batch { cells: cells.collect(), users: window.users.clone(), ..Batch::empty(isolate, sequence) }
}

fn text(evidence: &Evidence) -> String {
    serde_json::to_string(evidence).unwrap()
}

proptest! {
    /// 1. A run never advances with a breach, whatever the circumstances.
    #[test]
    fn property_1_never_advances_with_a_breach((run, windows, around, minute) in some_case()) {
        let evidence = fold(&run, None, &windows);
        let decision = decide(&run, &evidence, &around, after(minute));
        if evidence.breach.is_some() && run.state.is_active() && !around.emergency {
            prop_assert_eq!((decision.action, decision.reason), (Action::RollBack, Reason::Breach));
        }
        if matches!(decision.action, Action::Advance | Action::Complete) {
            prop_assert!(decision.verdict.breach.is_none() && run.state != RunState::Paused);
        }
    }

    /// 2. More errors of the canary never turn a rollback into an advance, nor a hold.
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
        if !climbs(&run, &before) {
            prop_assert!(!climbs(&run, &after), "{:?} {:?}", new, worse);
        }
        if before.action == Action::RollBack && before.reason == Reason::Breach {
            prop_assert!(!climbs(&run, &after), "{:?} {:?}", new, worse);
        }
    }

    /// 3. A freeze window never blocks a rollback, and always blocks an advance.
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
            TickContext { plan: if same_plan { Some(frozen.plan.clone()) } else { around.plan.clone() }, ..around.clone() };
        let evidence = fold(&run, None, &windows);
        let free = decide(&run, &evidence, &around, after(minute));
        let cold = decide(&frozen, &evidence, &frozen_around, after(minute));
        if free.action == Action::RollBack {
            prop_assert_eq!(cold.action, Action::RollBack);
        }
        prop_assert!(!climbs(&frozen, &cold));
    }

    /// 4. The order in which batches of one tick are read changes nothing, to the last bit; nor does
    /// folding the windows in several ticks.
    #[test]
    fn property_4_order_changes_nothing(
        run in some_run(), parts in some_windows().prop_flat_map(|w| (Just(w.clone()), Just(w).prop_shuffle())),
    ) {
        let collected = |parts: &[Window]| {
            // Several batches arrive in each window.
            let all: Vec<(i64, Batch)> = (0..)
                .zip(parts)
                .map(|(sequence, part)| (part.start - part.start.rem_euclid(4 * WINDOW_MS), batch(&run, sequence, part)))
                .collect();
            windows(&run.id, &run.plan, all.iter().map(|(at, batch)| (*at, batch)), START + 3_600_000)
        };
        let (ordered, shuffled) = (collected(&parts.0), collected(&parts.1));
        prop_assert_eq!(&ordered, &shuffled);
        let whole = fold(&run, None, &ordered);
        let reversed: Vec<Window> = ordered.iter().rev().cloned().collect();
        prop_assert_eq!(text(&whole), text(&fold(&run, None, &reversed)));
        let (first, second) = ordered.split_at(ordered.len() / 2);
        let in_two = fold(&run, Some(&fold(&run, None, first)), second);
        prop_assert_eq!(text(&whole), text(&in_two));
    }

    /// 5. A repeated tick changes nothing; a late tick advances by one step, not by several.
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

    /// 6. Every decision can be recomputed from its record, also from a serialised one.
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
        let decision = Record::decision(after(minute), "test", &run, &evidence, around).0;
        // The two functions run beside each other: the decision may be recorded first.
        let position = records.len().saturating_sub(usize::from(minute % 2 == 0));
        records.insert(position, decision);
        let text = serde_json::to_string(&records).unwrap();
        prop_assert!(!text.contains("0123456789abcdef0123456789abcdef"), "the key is a secret");
        let read: Vec<Record> = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&read, &records);
        prop_assert_eq!(replay(&read), []);
        // A changed record is detected.
        let mut forged = read.clone();
        forged[0].plan_hash = "0000000000000000".to_owned();
        prop_assert!(!replay(&forged).is_empty());
    }

    /// 7. Sums over users never fall, whatever arrives and however the maps are thinned.
    #[test]
    fn property_7_sums_of_users_never_fall(run in some_run(), windows in some_windows()) {
        let mut evidence = Evidence::none(&run);
        for window in &windows {
            let next = fold(&run, Some(&evidence), std::slice::from_ref(window));
            for kind in EventKinds::ALL {
                for (before, after) in
                    evidence.current.events.step.of(kind).iter().zip(next.current.events.step.of(kind))
                {
                    prop_assert!(before.new <= after.new && before.all <= after.all && after.new <= after.all);
                }
            }
            prop_assert!(evidence.breach.is_none() || evidence.breach == next.breach, "a breach is latched");
            evidence = next;
        }
    }

    /// For arbitrary counts nothing panics, and every number can be represented in JSON.
    #[test]
    fn numbers_stay_numbers(
        run in some_run(),
        all in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u64>(), any::<i64>()), 0..4),
    ) {
        let windows: Vec<Window> = all
            .iter()
            .map(|(requests, errors, slow, start)| Window {
                bounds: None,
                losses: Vec::new(),
                start: *start,
                end: start.saturating_add(WINDOW_MS),
                steps: vec![StepCounts {
                    step: run.step,
                    new: ArmCounts {
                        requests: *requests, errors: *errors, slow_success: *slow, slow_rollback: *slow,
                        ..ArmCounts::default()
                    },
                    legacy: ArmCounts {
                        requests: *errors, errors: *slow, slow_success: *slow, slow_rollback: *requests,
                        ..ArmCounts::default()
                    },
                    ..StepCounts::default()
                }],
                users: vec![UserWindow {
                    window: *start,
                    seen: vec![SeenUser(*requests, Arm::New)],
                    events: vec![UserEvents {
                        user: *errors, arm: Arm::New, minted: false, kinds: EventKinds::ERROR, errors: u32::MAX,
                        requests: 0,
                    }],
                    ..users(&run, 0)
                }],
            })
            .collect();
        let evidence = fold(&run, None, &windows);
        let decision = decide(&run, &evidence, &around(&run), after(20));
        prop_assert!(decision.verdict.tests.iter().all(|test| test.evidence.is_finite()), "{:?}", decision);
        let read: Evidence = serde_json::from_str(&text(&evidence)).unwrap();
        prop_assert_eq!(&read, &evidence);
        prop_assert!(decision.verdict.breach.as_ref().is_none_or(|breach| breach.sentence().ends_with('.')));
        prop_assert_eq!(Verdict::of(&run, &read).tests.len(), decision.verdict.tests.len());
    }
}
