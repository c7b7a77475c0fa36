//! The users of experiments that are counted, from decisions and outcomes to batches.

mod bounds;
mod guardrails;

use super::{answer, failover::failed, groups::holding, snapshot};
use crate::{
    isolate::Isolate,
    settings::Settings,
    test_support,
    wire::{OutcomeKind, Packed, PackedDecision},
};
use cutover_core::{
    Arm, Bucket, PartsPerMillion, Purpose, Reason, Snapshot,
    measurement::{
        answer::Brake,
        batch::Batch,
        experiments::{ExperimentKey, ExperimentPart, MAX_ENTRIES, UserOutcome},
        label::ExperimentLabel,
    },
    routing::matcher::Matcher,
    rules::experiment::document::Experiment,
    vocabulary::revision::Revision,
};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

pub(super) const PAGE: &str = "GET\nhttps://h/api/x";
pub(super) const ORDER: &str = "POST\nhttps://h/orders";

/// Positions of the metrics of the experiment `arms`.
const ORDERED: u8 = 0;
const SPENT: u8 = 1;
pub(super) const ERRORS: u8 = 2;
const SLOW: u8 = 3;
pub(super) const REQUEST_MS: u8 = 4;

/// A snapshot in which one experiment owns the flag and another one gives out values, both counted. Orders have a route of
/// their own, which legacy answers.
pub(super) fn counted() -> Snapshot {
    let mut snapshot = snapshot(1, 0.0, 0);
    let mut orders = snapshot.routes[0].clone();
    orders.id = "orders".parse().unwrap();
    orders.flag = "none".parse().unwrap();
    orders.matcher = Matcher { methods: Vec::new(), path: "/orders".to_owned() };
    snapshot.routes.push(orders);
    let variant =
        |key: &str, arm: &str| json!({ "key": key, "name": key, "traffic_percentage": 50.0, "arm": arm });
    let plain = |key: &str| json!({ "key": key, "name": key, "traffic_percentage": 50.0 });
    let experiments = [
        (
            "arms",
            json!({ "name": "Arms", "flag": "flag", "variants": [variant("control", "legacy"), variant("treatment", "new")],
                "metrics": [
                    { "name": "ordered", "on": { "response": { "route": "orders", "methods": ["POST"] } } },
                    { "name": "spent", "kind": "value", "cap": 9000, "on": { "event": "order" } },
                    { "name": "errors", "on": "error" },
                    { "name": "slow", "on": { "slow": { "over_ms": 100 } } },
                    { "name": "ms", "kind": "ratio", "cap": 9000000, "on": { "response": { "route": "route" } } },
                ] }),
        ),
        ("colours", json!({ "name": "Colours", "variants": [plain("red"), plain("blue")] })),
    ];
    for (phase, (name, experiment)) in (1..).zip(experiments) {
        let mut experiment: Experiment = serde_json::from_value(experiment).unwrap();
        experiment.phase = phase;
        snapshot.experiments.insert(name.parse().unwrap(), experiment);
        let label = ExperimentLabel { phase, key: key_of(name).to_owned() };
        snapshot.experiment_labels.insert(name.parse().unwrap(), label);
    }
    snapshot
}

fn key_of(experiment: &str) -> &'static str {
    if experiment == "arms" { test_support::KEY } else { "0f0e0d0c0b0a09080706050403020100" }
}

pub(super) fn hash(experiment: &str, user: &str) -> u64 {
    ExperimentKey::parse(key_of(experiment)).unwrap().hash(user)
}

/// The variant of a user in an experiment with two halves.
fn variant(experiment: &str, user: &str) -> u8 {
    u8::from(Bucket::of(Purpose::Variant, experiment, user).get() >= 500_000)
}

/// Returns the first user of a variant of `arms`.
pub(super) fn user_of(position: u8) -> String {
    (0..100).map(|user| format!("user-{user}")).find(|user| variant("arms", user) == position).unwrap()
}

/// Settings without a lease: no request waits for a question.
fn reporting() -> Settings {
    Settings { reports: true, lease_ms: 0, ..Settings::default() }
}

pub(super) fn running() -> Isolate {
    holding(&counted(), reporting())
}

/// Decides a request of a user and records its end as JavaScript does. `begun` is in seconds.
pub(super) fn end(
    isolate: &mut Isolate,
    request: &str,
    user: &str,
    (status, ms): (u32, u32),
    begun: u32,
) -> PackedDecision {
    let decided = answer(isolate, &format!("{request}\n\0\n{user}"), i64::from(begun) * 1_000);
    record(isolate, decided, (status, ms), begun);
    decided
}

/// Records the end of the request that was decided last.
pub(super) fn record(isolate: &mut Isolate, decided: PackedDecision, ended: (u32, u32), begun: u32) {
    record_with(isolate, decided, ended, begun, 0);
}

/// Records the end of the request that was decided last, with flags of its outcome.
pub(super) fn record_with(
    isolate: &mut Isolate,
    decided: PackedDecision,
    (status, ms): (u32, u32),
    begun: u32,
    flags: u32,
) {
    let tag = OutcomeKind::tag(isolate.generation()) << OutcomeKind::GENERATION_SHIFT;
    let [low, high, ticket] = numbers_of_user(isolate, decided);
    let kind = decided.0 & PackedDecision::KIND | tag;
    isolate.record(&[kind, status << 20 | ms, low, high, begun, flags, ticket]);
}

/// Returns the numbers that the outcome of the request that was decided last carries for its user.
fn numbers_of_user(isolate: &Isolate, decided: PackedDecision) -> [u32; 3] {
    if decided.0 & PackedDecision::EVIDENCE == 0 {
        return [0; 3];
    }
    // Of a fallback a canary gets no evidence.
    let is_fallback = decided.reason() == Reason::Fallback;
    let hash = if is_fallback { 0 } else { isolate.evidence.get() };
    [hash as u32, (hash >> 32) as u32, isolate.ticket.get()]
}

/// Takes every batch that is left, and returns their parts.
pub(super) fn parts(isolate: &mut Isolate, now: i64, at_rest: bool) -> Vec<ExperimentPart> {
    let mut all = Vec::new();
    while let Some(text) = isolate.next_batch(at_rest, 0, now) {
        let batch: Batch = serde_json::from_str(&text).unwrap();
        let entries =
            |part: &ExperimentPart| part.exposures.len() + part.outcomes.len() + part.guardrails.len();
        assert!(batch.experiments.iter().map(entries).sum::<usize>() <= MAX_ENTRIES);
        all.extend(batch.experiments);
        let stored = serde_json::to_string(&super::word(1)).unwrap();
        isolate.finish_batch(batch.sequence, 200, &stored, now, || None);
    }
    all
}

/// Returns users with their variants as the parts of an experiment have them.
pub(super) fn exposed(parts: &[ExperimentPart], experiment: &str) -> BTreeSet<(u64, u8)> {
    let own = parts.iter().filter(|part| part.experiment.as_str() == experiment);
    own.flat_map(|part| &part.exposures).map(|exposure| (exposure.user, exposure.variant)).collect()
}

/// Returns users with metrics, times and values as the parts of an experiment have them.
pub(super) fn outcomes(parts: &[ExperimentPart], experiment: &str) -> BTreeSet<(u64, u8, i64, Option<u64>)> {
    let mut all = BTreeSet::new();
    for part in parts.iter().filter(|part| part.experiment.as_str() == experiment) {
        let outcome =
            |held: &UserOutcome| (held.user, held.metric, part.since + i64::from(held.after_s), held.value);
        all.extend(part.outcomes.iter().map(outcome));
    }
    all
}

/// Returns the outcomes of `arms` without the milliseconds of its requests.
fn events(parts: &[ExperimentPart]) -> BTreeSet<(u64, u8, i64, Option<u64>)> {
    outcomes(parts, "arms").into_iter().filter(|(_, metric, ..)| *metric != REQUEST_MS).collect()
}

#[test]
fn whom_a_variant_served_is_exposed_once_to_that_variant() {
    let mut isolate = running();
    let users: Vec<String> = (0..200).map(|user| format!("user-{user}")).collect();
    for begun in [100, 101, 150] {
        for user in &users {
            // However the request ends.
            let decided = end(&mut isolate, PAGE, user, (if begun == 101 { 200 } else { 503 }, 5), begun);
            assert_eq!(decided.reason(), Reason::Experiment);
        }
    }
    let parts = parts(&mut isolate, 200_000, true);
    for (experiment, phase) in [("arms", 1), ("colours", 2)] {
        let expected: BTreeSet<(u64, u8)> =
            users.iter().map(|user| (hash(experiment, user), variant(experiment, user))).collect();
        assert_eq!(exposed(&parts, experiment), expected, "{experiment}");
        let own: Vec<_> = parts.iter().filter(|part| part.experiment.as_str() == experiment).collect();
        assert!(own.iter().all(|part| part.phase == phase));
        let exposures: Vec<_> = own.iter().flat_map(|part| &part.exposures).collect();
        assert_eq!(exposures.len(), users.len(), "each once");
        let first = |part: &&ExperimentPart| {
            part.exposures.iter().all(|held| part.since + i64::from(held.after_s) == 100)
        };
        assert!(own.iter().all(first));
    }
}

#[test]
fn requests_that_no_variant_serves_expose_nobody() {
    let treated = user_of(1);
    let exposed_by = |snapshot: &Snapshot, request: &str, user: &str| {
        let mut isolate = holding(snapshot, reporting());
        end(&mut isolate, request, user, (200, 5), 100);
        let parts = parts(&mut isolate, 200_000, true);
        ["arms", "colours"].map(|experiment| exposed(&parts, experiment).len())
    };
    assert_eq!(exposed_by(&counted(), PAGE, &treated), [1, 1]);
    // Another route is the experiment's of values only, and no route is nobody's.
    assert_eq!(exposed_by(&counted(), "GET\nhttps://h/orders", &treated), [0, 1]);
    assert_eq!(exposed_by(&counted(), "GET\nhttps://h/elsewhere", &treated), [0, 0]);
    assert_eq!(exposed_by(&counted(), PAGE, "\0"), [0, 0], "without an id");
    let mut listed = counted();
    listed.flags.values_mut().for_each(|flag| flag.user_whitelist = vec![treated.clone()]);
    assert_eq!(exposed_by(&listed, PAGE, &treated), [0, 1]);
    let mut disabled = counted();
    disabled.flags.values_mut().for_each(|flag| flag.enabled = false);
    assert_eq!(exposed_by(&disabled, PAGE, &treated), [0, 1]);
    let mut other_phase = counted();
    other_phase.experiment_labels.values_mut().for_each(|label| label.phase += 1);
    assert_eq!(exposed_by(&other_phase, PAGE, &treated), [0, 0]);
    // A tester who asks for the arm of the own variant.
    let mut isolate = running();
    let lines = format!("{PAGE}\n\0\n{treated}");
    let mut forced = Packed::new(&lines);
    forced.forced = Some(Arm::New);
    let (decided, _) = isolate.decide(&forced, 100_000, isolate.generation(), || None);
    assert_eq!(decided.arm(), Arm::New);
    record(&mut isolate, decided, (200, 5), 100);
    let of_tester = parts(&mut isolate, 200_000, true);
    assert_eq!(["arms", "colours"].map(|experiment| exposed(&of_tester, experiment).len()), [0, 0]);
    // A lowered flag turns some of the treated users, so those whom it leaves and all of control are no fair sample.
    for user in [user_of(0), treated] {
        let mut isolate = running();
        let brake = Brake {
            revision: Revision(2),
            flag: "flag".parse().unwrap(),
            enabled: true,
            rollout: PartsPerMillion::of_percent(99),
        };
        isolate.rules().unwrap().brake([&brake]);
        end(&mut isolate, PAGE, &user, (200, 5), 100);
        assert_eq!(exposed(&parts(&mut isolate, 200_000, true), "arms").len(), 0, "{user}");
    }
}

/// A new backend that fails would else lose its own users only.
#[test]
fn while_the_new_backend_is_spared_no_variant_of_its_flag_has_users() {
    let [control, treated] = [user_of(0), user_of(1)];
    let mut isolate = running();
    let new = isolate.rules().unwrap().routes()[0].new;
    while answer(&isolate, &format!("{PAGE}\n\0\n{treated}"), 100_000).reason() != Reason::Diverted {
        failed(&mut isolate, new, 100_000);
    }
    for user in [&control, &treated] {
        end(&mut isolate, PAGE, user, (200, 5), 100);
    }
    let parts = parts(&mut isolate, 200_000, true);
    assert_eq!((exposed(&parts, "arms").len(), exposed(&parts, "colours").len()), (0, 2));
}

#[test]
fn responses_of_a_metrics_route_are_conversions_of_users_who_take_part() {
    let mut isolate = running();
    let [control, treated] = [user_of(0), user_of(1)];
    end(&mut isolate, PAGE, &treated, (200, 5), 100);
    for (request, status, begun) in [
        (ORDER, 500, 101),
        ("GET\nhttps://h/orders", 200, 102),
        (ORDER, 201, 103),
        (ORDER, 201, 104),
        (ORDER, 201, 140),
    ] {
        end(&mut isolate, request, &treated, (status, 5), begun);
        // This isolate does not know of an exposure: the last one of each window may be behind it.
        end(&mut isolate, request, &control, (status, 5), begun);
    }
    let expected = BTreeSet::from([
        (hash("arms", &treated), ORDERED, 103, None),
        (hash("arms", &control), ORDERED, 104, None),
        (hash("arms", &control), ORDERED, 140, None),
    ]);
    assert_eq!(events(&parts(&mut isolate, 200_000, true)), expected);
}

#[test]
fn errors_and_slow_responses_count_where_the_variant_served() {
    let mut isolate = running();
    let (failed, slow) = (user_of(1), user_of(0));
    end(&mut isolate, PAGE, &failed, (503, 5), 100);
    end(&mut isolate, PAGE, &failed, (0, 5), 101);
    end(&mut isolate, PAGE, &slow, (200, 101), 102);
    end(&mut isolate, PAGE, "user-of-nothing-special", (404, 100), 103);
    end(&mut isolate, ORDER, &slow, (503, 5), 104);
    let parts = parts(&mut isolate, 200_000, true);
    let expected = BTreeSet::from([
        (hash("arms", &failed), ERRORS, 100, None),
        (hash("arms", &failed), SLOW, 101, None),
        (hash("arms", &slow), SLOW, 102, None),
    ]);
    assert_eq!(events(&parts), expected);
    let ms: BTreeMap<i64, Option<u64>> = outcomes(&parts, "arms")
        .into_iter()
        .filter(|held| held.1 == REQUEST_MS)
        .map(|held| (held.2, held.3))
        .collect();
    assert_eq!(
        ms,
        BTreeMap::from([(102, Some(101_000))]),
        "the milliseconds of the only response in the range"
    );
}

#[test]
fn events_count_for_the_users_who_take_part() {
    let mut isolate = running();
    let user = user_of(1);
    assert!(isolate.note_event(&user, "order", Some(2_500), 100_100));
    assert!(isolate.note_event(&user, "order", Some(1_000), 100_900));
    assert!(isolate.note_event(&user, "order", None, 101_000));
    assert!(!isolate.note_event(&user, "orders", Some(7), 100_000));
    let hashed = hash("arms", &user);
    let expected = BTreeSet::from([(hashed, SPENT, 100, Some(3_500)), (hashed, SPENT, 101, Some(0))]);
    assert_eq!(events(&parts(&mut isolate, 200_000, true)), expected);
    let mut partly = counted();
    partly.experiments.values_mut().for_each(|held| held.traffic_percentage = PartsPerMillion::ZERO);
    let mut isolate = holding(&partly, reporting());
    assert!(
        isolate.note_event(&user, "order", Some(2_500), 100_000),
        "a metric has this event, whoever takes part"
    );
    assert!(parts(&mut isolate, 200_000, true).is_empty());
}

#[test]
fn a_window_is_sent_when_it_is_ripe_or_the_isolate_rests() {
    let mut isolate = running();
    end(&mut isolate, PAGE, &user_of(1), (503, 5), 103);
    // Ten seconds, and the time limit of the origins.
    assert!(parts(&mut isolate, 110_999, false).is_empty());
    assert_eq!(exposed(&parts(&mut isolate, 111_000, false), "arms").len(), 1);
    end(&mut isolate, PAGE, &user_of(0), (503, 5), 112);
    assert_eq!(exposed(&parts(&mut isolate, 113_000, true), "arms").len(), 1);
}

#[test]
fn too_many_users_are_thinned_alike_in_all_variants() {
    let mut isolate = running();
    let users: Vec<String> = (0..6_000).map(|user| format!("user-{user}")).collect();
    for (index, user) in (0..).zip(&users) {
        end(&mut isolate, PAGE, user, (200, 5), 100 + index / 1_000);
    }
    assert!(isolate.counting.users_held() <= 4 * 4_096, "{}", isolate.counting.users_held());
    let parts = parts(&mut isolate, 200_000, true);
    for experiment in ["arms", "colours"] {
        let own = parts.iter().filter(|part| part.experiment.as_str() == experiment);
        let theta = own.map(|part| part.theta).min().unwrap();
        assert!(theta < u64::MAX);
        let all = users.iter().map(|user| (hash(experiment, user), variant(experiment, user)));
        let expected: BTreeSet<(u64, u8)> = all.filter(|(user, _)| *user < theta).collect();
        assert_eq!(exposed(&parts, experiment), expected, "{experiment}");
        assert!(expected.len() > 1_000);
    }
}

#[test]
fn users_of_a_canary_are_counted_as_without_experiments() {
    let with = |experiments: bool| {
        let mut snapshot = counted();
        snapshot
            .flags
            .values_mut()
            .for_each(|flag| flag.rollout_percentage = PartsPerMillion::of_percent(50));
        snapshot.experiments.retain(|name, _| experiments && name.as_str() == "colours");
        snapshot
            .canaries
            .insert("flag".parse().unwrap(), test_support::label(0, PartsPerMillion::of_percent(50)));
        let mut isolate = holding(&snapshot, reporting());
        for user in 0..50 {
            let status = if user % 7 == 0 { 503 } else { 200 };
            end(&mut isolate, PAGE, &format!("user-{user}"), (status, 5), 100);
        }
        let batch: Batch = serde_json::from_str(&isolate.next_batch(true, 0, 200_000).unwrap()).unwrap();
        (batch.users, batch.experiments.len())
    };
    let (users, parts) = with(true);
    assert_eq!(parts, 1);
    assert_eq!((users[0].seen.len(), users[0].events.len()), (50, 8));
    assert_eq!((users, 0), with(false));
}

#[test]
fn counted_experiments_add_no_allocation_to_a_decision_once_their_room_is_made() {
    let lines = format!("{PAGE}\n\0\n{}", user_of(0));
    let allocations = |mut isolate: Isolate| {
        end(&mut isolate, PAGE, &user_of(0), (200, 5), 100);
        let info = allocation_counter::measure(|| {
            answer(&isolate, &lines, 0);
        });
        info.count_total
    };
    let mut without = counted();
    without.experiments.clear();
    assert_eq!(allocations(running()), allocations(holding(&without, reporting())));
}
