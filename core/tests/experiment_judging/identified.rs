//! Events with ids: a server may repeat one to any isolate, and it counts once.

use super::{
    BEGAN, CONTROL, LATENCY, PURCHASE, SPENT, TREATMENT, arrivals, batch, design, exposure, identified,
    outcome, part, tick,
};
use cutover_core::{
    experiment::{DEFAULT_CAPACITY, Evidence, MAX_EVENT_IDS, MetricSums},
    measurement::experiments::UserOutcome,
};
use proptest::prelude::*;

const DAY: i64 = 24 * 60 * 60;

fn empty() -> Evidence {
    Evidence::none(&design(&[50, 50]), DEFAULT_CAPACITY)
}

/// Evidence in which user 1 was exposed to the treatment.
fn exposed() -> Evidence {
    let mut evidence = empty();
    let exposures = vec![exposure(1, TREATMENT, 0)];
    tick(&mut evidence, &design(&[50, 50]), vec![part(exposures, Vec::new())], 1);
    evidence
}

fn report(evidence: &mut Evidence, outcomes: Vec<UserOutcome>, after_s: i64) {
    tick(evidence, &design(&[50, 50]), vec![part(Vec::new(), outcomes)], after_s);
}

fn sums_of(evidence: &Evidence, metric: u8) -> MetricSums {
    evidence.figures().running[usize::from(TREATMENT)].metrics[usize::from(metric)]
}

#[test]
fn an_id_that_two_isolates_report_counts_once_for_each_metric() {
    let design = design(&[50, 50]);
    let sale = |id| vec![identified(1, SPENT, 10, Some(5_000), id), identified(1, PURCHASE, 10, None, id)];
    // In one tick, and in a later one.
    let mut evidence = exposed();
    let parts = vec![part(Vec::new(), sale(7)), part(Vec::new(), sale(7)), part(Vec::new(), sale(8))];
    tick(&mut evidence, &design, parts, 20);
    report(&mut evidence, sale(7), 30);
    assert_eq!(sums_of(&evidence, SPENT).values.get(), 10_000);
    assert_eq!(sums_of(&evidence, PURCHASE).counts.get(), 2);
    // Without an id nothing tells a repetition from another event.
    report(&mut evidence, vec![outcome(1, SPENT, 10, Some(5_000)); 2], 40);
    assert_eq!(sums_of(&evidence, SPENT).values.get(), 20_000);
}

#[test]
fn an_id_of_another_user_is_another_event() {
    let design = design(&[50, 50]);
    let mut evidence = empty();
    let exposures = vec![exposure(1, TREATMENT, 0), exposure(2, TREATMENT, 0), exposure(3, CONTROL, 0)];
    let outcomes = (1..4).map(|user| identified(user, SPENT, 5, Some(1_000), 7)).collect();
    tick(&mut evidence, &design, vec![part(exposures, outcomes)], 10);
    assert_eq!(sums_of(&evidence, SPENT).values.get(), 2_000);
}

#[test]
fn an_id_that_waits_for_its_exposure_counts_once() {
    let mut evidence = empty();
    for after_s in [10, 20] {
        report(&mut evidence, vec![identified(1, SPENT, 5, Some(1_000), 7)], after_s);
    }
    let exposures = vec![exposure(1, TREATMENT, 0)];
    tick(&mut evidence, &design(&[50, 50]), vec![part(exposures, Vec::new())], 30);
    report(&mut evidence, vec![identified(1, SPENT, 5, Some(1_000), 7)], 40);
    assert_eq!(sums_of(&evidence, SPENT).values.get(), 1_000);
}

/// An event without an exposure is counted as such once, and does not come back when it is repeated.
#[test]
fn an_id_that_was_settled_does_not_wait_again() {
    let mut evidence = empty();
    let sale = || vec![identified(1, SPENT, 5, Some(1_000), 7)];
    report(&mut evidence, sale(), 10);
    report(&mut evidence, Vec::new(), 200);
    assert_eq!(evidence.figures().before_exposure, 1);
    report(&mut evidence, sale(), 210);
    assert_eq!(evidence.figures().before_exposure, 1);
    let exposures = vec![exposure(1, TREATMENT, 0)];
    tick(&mut evidence, &design(&[50, 50]), vec![part(exposures, sale())], 220);
    assert_eq!(sums_of(&evidence, SPENT).values.get(), 0);
}

#[test]
fn an_id_is_remembered_for_two_days_and_the_time_of_a_report() {
    let sale = || vec![identified(1, SPENT, 10, Some(1_000), 7)];
    for (later, is_known) in [(2 * DAY + 109, true), (2 * DAY + 110, false)] {
        let mut evidence = exposed();
        report(&mut evidence, sale(), 20);
        report(&mut evidence, Vec::new(), later);
        // The edge would refuse an event of that age.
        report(&mut evidence, sale(), later);
        let expected = if is_known { 1_000 } else { 2_000 };
        assert_eq!(sums_of(&evidence, SPENT).values.get(), expected, "{later}");
    }
}

#[test]
fn ids_of_a_user_are_bounded_and_the_latest_are_kept() {
    let sale = |number: usize| {
        let number = u32::try_from(number).unwrap();
        identified(1, LATENCY, 10 + number, Some(1), u64::from(number))
    };
    let mut evidence = exposed();
    report(&mut evidence, (0..=MAX_EVENT_IDS).map(sale).collect(), 200);
    let all = MAX_EVENT_IDS as u64 + 1;
    assert_eq!(sums_of(&evidence, LATENCY).values.get(), u128::from(all));
    // All but the oldest are known.
    report(&mut evidence, (0..=MAX_EVENT_IDS).map(sale).collect(), 210);
    assert_eq!(sums_of(&evidence, LATENCY).values.get(), u128::from(all + 1));
}

#[test]
fn ids_take_room_like_users_and_fit_the_document() {
    let largest = design(&[50, 50]);
    let capacity = 100;
    let mut evidence = Evidence::none(&largest, capacity);
    let exposures = (0..40).map(|user| exposure(u64::MAX / 64 * user, CONTROL, 0)).collect();
    let outcomes = (0..40).flat_map(|user| {
        (0..10).map(move |id| identified(u64::MAX / 64 * user, SPENT, 1, Some(1), u64::MAX - id))
    });
    tick(&mut evidence, &largest, vec![part(exposures, outcomes.collect())], 10);
    assert!(evidence.remembered() <= 10, "a user with ten ids takes the room of eleven");
    let text = serde_json::to_string(&evidence).unwrap();
    assert!(text.len() <= Evidence::max_bytes(capacity, 2, largest.metrics.len()));
    assert_eq!(serde_json::from_str::<Evidence>(&text).unwrap(), evidence);
}

proptest! {
    /// Events that are repeated to any isolates in any ticks count as each of them once.
    #[test]
    fn repetitions_never_show(
        events in prop::collection::vec((0_u64..5, 0_u8..4, 0_u32..60, 0_u64..1_000), 0..30),
        repeated in prop::collection::vec((any::<prop::sample::Index>(), 0_u64..3), 0..30),
    ) {
        let design = design(&[50, 50]);
        let exposures = || (0..5).map(|user| exposure(user, TREATMENT, 0)).collect::<Vec<_>>();
        let told: Vec<UserOutcome> = (0..)
            .zip(&events)
            .map(|(id, (user, metric, after_s, value))| identified(*user, *metric, *after_s, Some(*value), id))
            .collect();
        let mut once = empty();
        once.fold(&design, &arrivals(&[batch(1, 1, part(exposures(), told.clone()))]), BEGAN + 100);
        let mut often = once.clone();
        for (index, isolate) in repeated {
            if told.is_empty() {
                break;
            }
            let again = part(Vec::new(), vec![*index.get(&told)]);
            often.fold(&design, &arrivals(&[batch(isolate, 2, again)]), BEGAN + 100);
        }
        prop_assert_eq!(once, often);
    }
}
