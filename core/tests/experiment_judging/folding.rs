//! The folding of users: each counts once, in one variant, whatever the order in which things arrive.

use super::{
    CONTROL, LATENCY, PURCHASE, SPENT, TREATMENT, arrivals, batch, design, exposure, identified, outcome,
    part, tick,
};
use cutover_core::{
    experiment::{DEFAULT_CAPACITY, Evidence, MAX_METRICS, MetricSums, Total},
    measurement::{
        batch::Batch,
        experiments::{ExperimentPart, Exposure, UserOutcome},
    },
    statistics::split_mix::{SplitMix64, mix},
};
use proptest::prelude::*;

/// Time of a tick at which nobody has matured and no event has settled.
const EARLY: i64 = 50;

fn empty() -> Evidence {
    Evidence::none(&design(&[50, 50]), DEFAULT_CAPACITY)
}

/// Folds parts in one tick into empty evidence.
fn folded(parts: Vec<ExperimentPart>, after_s: i64) -> Evidence {
    let mut evidence = empty();
    tick(&mut evidence, &design(&[50, 50]), parts, after_s);
    evidence
}

fn sums_of(evidence: &Evidence, variant: u8, metric: u8) -> MetricSums {
    evidence.figures().running[usize::from(variant)].metrics[usize::from(metric)]
}

fn users(evidence: &Evidence) -> [u64; 2] {
    [CONTROL, TREATMENT].map(|variant| evidence.figures().running[usize::from(variant)].users)
}

#[test]
fn a_user_counts_once_with_the_first_conversion_and_a_capped_value() {
    let exposures = vec![exposure(1, CONTROL, 0), exposure(2, TREATMENT, 0), exposure(2, TREATMENT, 9)];
    let outcomes = vec![
        outcome(2, PURCHASE, 10, None),
        outcome(2, PURCHASE, 20, None),
        outcome(2, SPENT, 10, Some(12_500)),
        outcome(2, SPENT, 20, Some(200_000)),
        outcome(1, SPENT, 20, Some(3_000)),
        outcome(2, LATENCY, 20, Some(300_000)),
        outcome(2, LATENCY, 21, Some(50_000)),
    ];
    let evidence = folded(vec![part(exposures, outcomes)], EARLY);
    assert_eq!(users(&evidence), [1, 1]);
    let purchase = sums_of(&evidence, TREATMENT, PURCHASE);
    assert_eq!((purchase.with_event, purchase.counts.get(), purchase.values.get()), (1, 2, 0));
    let spent = sums_of(&evidence, TREATMENT, SPENT);
    assert_eq!((spent.values.get(), spent.values_squared.get()), (100_000, 10_000_000_000), "a user's cap");
    assert_eq!(sums_of(&evidence, CONTROL, SPENT).values.get(), 3_000);
    let latency = sums_of(&evidence, TREATMENT, LATENCY);
    assert_eq!((latency.values.get(), latency.products.get()), (150_000, 300_000), "an event's cap");
}

#[test]
fn outcomes_before_the_exposure_wait_and_then_count_as_such() {
    let design = design(&[50, 50]);
    let mut evidence = empty();
    let outcomes =
        vec![outcome(1, PURCHASE, 5, None), outcome(2, PURCHASE, 5, None), outcome(3, PURCHASE, 5, None)];
    tick(&mut evidence, &design, vec![part(Vec::new(), outcomes)], 10);
    assert_eq!((users(&evidence), evidence.remembered()), ([0, 0], 3));
    // User 1 was exposed before, user 2 after the event, user 3 never.
    let exposures = vec![exposure(1, TREATMENT, 5), exposure(2, TREATMENT, 6)];
    tick(&mut evidence, &design, vec![part(exposures, Vec::new())], 20);
    assert_eq!((users(&evidence), sums_of(&evidence, TREATMENT, PURCHASE).with_event), ([0, 2], 1));
    assert_eq!(evidence.figures().before_exposure, 0);
    tick(&mut evidence, &design, Vec::new(), 104);
    assert_eq!((evidence.figures().before_exposure, evidence.remembered()), (0, 3));
    tick(&mut evidence, &design, Vec::new(), 105);
    assert_eq!((evidence.figures().before_exposure, evidence.remembered()), (2, 2));
    // An earlier exposure that is learned later brings no settled event back.
    tick(&mut evidence, &design, vec![part(vec![exposure(2, TREATMENT, 0)], Vec::new())], 110);
    assert_eq!(sums_of(&evidence, TREATMENT, PURCHASE).with_event, 1);
}

#[test]
fn a_user_of_two_variants_is_in_no_sum() {
    let design = design(&[50, 50]);
    let both = vec![exposure(1, CONTROL, 0), exposure(1, TREATMENT, 1)];
    let bought = || vec![outcome(1, PURCHASE, 2, None)];
    let at_once = folded(vec![part(both.clone(), bought())], EARLY);
    let mut later = folded(vec![part(both[1..].to_vec(), bought())], 20);
    assert_eq!((users(&later), sums_of(&later, TREATMENT, PURCHASE).with_event), ([0, 1], 1));
    tick(&mut later, &design, vec![part(both[..1].to_vec(), Vec::new())], EARLY);
    assert_eq!(later, at_once);
    assert_eq!((users(&later), later.figures().crossed), ([0, 0], 1));
    assert_eq!(sums_of(&later, TREATMENT, PURCHASE), MetricSums::default());
    tick(&mut later, &design, vec![part(both, bought())], EARLY);
    assert_eq!(later.figures().crossed, 1, "counted once");
    // Also after the window.
    let mut matured = folded(vec![part(vec![exposure(1, CONTROL, 0)], bought())], 1_100);
    assert_eq!(matured.figures().matured[0].users, 1);
    tick(&mut matured, &design, vec![part(vec![exposure(1, TREATMENT, 0)], Vec::new())], 1_200);
    assert_eq!((matured.figures().matured[0].users, matured.figures().crossed), (0, 1));
}

#[test]
fn outcomes_are_final_when_the_window_and_the_time_of_a_report_are_over() {
    let design = design(&[50, 50]);
    let exposures = vec![exposure(1, CONTROL, 0), exposure(2, CONTROL, 0), exposure(3, CONTROL, 1)];
    let outcomes = vec![
        outcome(1, PURCHASE, 999, None),
        outcome(1, SPENT, 999, Some(7_000)),
        outcome(2, PURCHASE, 1_000, None),
        outcome(2, SPENT, 1_000, Some(9_000)),
    ];
    let mut evidence = folded(vec![part(exposures, outcomes)], 1_099);
    assert_eq!(evidence.figures().matured[0].users, 0);
    assert_eq!(sums_of(&evidence, CONTROL, PURCHASE).with_event, 2, "conversions have no window");
    tick(&mut evidence, &design, Vec::new(), 1_100);
    let matured = evidence.figures().matured[0].clone();
    assert_eq!((matured.users, matured.metrics[0].with_event), (2, 1), "the second was too late");
    assert_eq!(matured.metrics[1].values.get(), 7_000);
    tick(&mut evidence, &design, Vec::new(), 1_101);
    assert_eq!(evidence.figures().matured[0].users, 3);
}

/// An isolate that could not report sends its batch up to a day late, long after `settle_s`.
#[test]
fn a_late_batch_counts_like_one_in_time_but_for_events_that_waited_for_its_exposures() {
    const LATE: i64 = 86_400;
    let design = design(&[50, 50]);
    let exposures = || vec![exposure(1, TREATMENT, 0), exposure(2, TREATMENT, 0)];
    let bought = || vec![outcome(1, PURCHASE, 500, None), outcome(1, SPENT, 500, Some(7_000))];
    let mut in_time = folded(vec![part(exposures(), bought())], 600);
    tick(&mut in_time, &design, Vec::new(), LATE);
    assert_eq!(folded(vec![part(exposures(), bought())], LATE), in_time);
    // The outcomes alone are late, and the windows of their users are over.
    let mut evidence = folded(vec![part(exposures(), Vec::new())], 600);
    tick(&mut evidence, &design, Vec::new(), 1_100);
    let matured = evidence.figures().matured[1].clone();
    assert_eq!((matured.users, matured.metrics[0].with_event), (2, 0));
    tick(&mut evidence, &design, vec![part(Vec::new(), bought())], LATE);
    assert_eq!(evidence, in_time);
    // The exposures alone are late: the events did not wait for them so long.
    let mut waited = folded(vec![part(Vec::new(), bought())], 550);
    tick(&mut waited, &design, Vec::new(), 600);
    tick(&mut waited, &design, vec![part(exposures(), Vec::new())], LATE);
    assert_eq!((users(&waited), waited.figures().before_exposure), ([0, 2], 2));
    assert_eq!(sums_of(&waited, TREATMENT, PURCHASE).with_event, 0);
}

#[test]
fn entries_that_the_design_does_not_know_are_counted_as_unknown() {
    let parts = part(vec![exposure(1, 2, 0)], vec![outcome(1, 4, 0, None)]);
    let evidence = folded(vec![parts], EARLY);
    assert_eq!((evidence.figures().unknown, evidence.remembered()), (2, 0));
    let other = ExperimentPart { phase: 2, ..part(vec![exposure(1, 0, 0)], Vec::new()) };
    assert_eq!(folded(vec![other], EARLY), empty());
}

#[test]
fn a_full_map_keeps_the_same_hashes_of_all_variants_and_no_sum_falls() {
    let design = design(&[50, 50]);
    let mut evidence = Evidence::none(&design, 100);
    let part_of = |users: std::ops::Range<u64>| {
        part(users.map(|user| exposure(mix(user), (user % 2) as u8, 0)).collect(), Vec::new())
    };
    tick(&mut evidence, &design, vec![part_of(1..501)], EARLY);
    assert_eq!(users(&evidence), [250, 250]);
    assert!((20..=100).contains(&evidence.remembered()) && evidence.theta() < u64::MAX / 2);
    let theta = evidence.theta();
    tick(&mut evidence, &design, vec![part_of(1..1_001)], EARLY);
    let fresh = (501..1_001).filter(|user| mix(*user) < theta).count() as u64;
    assert_eq!(users(&evidence).iter().sum::<u64>(), 500 + fresh);
    // Users whom an isolate leaves out are left out everywhere.
    tick(&mut evidence, &design, vec![ExperimentPart { theta: 5, ..part_of(1..1) }], EARLY);
    assert_eq!((evidence.theta(), evidence.remembered()), (5, 0));
    assert_eq!(users(&evidence).iter().sum::<u64>(), 500 + fresh);
}

/// Anybody can send events, so those of users whom nobody saw exposed must not cost the sample a single user.
#[test]
fn events_of_users_who_are_not_exposed_leave_out_no_exposed_user() {
    let design = design(&[50, 50]);
    let mut evidence = Evidence::none(&design, 100);
    let exposures = (1..=80).map(|user| exposure(mix(user), (user % 2) as u8, 0)).collect();
    tick(&mut evidence, &design, vec![part(exposures, Vec::new())], 0);
    assert_eq!((evidence.remembered(), evidence.theta()), (80, u64::MAX));
    // 40 users with five events each are 240 entries, of which there is room for a quarter of the capacity.
    let events =
        |user: u64| (0..5).map(move |at| outcome(mix(1_000 + user), PURCHASE, at + user as u32, None));
    for user in 0..40 {
        tick(&mut evidence, &design, vec![part(Vec::new(), events(user).collect())], EARLY);
    }
    assert_eq!((evidence.remembered(), evidence.theta()), (80 + 4, u64::MAX));
    assert_eq!((users(&evidence), evidence.figures().without_room), ([40, 40], 36 * 5));
    // The newest are kept: their exposures may be under way. A user of the oldest counts from now on.
    let late = vec![exposure(mix(1_039), TREATMENT, 0), exposure(mix(1_000), TREATMENT, 0)];
    tick(&mut evidence, &design, vec![part(late, Vec::new())], EARLY);
    assert_eq!((users(&evidence), sums_of(&evidence, TREATMENT, PURCHASE).with_event), ([40, 42], 1));
}

#[test]
fn ids_of_users_who_are_not_exposed_leave_out_no_exposed_user() {
    let design = design(&[50, 50]);
    let mut evidence = Evidence::none(&design, 100);
    let exposures = (1..=90).map(|user| exposure(mix(user), CONTROL, 0)).collect();
    tick(&mut evidence, &design, vec![part(exposures, Vec::new())], 0);
    let events = (0..64).map(|id| identified(mix(1_000 + id), SPENT, 10, Some(1), id)).collect();
    tick(&mut evidence, &design, vec![part(Vec::new(), events)], 20);
    // The events settle, and their ids stay for two days.
    tick(&mut evidence, &design, Vec::new(), 200);
    assert_eq!((users(&evidence), evidence.theta()), ([90, 0], u64::MAX));
    let figures = evidence.figures();
    assert_eq!(
        (figures.without_room, figures.before_exposure),
        (64 - 8, 8),
        "an event and its id beside the user"
    );
}

#[test]
fn events_that_wait_for_an_exposed_user_are_bounded_with_the_users() {
    let design = design(&[50, 50]);
    let mut evidence = Evidence::none(&design, 100);
    let exposures = (0..40).map(|user| exposure(mix(user), CONTROL, 10)).collect();
    let outcomes = (0..40).flat_map(|user| (0..5).map(move |at| outcome(mix(user), PURCHASE, at, None)));
    tick(&mut evidence, &design, vec![part(exposures, outcomes.collect())], EARLY);
    assert!(evidence.remembered() <= 16, "40 users with five events each are 240: {}", evidence.remembered());
    assert!(evidence.theta() < u64::MAX);
}

#[test]
fn outcomes_without_room_in_an_isolate_are_counted() {
    let lossy = |lost| ExperimentPart { lost, ..part(vec![exposure(lost, CONTROL, 0)], Vec::new()) };
    assert_eq!(folded(vec![lossy(3), lossy(4)], EARLY).figures().without_room, 7);
    let text = serde_json::to_string(&lossy(3)).unwrap();
    assert_eq!(serde_json::from_str::<ExperimentPart>(&text).unwrap(), lossy(3));
    assert!(!serde_json::to_string(&lossy(0)).unwrap().contains("lost"));
}

#[test]
fn documents_are_read_again_and_stay_below_their_bound() {
    let sums: Total = serde_json::from_str("[1,5]").unwrap();
    assert_eq!((sums.get(), serde_json::to_string(&sums).unwrap().as_str()), ((1 << 64) + 5, "[1,5]"));

    let mut largest = design(&[25; 4]);
    let uncapped =
        cutover_core::rules::experiment::metric::Metric { cap: None, ..largest.metrics[1].clone() };
    largest.metrics = vec![uncapped; MAX_METRICS];
    let capacity = 200;
    let bound = Evidence::max_bytes(capacity, 4, MAX_METRICS);
    let mut documents = Vec::new();
    for is_exposed in [false, true] {
        let mut evidence = Evidence::none(&largest, capacity);
        let user = |number: u64| u64::MAX - 1 - number;
        let exposures = |number| exposure(user(number), 3, 0);
        let outcomes = |number| {
            (0..MAX_METRICS as u8).map(move |metric| outcome(user(number), metric, 0, Some(u64::MAX)))
        };
        let part = if is_exposed {
            let early = ExperimentPart::empty(super::experiment(), 1, i64::MIN);
            ExperimentPart {
                exposures: (0..u64::from(capacity)).map(exposures).collect(),
                outcomes: (0..u64::from(capacity)).flat_map(outcomes).collect(),
                ..early
            }
        } else {
            part(Vec::new(), (0..100).map(|number| outcome(user(number), 15, 0, Some(u64::MAX))).collect())
        };
        tick(&mut evidence, &largest, vec![part], EARLY);
        // A user who waits for an exposure takes two of the 50 entries beside the capacity.
        assert_eq!(evidence.remembered(), if is_exposed { 200 } else { 25 });
        let text = serde_json::to_string(&evidence).unwrap();
        assert!(text.len() <= bound, "{} bytes of {bound}", text.len());
        assert_eq!(serde_json::from_str::<Evidence>(&text).unwrap(), evidence);
        documents.push(text);
    }
    assert!(documents[1].len() * 10 > bound, "the bound is far above the largest document");
}

/// Entries of few users, who are exposed and have events in two variants now and then. Some events have the ids of others.
fn entries() -> impl Strategy<Value = (Vec<Exposure>, Vec<UserOutcome>)> {
    let exposures = (0_u64..30, prop_oneof![9 => Just(None), 1 => Just(Some(1_u8))], 0_u32..60);
    let exposure = exposures
        .prop_map(|(user, other, after_s)| exposure(mix(user), other.unwrap_or((user % 2) as u8), after_s));
    let values = prop::option::of(0_u64..200_000);
    let outcomes = (0_u64..35, 0_u8..5, 0_u32..60, values, prop::option::weighted(0.3, 0_u64..5));
    let outcome = outcomes.prop_map(|(user, metric, after_s, value, id)| UserOutcome {
        id,
        ..outcome(mix(user), metric, after_s, value)
    });
    (prop::collection::vec(exposure, 0..60), prop::collection::vec(outcome, 0..60))
}

/// Divides entries among the batches of three isolates.
fn divided((exposures, outcomes): &(Vec<Exposure>, Vec<UserOutcome>), seed: u64) -> Vec<Batch> {
    let mut dice = SplitMix64::new(seed);
    let mut parts: Vec<ExperimentPart> = (0..9).map(|_| part(Vec::new(), Vec::new())).collect();
    for exposure in exposures {
        parts[(dice.draw() % 9) as usize].exposures.push(*exposure);
    }
    for outcome in outcomes {
        parts[(dice.draw() % 9) as usize].outcomes.push(*outcome);
    }
    (0..9).zip(parts).map(|(number, part)| batch(number % 3, number / 3 + 1, part)).collect()
}

fn shuffled<T>(mut items: Vec<T>, seed: u64) -> Vec<T> {
    let mut dice = SplitMix64::new(seed);
    items.sort_by_cached_key(|_| dice.draw());
    items
}

proptest! {
    /// Within a tick neither the order nor repetitions show, nor the isolates among which users were divided.
    #[test]
    fn a_tick_has_no_order(
        first in entries(), second in entries(), seeds in any::<[u64; 2]>(), capacity in 5_u32..60,
        ages in (0_i64..300, 0_i64..2_000),
    ) {
        let design = design(&[50, 50]);
        let mut in_order = Evidence::none(&design, capacity);
        let mut mixed = in_order.clone();
        let mut joined = in_order.clone();
        for (entries, after_s) in [(&first, ages.0), (&second, ages.0 + ages.1)] {
            let batches = divided(entries, seeds[0]);
            in_order.fold(&design, &arrivals(&batches), super::BEGAN + after_s);
            let twice = batches.iter().chain(batches.iter().step_by(2)).cloned().collect();
            mixed.fold(&design, &arrivals(&shuffled(twice, seeds[1])), super::BEGAN + after_s);
            let (exposures, outcomes) = entries.clone();
            let one = batch(1, 1, part(exposures, outcomes));
            joined.fold(&design, &arrivals([&one]), super::BEGAN + after_s);
        }
        prop_assert_eq!(&in_order, &mixed);
        prop_assert_eq!(&in_order, &joined);
        let text = serde_json::to_string(&in_order).unwrap();
        prop_assert_eq!(serde_json::from_str::<Evidence>(&text).unwrap(), in_order);
    }

    /// The users below a bound are the same, whenever the others were left out.
    #[test]
    fn halving_theta_commutes_with_folding(
        first in entries(), second in entries(), halvings in 1_u32..5, later in 0_i64..2_000,
    ) {
        let design = design(&[50, 50]);
        let theta = u64::MAX >> halvings;
        let ticks = [(first, 10_i64), (second, 10 + later)];
        let fold = |evidence: &mut Evidence| {
            for (entries, after_s) in &ticks {
                evidence.fold(&design, &arrivals(&divided(entries, 1)), super::BEGAN + after_s);
            }
        };
        let (mut before, mut after) = (empty(), empty());
        before.lower(theta);
        fold(&mut before);
        fold(&mut after);
        after.lower(theta);
        prop_assert!(before.remembers_same(&after), "{:?}\n{:?}", before, after);
    }
}
