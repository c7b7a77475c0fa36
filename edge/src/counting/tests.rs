//! Counting with users as the unit, on the host.

mod largest;

use crate::{
    counting::{thinned::CAPACITY, *},
    test_support,
    wire::PackedDecision,
};
use cutover_core::{
    PartsPerMillion, RouteId,
    measurement::{
        batch::{SeenUser, UserEvents, UserWindow},
        event_kinds::EventKinds,
        label::{CanaryLabel, SlowLimits},
    },
    statistics::split_mix::nth_draw,
};
use std::collections::{BTreeMap, BTreeSet};

/// Start of the event window of [`Ended::default`], in milliseconds, and the time at which it is
/// ripe: ten seconds and the longer time limit later.
const WINDOW: i64 = 100_000;
const RIPE: i64 = WINDOW + 10_000 + 5_000;

/// Compiles the rules. The longer time limit is that of the new origin, five seconds.
fn rules(revision: u64, step: u32) -> Rc<Ruleset> {
    rules_with(revision, step, BTreeMap::new())
}

/// Compiles the rules with limits of routes with criteria of their own.
fn rules_with(revision: u64, step: u32, routes: BTreeMap<RouteId, SlowLimits>) -> Rc<Ruleset> {
    let share = PartsPerMillion::of_percent(50);
    let mut snapshot = test_support::snapshot(revision, share);
    snapshot.origins.get_mut("new").unwrap().timeout_ms = 5_000;
    snapshot.routes[0].error_statuses = vec![409];
    let label = CanaryLabel { routes, ..test_support::label(step, share) };
    snapshot.canaries.insert("flag".parse().unwrap(), label);
    Rc::new(Ruleset::compile(&snapshot).unwrap())
}

fn counting() -> Counting {
    let mut counting = Counting::default();
    counting.begin_generation(1, rules(1, 0), 0);
    counting
}

/// The end of a request of the only route.
#[derive(Clone, Copy)]
struct Ended {
    generation: u32,
    reason: Reason,
    arm: Arm,
    status: u32,
    ms: u32,
    user: u64,
    begun: u32,
    flags: u32,
}

impl Default for Ended {
    fn default() -> Self {
        let (reason, arm) = (Reason::Rollout, Arm::New);
        Self { generation: 1, reason, arm, status: 200, ms: 5, user: 7, begun: 103, flags: 0 }
    }
}

impl Ended {
    fn packed(self) -> PackedOutcome {
        let arm = if self.arm == Arm::New { PackedDecision::NEW } else { 0 };
        let decision = (self.reason as u32) << PackedDecision::REASON_SHIFT | arm;
        PackedOutcome {
            kind: OutcomeKind(decision | self.generation << OutcomeKind::GENERATION_SHIFT),
            end: self.status << PackedOutcome::STATUS_SHIFT | self.ms,
            user: self.user,
            begun: self.begun,
            flags: self.flags,
            ticket: 0,
        }
    }
}

fn add(counting: &mut Counting, ended: impl IntoIterator<Item = Ended>) {
    counting.add(ended.into_iter().map(Ended::packed));
}

fn take(counting: &mut Counting, now: i64, at_rest: bool) -> Batch {
    counting.take("isolate", 1, &BatchState { now, at_rest, ..BatchState::default() })
}

/// Takes batches until nothing is left to send.
fn take_all(counting: &mut Counting, now: i64) -> Vec<UserWindow> {
    let mut all = Vec::new();
    while counting.has_batch(now, false) {
        all.extend(take(counting, now, false).users);
    }
    all
}

/// Returns the hash of a user, different for each number.
fn hash(user: u64) -> u64 {
    nth_draw(0, user + 1)
}

fn events_of(windows: &[UserWindow]) -> Vec<UserEvents> {
    windows.iter().flat_map(|window| &window.events).copied().collect()
}

#[test]
fn a_user_is_reported_with_step_share_and_window() {
    let mut counting = counting();
    let failed = Ended { status: 503, ..Ended::default() };
    add(&mut counting, [Ended::default(), failed, Ended { user: 8, arm: Arm::Legacy, ..Ended::default() }]);
    let batch = take(&mut counting, RIPE, false);
    assert_eq!((batch.schema, batch.cells.len(), batch.users.len()), (3, 2, 1));
    let users = &batch.users[0];
    assert_eq!((users.flag.as_str(), users.canary.0.as_str(), users.canary.1), ("flag", "r1", 0));
    assert_eq!((users.share, users.window), (PartsPerMillion::of_percent(50), WINDOW));
    assert_eq!(users.settle_ms, 5_000, "the longer limit of the two arms");
    assert_eq!(users.seen, [SeenUser(7, Arm::New), SeenUser(8, Arm::Legacy)]);
    let expected = UserEvents {
        user: 7,
        arm: Arm::New,
        minted: false,
        kinds: EventKinds::ERROR,
        errors: 1,
        requests: 1,
    };
    assert_eq!(users.events, [expected]);
    // Seen once in a step, also in a later window.
    add(&mut counting, [Ended { begun: 203, ..Ended::default() }, Ended { begun: 203, user: 9, ..failed }]);
    let later = take(&mut counting, RIPE + 100_000, false);
    assert_eq!(later.users[0].seen, [SeenUser(9, Arm::New)]);
}

#[test]
fn requests_without_a_user_are_counted_and_no_evidence() {
    let mut counting = counting();
    add(&mut counting, [Ended { user: 0, status: 500, ..Ended::default() }]);
    let batch = take(&mut counting, RIPE, false);
    assert_eq!((batch.cells[0].counts.server_errors, batch.users.len()), (1, 0));
}

/// A request that a guard or a rate limit refused has its cell, in which its status is no error whatever the route says, and tells nothing of
/// its user.
#[test]
fn refused_requests_are_counted_and_no_evidence() {
    for reason in [Reason::Guarded, Reason::Limited] {
        let mut counting = counting();
        let refused = Ended { reason, arm: Arm::Legacy, status: 409, ..Ended::default() };
        add(&mut counting, [refused, refused]);
        let batch = take(&mut counting, RIPE, false);
        let cell = &batch.cells[0];
        assert_eq!((batch.cells.len(), cell.reason, cell.is_evidence()), (1, reason, false));
        assert_eq!((cell.counts.requests, cell.counts.errors(), cell.counts.client_errors), (2, 0, 2));
        assert_eq!(batch.users.len(), 0);
    }
}

/// S2: statuses from 400 to 499 are events too, each of its class.
#[test]
fn client_errors_are_events_by_their_class() {
    for (status, kinds) in [
        (200, EventKinds::NONE),
        (400, EventKinds::CLIENT_ERROR),
        (401, EventKinds::UNAUTHORIZED),
        (403, EventKinds::UNAUTHORIZED),
        (404, EventKinds::NOT_FOUND),
        (405, EventKinds::NOT_FOUND),
        // A status that the route calls an error.
        (409, EventKinds::ERROR),
        (410, EventKinds::NOT_FOUND),
        (422, EventKinds::CLIENT_ERROR),
        (429, EventKinds::NONE),
        (499, EventKinds::NONE),
        (503, EventKinds::ERROR),
        (PackedOutcome::TIMEOUT, EventKinds::ERROR | EventKinds::SLOW),
        (PackedOutcome::UNREACHABLE, EventKinds::ERROR | EventKinds::SLOW),
    ] {
        let mut counting = counting();
        add(&mut counting, [Ended { status, ..Ended::default() }]);
        let events = events_of(&take(&mut counting, RIPE, false).users);
        let expected = Some(kinds).filter(|kinds| !kinds.is_empty());
        assert_eq!(events.first().map(|events| events.kinds), expected, "{status}");
        let is_error = u32::from(kinds.contains(EventKinds::ERROR));
        let counted = events.first().map(|events| (events.errors, events.requests)).unwrap_or_default();
        assert_eq!(counted, (is_error, is_error), "{status}: only errors are counted beside the kinds");
    }
}

/// S4: a client that gives up leaves an outcome.
#[test]
fn a_client_that_left_is_no_error_but_slow_beyond_the_limit() {
    let mut counting = counting();
    let left = Ended { status: 0, flags: PackedOutcome::GAVE_UP, ..Ended::default() };
    add(&mut counting, [left, Ended { user: 8, ms: 201, ..left }]);
    let batch = take(&mut counting, RIPE, false);
    let counts = &batch.cells[0].counts;
    assert_eq!((counts.requests, counts.gave_up, counts.errors(), counts.slow_rollback), (2, 2, 0, 1));
    let events = events_of(&batch.users);
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!((events[0].user, events[0].kinds), (8, EventKinds::SLOW));
}

/// A route with criteria of its own is slow by its own limits, in counts and in events of users.
#[test]
fn a_route_with_limits_of_its_own_is_slow_by_them() {
    let own = SlowLimits { slow_success_ms: 300, slow_rollback_ms: 400 };
    for (route, success, rollback) in [("route", 2, 1), ("other", 4, 3)] {
        let mut counting = Counting::default();
        counting.begin_generation(1, rules_with(1, 0, BTreeMap::from([(route.parse().unwrap(), own)])), 0);
        add(&mut counting, [150, 250, 350, 450].map(|ms| Ended { ms, user: ms.into(), ..Ended::default() }));
        let batch = take(&mut counting, RIPE, false);
        let counts = &batch.cells[0].counts;
        assert_eq!((counts.slow_success, counts.slow_rollback), (success, rollback), "{route}");
        let slow = events_of(&batch.users);
        assert_eq!(slow.len() as u64, rollback, "{route}: {slow:?}");
        assert!(slow.iter().all(|events| events.kinds == EventKinds::SLOW), "{slow:?}");
    }
}

#[test]
fn both_arms_of_a_window_are_sent_when_it_is_ripe_and_not_sooner() {
    let mut counting = counting();
    // The legacy arm fails at once, the new one after its time limit.
    add(&mut counting, [Ended { status: 503, arm: Arm::Legacy, user: 8, ..Ended::default() }]);
    let soon = take(&mut counting, 104_000, false);
    assert_eq!((soon.cells.len(), soon.users.len()), (1, 0), "counts do not wait");
    assert!(!counting.has_batch(RIPE - 1, false) && counting.has_batch(RIPE, false));
    add(&mut counting, [Ended { status: PackedOutcome::TIMEOUT, ms: 5_000, ..Ended::default() }]);
    assert!(take(&mut counting, RIPE - 1, false).users.is_empty());
    let users = take(&mut counting, RIPE, false).users;
    assert_eq!(events_of(&users).iter().map(|events| events.user).collect::<Vec<_>>(), [7, 8]);
    assert!(!counting.has_batch(RIPE, true), "nothing is sent twice");
    // An outcome that comes after its window was sent goes with the next batch.
    add(&mut counting, [Ended { status: 503, user: 9, ..Ended::default() }]);
    assert_eq!(take(&mut counting, RIPE, false).users[0].window, WINDOW);
}

#[test]
fn at_rest_users_are_sent_with_their_window_although_it_is_not_ripe() {
    let mut counting = counting();
    add(&mut counting, [Ended { status: 503, ..Ended::default() }]);
    let batch = take(&mut counting, 104_000, true);
    assert_eq!((batch.users[0].window, batch.users[0].events.len()), (WINDOW, 1));
    assert!(!counting.has_batch(104_000, true), "nothing is sent twice");
}

#[test]
fn a_batch_says_how_many_requests_are_open() {
    let state = BatchState { open: 3, due_ms: 36_250, ..BatchState::default() };
    let batch = counting().take("isolate", 1, &state);
    assert_eq!((batch.open, batch.due_ms), (3, 36_250));
}

#[test]
fn requests_are_counted_from_the_first_error_of_a_user_each_once() {
    let mut counting = counting();
    let failed = Ended { status: 503, ..Ended::default() };
    let other = Ended { user: 8, status: 404, ..Ended::default() };
    add(&mut counting, [Ended::default(), Ended::default(), failed, Ended::default(), other]);
    let of = |windows: &[UserWindow]| {
        events_of(windows).into_iter().map(|e| (e.user, e.errors, e.requests)).collect::<Vec<_>>()
    };
    assert_eq!(of(&take(&mut counting, RIPE, false).users), [(7, 1, 2), (8, 0, 0)]);
    // Later requests of that user are reported without an event, those of others are not.
    let (later, failed) = (Ended { begun: 203, ..Ended::default() }, Ended { begun: 203, ..failed });
    add(&mut counting, [later, later, failed, Ended { user: 8, ..later }, Ended { user: 9, ..later }]);
    assert_eq!(of(&take(&mut counting, RIPE + 100_000, false).users), [(7, 1, 3)]);
    add(&mut counting, [Ended { begun: 303, ..later }]);
    let last = take(&mut counting, RIPE + 200_000, false).users;
    assert_eq!((of(&last), events_of(&last)[0].kinds), (vec![(7, 0, 1)], EventKinds::NONE));
}

#[test]
fn ids_minted_for_the_request_are_told_apart_from_those_that_clients_brought() {
    let mut counting = counting();
    let failed = Ended { status: 503, ..Ended::default() };
    add(&mut counting, [Ended { flags: PackedOutcome::MINTED_USER, ..failed }, failed, failed]);
    let events = events_of(&take(&mut counting, RIPE, false).users);
    let told: Vec<_> = events.iter().map(|events| (events.user, events.minted, events.errors)).collect();
    assert_eq!(told, [(7, false, 2), (7, true, 1)]);
}

#[test]
fn a_request_that_something_else_answered_shows_its_user_and_no_event() {
    let mut counting = counting();
    let (reason, arm) = (Reason::Fallback, Arm::Legacy);
    add(&mut counting, [Ended { reason, arm, status: 503, ..Ended::default() }]);
    let users = take(&mut counting, RIPE, false).users;
    assert_eq!(users[0].seen, [SeenUser(7, Arm::New)], "on the arm of the bucket");
    assert!(users[0].events.is_empty());
}

#[test]
fn the_first_compared_request_of_a_user_counts() {
    let mut counting = counting();
    let request = UserRequest { user: 7, arm: Arm::Legacy, minted: false, begun: 103_000 };
    counting.add_compared(1, 0, request, true);
    counting.add_compared(1, 0, request, false);
    counting.add_compared(1, 0, UserRequest { user: 8, begun: 203_000, ..request }, false);
    counting.add_compared(1, 1, request, true);
    counting.add_compared(1, 0, UserRequest { user: 0, ..request }, true);
    assert_eq!(take(&mut counting, RIPE, false).users[0].compared, [(7, true)]);
    counting.add_compared(1, 0, UserRequest { begun: 203_000, ..request }, false);
    assert_eq!(take(&mut counting, RIPE + 100_000, false).users[0].compared, [(8, false)]);
}

#[test]
fn doubled_and_reordered_outcomes_make_the_same_sets() {
    let ended: Vec<Ended> = (0..60)
        .map(|user| {
            let status = [200, 404, 401, 422][user as usize % 4];
            let arm = if user % 3 == 0 { Arm::New } else { Arm::Legacy };
            let ms = if user % 5 == 0 { 300 } else { 5 };
            Ended { user: hash(user), arm, status, ms, begun: 103 + user as u32 % 20, ..Ended::default() }
        })
        .collect();
    let sets = |ended: Vec<Ended>| {
        let mut counting = counting();
        add(&mut counting, ended);
        let mut windows = take_all(&mut counting, RIPE + 100_000);
        windows.sort();
        windows
    };
    let once = sets(ended.clone());
    assert_eq!(once.iter().map(|window| window.seen.len()).sum::<usize>(), 60);
    assert_eq!(sets(ended.iter().rev().copied().collect()), once);
    assert_eq!(sets(ended.iter().flat_map(|ended| [*ended, *ended]).collect()), once);
}

/// S1 at the edge: a full list leaves out the same users of both arms, whoever came first.
#[test]
fn thinning_leaves_out_the_same_hashes_of_both_arms() {
    let mut counting = counting();
    let arm = |user: u64| if hash(user) & 1 == 0 { Arm::New } else { Arm::Legacy };
    let users = 0..40_000_u64;
    let failed = |user: u64| Ended { user: hash(user), arm: arm(user), status: 503, ..Ended::default() };
    // All of legacy come first.
    add(&mut counting, users.clone().filter(|user| arm(*user) == Arm::Legacy).map(failed));
    add(&mut counting, users.clone().filter(|user| arm(*user) == Arm::New).map(failed));
    let windows = take_all(&mut counting, RIPE);
    let seen: BTreeSet<u64> = windows.iter().flat_map(|window| &window.seen).map(|seen| seen.0).collect();
    let events: BTreeSet<u64> = events_of(&windows).iter().map(|events| events.user).collect();
    for reported in [&seen, &events] {
        let last = *reported.last().unwrap();
        let below: BTreeSet<u64> = users.clone().map(hash).filter(|user| *user <= last).collect();
        assert!(*reported == below, "some users below the bound are missing");
        assert!((CAPACITY / 3..=CAPACITY).contains(&reported.len()), "{}", reported.len());
        let new = reported.iter().filter(|user| *user & 1 == 0).count() as f64 / reported.len() as f64;
        assert!((0.45..0.55).contains(&new), "{new} are on the new arm");
    }
}

#[test]
fn a_million_users_do_not_fill_the_memory() {
    let mut counting = counting();
    for user in 0..1_000_000_u64 {
        let begun = 100 + u32::try_from(user / 100_000).unwrap() * 10;
        add(&mut counting, [Ended { user: hash(user), status: 503, begun, ..Ended::default() }]);
        if user % 10_000 == 0 {
            let held = counting.users_held();
            assert!(held <= 4 * CAPACITY, "{held} entries after {user} users");
        }
    }
    assert!(counting.users_held() > CAPACITY, "users are thinned, and not left out altogether");
    let counted: u64 = take(&mut counting, 0, false).cells.iter().map(|cell| cell.counts.requests).sum();
    assert_eq!(counted, 1_000_000, "counts leave nobody out");
}

#[test]
fn events_that_nobody_takes_are_thinned_user_by_user() {
    let mut counting = counting();
    let windows = 200;
    for window in 0..windows {
        let begun = 100 + window * 10;
        let failed = |user| Ended { user: hash(user), status: 503, begun, ..Ended::default() };
        add(&mut counting, (0..100).map(failed));
        assert!(counting.users_held() <= CAPACITY + 300, "{}", counting.users_held());
    }
    let mut entries = BTreeMap::new();
    for events in events_of(&take_all(&mut counting, i64::MAX)) {
        *entries.entry(events.user).or_insert(0) += 1;
    }
    assert!(!entries.is_empty() && entries.len() < 50, "{} users are left", entries.len());
    assert!(entries.values().all(|entries| *entries == windows), "a user is kept in all windows or in none");
}

#[test]
fn a_window_that_exceeds_a_batch_is_divided_by_hash() {
    let mut counting = counting();
    add(&mut counting, (0..1_300).map(|user| Ended { user: hash(user), ..Ended::default() }));
    let parts: Vec<_> = std::iter::from_fn(|| {
        let users = counting.has_batch(RIPE, false).then(|| take(&mut counting, RIPE, false).users)?;
        Some(users[0].seen.iter().map(|seen| seen.0).collect::<Vec<_>>())
    })
    .collect();
    assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [508, 508, 284]);
    let all = parts.concat();
    assert!(all.is_sorted(), "the order of a batch depends on hashes alone");
}

#[test]
fn steps_that_were_sent_make_room_for_further_ones() {
    for is_sent in [true, false] {
        let mut counting = counting();
        for step in 0..40 {
            let generation = step + 2;
            counting.begin_generation(generation, rules(1, step), 0);
            add(&mut counting, [Ended { generation, begun: 100 + step, ..Ended::default() }]);
            if is_sent {
                let users = take(&mut counting, i64::MAX, false).users;
                assert_eq!((users[0].canary.1, users[0].seen.len()), (step, 1));
            }
        }
        assert_eq!(counting.users_held(), if is_sent { 32 } else { 64 }, "bounded, sent or not");
    }
}

/// C17: a burst of changes keeps few rulesets, and says what it cannot count.
#[test]
fn outcomes_of_rules_that_are_not_kept_are_lost_and_those_counted_before_are_not() {
    let mut counting = counting();
    add(&mut counting, [Ended::default()]);
    for generation in 2..=10 {
        counting.begin_generation(generation, rules(u64::from(generation), 0), 0);
    }
    assert_eq!(counting.generations.len(), 1 + MAX_RETIRED);
    assert!(counting.rules(1).is_none() && counting.rules(2).is_some());
    add(&mut counting, [1, 1, 2, 10].map(|generation| Ended { generation, ..Ended::default() }));
    let batch = take(&mut counting, 0, false);
    assert_eq!((batch.lost, counting.lost_in_all), (2, 2));
    let cells: Vec<_> = batch
        .cells
        .iter()
        .map(|cell| (cell.revision.0, cell.route.as_ref().unwrap().as_str(), cell.counts.requests))
        .collect();
    assert_eq!(cells, [(1, "route", 1), (2, "route", 1), (10, "route", 1)]);
    // What the edge answered without rules has no route, and needs none to be counted.
    let without = PackedDecision::legacy(Reason::NoSnapshot).0 | 99 << OutcomeKind::GENERATION_SHIFT;
    let ended = PackedOutcome { kind: OutcomeKind(without), ..Ended::default().packed() };
    counting.add([ended].into_iter());
    let batch = take(&mut counting, 0, false);
    assert_eq!((batch.lost, batch.cells.len()), (0, 1));
    assert_eq!((batch.cells[0].reason, &batch.cells[0].route), (Reason::NoSnapshot, &None));
}

#[test]
fn an_outcome_without_room_is_a_loss_of_its_step() {
    let mut counting = full();
    add(&mut counting, [Ended::default(), Ended { arm: Arm::Legacy, ..Ended::default() }]);
    let batch = take(&mut counting, 0, false);
    let (flag, canary) = ("flag".parse().unwrap(), ("r1".parse().unwrap(), 0));
    assert_eq!((batch.lost, batch.losses), (2, vec![StepLoss { flag, canary, outcomes: 2, users: 0 }]));
}

/// A counting without room for a cell of another kind.
fn full() -> Counting {
    let mut counting = counting();
    let ended = Ended { user: 0, ..Ended::default() }.packed();
    let of_route = |route: u32| PackedOutcome { kind: OutcomeKind(ended.kind.0 | route), ..ended };
    counting.add((1..).map(of_route).take(MAX_CELLS));
    assert_eq!(counting.len(), MAX_CELLS);
    counting
}

/// Kinds differ by arm, so the users of one arm alone would be missing.
#[test]
fn an_outcome_without_room_counts_for_its_user() {
    let mut counting = full();
    add(&mut counting, [Ended { user: 8, status: 503, ..Ended::default() }]);
    let users = take(&mut counting, RIPE, false).users;
    assert_eq!(users[0].seen, [SeenUser(8, Arm::New)]);
    assert_eq!(events_of(&users).len(), 1);
}

#[test]
fn rules_are_dropped_when_their_requests_must_have_ended() {
    let mut counting = counting();
    counting.begin_generation(2, rules(2, 0), 1_000);
    counting.begin_generation(3, rules(3, 0), 1_000 + LONGEST_REQUEST_MS);
    assert!(counting.rules(1).is_some(), "a request may still be under way");
    counting.begin_generation(4, rules(4, 0), 1_001 + LONGEST_REQUEST_MS);
    assert!(counting.rules(1).is_none() && counting.rules(2).is_some());
}
