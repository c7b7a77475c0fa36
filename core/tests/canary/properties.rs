//! The properties of canary decisions, for arbitrary runs, counts, users and circumstances.

use super::{START, after, around, counts, hash, run, seen, users, window};
use cutover_core::{
    PartsPerMillion, RouteId,
    canary::{
        Action, ArmCounts, BothArms, Decision, Evidence, Reason, Record, Run, RunState, StepCounts,
        TickContext, Verdict, Window, decide, fold,
        plan::{AfterStepPolicy, CanaryPlan, FreezeWindow, OnNoData, RelativePolicy, RouteCriteria, Weekday},
        replay, windows,
    },
    measurement::{
        batch::{Batch, Cell, EventKinds, SeenUser, StepLoss, UserEvents, UserWindow, WINDOW_MS},
        counts::Counts,
    },
    vocabulary::{arm::Arm, reason::Reason as Why, revision::Revision},
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use std::ops::Range;

/// Routes that a plan may have criteria for.
const ROUTES: [&str; 2] = ["search", "read"];

/// Healthy minutes, with a window each, from the start of the step.
const HEALTHY: usize = 30;

/// Generates the counts of one group of requests.
fn some_arms(requests: Range<u64>, events: Range<u64>) -> impl Strategy<Value = BothArms> {
    let arm = || {
        (requests.clone(), events.clone(), events.clone())
            .prop_map(|(requests, errors, slow)| counts(requests, errors, slow))
    };
    (arm(), arm()).prop_map(|(new, legacy)| BothArms { new, legacy })
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

/// Builds a window from the counts of three groups: the routes with criteria come first, and all others are the rest.
fn grouped(run: &Run, index: i64, step: u32, groups: [BothArms; 3]) -> Window {
    let mut all = BothArms::default();
    for group in &groups {
        all.new.add(group.new);
        all.legacy.add(group.legacy);
    }
    let mut window = window(index, step, all.new, all.legacy);
    window.steps[0].routes = run.plan.options.route_criteria.keys().cloned().zip(groups).collect();
    window
}

/// Step, counts of three groups, events, the age of their window, and users who were lost.
type Parts = (u32, [BothArms; 3], Vec<UserEvents>, i64, Option<u64>);

/// Builds a window of any step.
fn any_window(run: &Run, index: i64, (step, groups, events, age, lost): Parts) -> Window {
    let at = Run { step, ..super::run() };
    let reported = UserWindow { events, ..users(&at, index - age) };
    let loss =
        |users| StepLoss { flag: at.flag.clone(), canary: (at.id.clone(), step), outcomes: users, users };
    Window {
        users: vec![reported],
        losses: lost.into_iter().map(loss).collect(),
        ..grouped(run, index, step, groups)
    }
}

/// Generates windows of a run: healthy ones of its step, from which it may climb, any ones of the first three steps, or
/// these after those.
fn some_windows(run: &Run) -> impl Strategy<Value = Vec<Window>> + use<> {
    let healthy = prop::collection::vec(prop::array::uniform3(some_arms(150..300, 0..8)), HEALTHY);
    let parts = (
        0_u32..3,
        prop::array::uniform3(some_arms(0..150, 0..20)),
        prop::collection::vec(some_user(), 0..12),
        0_i64..3,
        prop::option::weighted(0.2, 1_u64..5),
    );
    let others = prop::collection::btree_map(0_i64..180, parts, 0..12);
    let run = run.clone();
    (prop::option::weighted(0.7, healthy), others, prop::bool::weighted(0.7)).prop_map(
        move |(healthy, others, is_quiet)| {
            let healthy = (0_i64..).zip(healthy.into_iter().flatten());
            let mut windows: Vec<Window> =
                healthy.map(|(minute, groups)| grouped(&run, minute * 6, run.step, groups)).collect();
            let is_healthy = !windows.is_empty();
            if let Some(first) = windows.first_mut() {
                let seen = seen(Arm::New, 0, 6).collect();
                first.users.push(UserWindow { seen, ..users(&run, 0) });
            }
            if !(is_healthy && is_quiet) {
                let first = if is_healthy { 180 } else { 0 };
                windows
                    .extend(others.into_iter().map(|(index, parts)| any_window(&run, first + index, parts)));
            }
            windows
        },
    )
}

fn some_run() -> impl Strategy<Value = Run> {
    let state = prop_oneof![
        6 => Just(RunState::Running),
        1 => Just(RunState::Paused),
        1 => Just(RunState::Baking),
        1 => Just(RunState::Completed),
        1 => Just(RunState::RolledBack)
    ];
    let policy =
        prop_oneof![Just(RelativePolicy::Hold), Just(RelativePolicy::Rollback), Just(RelativePolicy::Ignore)];
    let switches = (any::<bool>(), any::<bool>());
    (state, 0_u32..4, switches, prop::option::of(0_u32..4), policy, 0_usize..=ROUTES.len()).prop_map(
        |(state, step, (rollback, hold), approved, policy, routes)| {
            let mut run = Run { state, step, approved, ..run() };
            let CanaryPlan { success_criteria, rollback_criteria, .. } = run.plan;
            let options = &mut run.plan.options;
            for route in ROUTES.into_iter().take(routes) {
                let criteria = RouteCriteria { success_criteria, rollback_criteria };
                options.route_criteria.insert(route.parse().unwrap(), criteria);
            }
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
    let minute = |probability: f64| prop::option::weighted(probability, 0_i64..200);
    (prop::bool::weighted(0.1), prop::bool::weighted(0.9), plan, minute(0.5), minute(0.3)).prop_map(
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
        let (around, windows) = (some_circumstances(&run), some_windows(&run));
        (Just(run), windows, around, some_minute())
    })
}

/// Generates the minute of a tick.
fn some_minute() -> impl Strategy<Value = i64> {
    prop_oneof![3 => 10_i64..37, 1 => 0_i64..200]
}

/// Generates a run and its windows.
fn some_evidence() -> impl Strategy<Value = (Run, Vec<Window>)> {
    some_run().prop_flat_map(|run| {
        let windows = some_windows(&run);
        (Just(run), windows)
    })
}

/// Returns true if a decision exposes more users than before.
fn climbs(run: &Run, decision: &Decision) -> bool {
    decision.action == Action::Advance && run.advanced(after(0), "").share() > run.share()
}

/// Returns counts without those of a part.
fn less(all: ArmCounts, part: ArmCounts) -> ArmCounts {
    ArmCounts {
        requests: all.requests - part.requests,
        errors: all.errors - part.errors,
        slow_success: all.slow_success - part.slow_success,
        slow_rollback: all.slow_rollback - part.slow_rollback,
        ..ArmCounts::default()
    }
}

/// Builds a batch of one isolate from the parts of a window.
fn batch(run: &Run, sequence: u64, window: &Window) -> Batch {
    let cell = |route: Option<&RouteId>, arm, step, counted: ArmCounts| Cell {
        flag: Some(run.flag.clone()),
        route: route.cloned(),
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
    let mut cells = Vec::new();
    for StepCounts { step, new, legacy, routes } in &window.steps {
        let (mut new, mut legacy) = (*new, *legacy);
        for (route, own) in routes {
            (new, legacy) = (less(new, own.new), less(legacy, own.legacy));
            cells.push(cell(Some(route), Arm::New, *step, own.new));
            cells.push(cell(Some(route), Arm::Legacy, *step, own.legacy));
        }
        cells.push(cell(None, Arm::New, *step, new));
        cells.push(cell(None, Arm::Legacy, *step, legacy));
    }
    let (users, losses) = (window.users.clone(), window.losses.clone());
    Batch { cells, users, losses, ..Batch::empty(format!("{sequence:032}"), sequence) }
}

fn text(evidence: &Evidence) -> String {
    serde_json::to_string(evidence).unwrap()
}

/// The properties about climbing would hold of themselves if no case climbed, and those about breaches if none had one.
#[test]
fn the_cases_climb_and_roll_back() {
    let mut runner = TestRunner::deterministic();
    let cases = some_case();
    let (mut climbing, mut of_routes, mut rolled_back) = (0, 0, 0);
    for _ in 0..1_000 {
        let (run, windows, around, minute) = cases.new_tree(&mut runner).unwrap().current();
        let decision = decide(&run, &fold(&run, None, &windows), &around, after(minute));
        let is_climbing = climbs(&run, &decision);
        climbing += u32::from(is_climbing);
        of_routes += u32::from(is_climbing && !run.plan.options.route_criteria.is_empty());
        rolled_back += u32::from(decision.reason == Reason::Breach);
    }
    println!("{climbing} climb, {of_routes} of them with criteria of routes; {rolled_back} are rolled back");
    assert!(climbing >= 8 && of_routes >= 2 && rolled_back >= 8);
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
        (run, windows) in some_evidence(), place in any::<prop::sample::Index>(), more in 1_u64..150, minute in some_minute(),
    ) {
        prop_assume!(!windows.is_empty());
        let mut worse = windows.clone();
        let new = &mut worse[place.index(windows.len())].steps[0].new;
        new.errors = (new.errors + more).min(new.requests);
        let decided = |windows: &[Window]| decide(&run, &fold(&run, None, windows), &around(&run), after(minute));
        let (before, after) = (decided(&windows), decided(&worse));
        if !climbs(&run, &before) {
            prop_assert!(!climbs(&run, &after), "{:?} {:?}", before, after);
        }
        if before.action == Action::RollBack && before.reason == Reason::Breach {
            prop_assert!(!climbs(&run, &after), "{:?} {:?}", before, after);
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
        (run, parts, shuffled) in some_evidence().prop_flat_map(|(run, windows)| {
            (Just(run), Just(windows.clone()), Just(windows).prop_shuffle())
        }),
    ) {
        let collected = |parts: &[Window]| {
            // Several batches arrive in each window.
            let all: Vec<(i64, Batch)> = (0..)
                .zip(parts)
                .map(|(sequence, part)| (part.start - part.start.rem_euclid(4 * WINDOW_MS), batch(&run, sequence, part)))
                .collect();
            windows(&run.id, &run.plan, all.iter().map(|(at, batch)| (*at, batch)), START + 2 * 3_600_000)
        };
        let (ordered, shuffled) = (collected(&parts), collected(&shuffled));
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
    fn property_7_sums_of_users_never_fall((run, windows) in some_evidence()) {
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
                is_cut: false,
                losses: Vec::new(),
                report_ms: *slow,
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
