//! The six properties of canary decisions, for arbitrary runs, counts and circumstances.

use super::{after, around, counts, run, window};
use cutover_core::{
    PartsPerMillion,
    canary::{
        Action, ArmCounts, Decision, Evidence, Reason, Record, Run, RunState, TickContext, Verdict, Window,
        decide, fold,
        plan::{FreezeWindow, OnNoData, Weekday},
        replay,
    },
};
use proptest::prelude::*;

fn arms() -> impl Strategy<Value = ArmCounts> {
    (0_u64..400, 0_u64..60, 0_u64..60).prop_map(|(requests, errors, slow)| counts(requests, errors, slow))
}

fn some_windows() -> impl Strategy<Value = Vec<Window>> {
    let one = (0_i64..40, 0_u32..3, arms(), arms(), prop::collection::vec(any::<u32>(), 0..4));
    let one = one.prop_map(|(index, step, new, legacy, units)| Window {
        units_new: units,
        ..window(index, step, new, legacy)
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

fn some_circumstances(run: &Run) -> impl Strategy<Value = TickContext> + use<> {
    let mut other = run.plan.clone();
    other.step_duration_minutes += 1.0;
    let plan = prop_oneof![5 => Just(Some(run.plan.clone())), 1 => Just(Some(other)), 1 => Just(None)];
    (prop::bool::weighted(0.1), prop::bool::weighted(0.9), plan)
        .prop_map(|(emergency, enabled, plan)| TickContext { emergency, enabled, plan })
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

proptest! {
    /// 1. A run never advances with a breach, whatever the circumstances.
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

    /// 2. More errors of the canary never turn a rollback into an action that leaves users exposed.
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

    /// 4. The order of the windows of a step does not change the evidence, to the last bit.
    #[test]
    fn property_4_order_changes_nothing(
        run in some_run(), windows in some_windows().prop_flat_map(|w| (Just(w.clone()), Just(w).prop_shuffle())),
    ) {
        let (ordered, shuffled) = windows;
        let (a, b) = (fold(&run, None, &ordered), fold(&run, None, &shuffled));
        prop_assert_eq!(serde_json::to_string(&a).unwrap(), serde_json::to_string(&b).unwrap());
        // Before the watch after the last step, folding them in two parts changes nothing either.
        if !run.is_past_last_step() {
            let (first, second) = shuffled.split_at(shuffled.len() / 2);
            let mut parts = fold(&run, Some(&fold(&run, None, first)), second);
            // The first part alone may show a breach, and a breach is kept.
            let mut a = a;
            (a.breach, parts.breach) = (None, None);
            prop_assert_eq!(serde_json::to_string(&a).unwrap(), serde_json::to_string(&parts).unwrap());
        }
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
        records.push(Record::decision(after(minute), "test", &run, &evidence, around).0);
        let text = serde_json::to_string(&records).unwrap();
        let read: Vec<Record> = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&read, &records);
        prop_assert_eq!(replay(&read), []);
        // A changed record is detected.
        let mut forged = read.clone();
        forged[0].plan_hash = "0000000000000000".to_owned();
        prop_assert!(!replay(&forged).is_empty());
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
