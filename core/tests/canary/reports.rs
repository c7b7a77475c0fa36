//! Arrival windows from the batches of isolates.

use super::{SETTLE_MS, START, counts, events, run, seen, users};
use cutover_core::{
    RouteId,
    canary::{ArmCounts, Window, plan::RouteCriteria, windows},
    measurement::{
        batch::{Batch, Cell, EventKinds, StepLoss, UserWindow, WINDOW_MS},
        counts::{Counts, Outcome},
    },
    vocabulary::{arm::Arm, reason::Reason, revision::Revision},
};

fn batch(cells: Vec<Cell>, users: Vec<UserWindow>) -> Batch {
    Batch { cells, users, ..Batch::empty("a".repeat(32), 1) }
}

fn cell(arm: Arm, reason: Reason, step: u32, status: u32, ms: u32) -> Cell {
    let mut counts = Counts::default();
    let limits = run().label().map(|label| label.limits(&"any".parse().unwrap()));
    counts.add(Outcome::Status(status), ms, false, limits);
    Cell {
        flag: Some("flag".parse().unwrap()),
        route: None,
        arm,
        reason,
        revision: Revision(1),
        canary: Some((run().id, step)),
        counts,
    }
}

#[test]
fn losses_are_added_up_by_step_and_those_of_other_runs_are_left_out() {
    let run = run();
    let loss = |run: &str, step, outcomes, users| StepLoss {
        flag: "flag".parse().unwrap(),
        canary: (run.parse().unwrap(), step),
        outcomes,
        users,
    };
    let name = run.id.as_str();
    let reports = [
        Batch { losses: vec![loss(name, 0, 5, 2), loss("r99", 0, 40, 40)], ..batch(Vec::new(), Vec::new()) },
        Batch { losses: vec![loss(name, 0, 0, 3), loss(name, 1, 7, 0)], ..batch(Vec::new(), Vec::new()) },
    ];
    let found =
        windows(&run.id, &run.plan, reports.iter().map(|batch| (START + 5, batch)), START + WINDOW_MS);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].losses, [loss(name, 0, 5, 5), loss(name, 1, 7, 0)]);
    // A batch loses each of its users once, whatever it says of them.
    let lost = UserWindow {
        seen: seen(Arm::New, 0, 3).collect(),
        events: events(Arm::New, EventKinds::ERROR, 2, 2).collect(),
        ..users(&run, 0)
    };
    let later = UserWindow { seen: Vec::new(), window: START + WINDOW_MS, ..lost.clone() };
    assert_eq!(batch(Vec::new(), vec![lost, later]).evidence(), [loss(name, run.step, 0, 4)]);
    // And each of its outcomes that the bucket decided.
    let cells = vec![
        cell(Arm::New, Reason::Rollout, 1, 500, 1),
        cell(Arm::Legacy, Reason::Rollout, 1, 200, 1),
        cell(Arm::Legacy, Reason::Diverted, 1, 200, 1),
        cell(Arm::New, Reason::Whitelisted, 1, 200, 1),
        Cell { canary: None, ..cell(Arm::New, Reason::Rollout, 1, 200, 1) },
    ];
    assert_eq!(batch(cells, Vec::new()).evidence(), [loss(name, 1, 3, 0)]);
}

#[test]
fn only_decisions_of_the_bucket_are_evidence() {
    let run = run();
    let batch = batch(
        vec![
            cell(Arm::New, Reason::Rollout, 0, 500, 2_000),
            cell(Arm::New, Reason::Whitelisted, 0, 500, 1),
            cell(Arm::Legacy, Reason::Rollout, 0, 404, 1),
            cell(Arm::Legacy, Reason::Fallback, 0, 200, 1),
            cell(Arm::New, Reason::Rollout, 1, 200, 1),
        ],
        Vec::new(),
    );
    let found = windows(&run.id, &run.plan, std::iter::once((START + 5, &batch)), START + WINDOW_MS);
    assert_eq!(found.len(), 1);
    let [first, second] = found[0].steps.as_slice() else { panic!("two steps") };
    let failed =
        ArmCounts { requests: 1, errors: 1, slow_success: 1, slow_rollback: 1, ..ArmCounts::default() };
    assert_eq!((first.new, first.legacy.requests, first.legacy.not_found), (failed, 1, 1));
    assert_eq!((second.step, second.new.requests), (1, 1));
    assert!(windows(&"r9".parse().unwrap(), &run.plan, std::iter::once((START, &batch)), START).is_empty());
}

/// The requests of a route with criteria of its own are a part of all.
#[test]
fn a_route_with_criteria_of_its_own_is_counted_apart() {
    let mut run = run();
    let limits = run.plan.rollback_criteria;
    let criteria = RouteCriteria { success_criteria: limits, rollback_criteria: limits };
    run.plan.options.route_criteria.insert("search".parse().unwrap(), criteria);
    let on = |route: &str, reason: Reason| Cell {
        route: Some(route.parse().unwrap()),
        ..cell(Arm::New, reason, 0, 500, 1)
    };
    let cells = vec![
        on("search", Reason::Rollout),
        on("search", Reason::Diverted),
        on("search", Reason::Whitelisted),
        on("read", Reason::Rollout),
        cell(Arm::Legacy, Reason::Rollout, 0, 200, 1),
    ];
    let batch = batch(cells, Vec::new());
    let found = windows(&run.id, &run.plan, std::iter::once((START, &batch)), START + WINDOW_MS);
    let [step] = found[0].steps.as_slice() else { panic!("one step") };
    assert_eq!((step.new.requests, step.new.diverted, step.legacy.requests), (2, 1, 1));
    let own = &step.routes[&"search".parse::<RouteId>().unwrap()];
    assert_eq!((step.routes.len(), own.new.requests, own.new.errors, own.new.diverted), (1, 1, 1, 1));
    assert_eq!(own.legacy, ArmCounts::default());
}

/// Everything that arrives within ten seconds is one window, whenever the requests were.
#[test]
fn windows_are_those_of_the_arrival() {
    let one = batch(vec![cell(Arm::New, Reason::Rollout, 0, 200, 1)], Vec::new());
    let arrivals = [START, START + 9_999, START + 10_000, START + 31_000].map(|at| (at, &one));
    let found = windows(&run().id, &run().plan, arrivals.into_iter(), START + 34_000);
    let shown: Vec<_> = found
        .iter()
        .map(|window| (window.start - START, window.is_closed(), window.steps[0].new.requests))
        .collect();
    assert_eq!(shown, [(0, true, 2), (10_000, true, 1), (30_000, false, 1)]);
    assert_eq!(found[2].end, START + 34_000);
}

/// Reports of several isolates about one event window are joined.
#[test]
fn users_of_one_event_window_are_joined() {
    let run = run();
    let part = |first: u64| UserWindow {
        seen: seen(Arm::New, first, 3).collect(),
        events: events(Arm::New, EventKinds::SLOW, first, 2).collect(),
        ..users(&run, 0)
    };
    let (one, two) = (batch(Vec::new(), vec![part(0)]), batch(Vec::new(), vec![part(10)]));
    let collected = |order: [&Batch; 2]| {
        windows(&run.id, &run.plan, order.map(|batch| (START + 7, batch)).into_iter(), START + 8)
    };
    let found = collected([&one, &two]);
    assert_eq!(found, collected([&two, &one]), "the order of arrival changes nothing");
    assert_eq!(
        (found[0].users.len(), found[0].users[0].seen.len(), found[0].users[0].events.len()),
        (1, 6, 4)
    );
    assert_eq!(found[0].users[0].settle_ms, SETTLE_MS);
}

/// A wrong clock of an isolate must not keep its users unripe for ever.
#[test]
fn no_event_window_begins_after_its_arrival() {
    let run = run();
    let ahead = UserWindow { seen: seen(Arm::New, 0, 1).collect(), ..users(&run, 1_000_000) };
    let found =
        windows(&run.id, &run.plan, std::iter::once((START + 1, &batch(Vec::new(), vec![ahead]))), START + 2);
    assert_eq!(found[0].users[0].window, START);
}

/// A record holds the windows, in an item of bounded size. The same range of hashes is left out for
/// both arms.
#[test]
fn windows_hold_a_bounded_number_of_users_of_both_arms() {
    let run = run();
    let all = seen(Arm::New, 0, 10_000).chain(seen(Arm::Legacy, 1_000_000, 30_000)).collect();
    let crowded = UserWindow { seen: all, ..users(&run, 0) };
    let found: Vec<Window> = windows(
        &run.id,
        &run.plan,
        std::iter::once((START + 1, &batch(Vec::new(), vec![crowded]))),
        START + 2,
    );
    let kept = &found[0].users[0].seen;
    assert!((1_000..=2_048).contains(&kept.len()), "{}", kept.len());
    let new = kept.iter().filter(|user| user.1 == Arm::New).count();
    assert!((kept.len() / 5..kept.len() / 3).contains(&new), "{new} of {}", kept.len());
    assert!(serde_json::to_string(&found).unwrap().len() < 100_000);
}

#[test]
fn counts_of_arms_add_up() {
    let mut sum = counts(10, 2, 4);
    sum.add(counts(5, 1, 2));
    assert_eq!((sum.requests, sum.errors, sum.slow_success, sum.slow_rollback), (15, 3, 6, 3));
}
