//! Two hundred thousand users with a known truth, reported by many isolates, late and twice: the sums equal it exactly.

use super::{PURCHASE, SPENT, arrivals, batch, design, exposure, outcome, part};
use cutover_core::{
    experiment::{Design, Evidence},
    measurement::batch::Batch,
    statistics::split_mix::{SplitMix64, mix},
};

const USERS: u64 = 200_000;

/// Capacity for all users and for the outcomes that wait for their exposure.
const CAPACITY: u32 = 400_000;

/// Largest number of entries in a batch.
const BATCH: usize = 400;

/// What is true of a user: variant, time of the exposure, purchases, and the value of each in thousandths.
struct Truth {
    variant: u8,
    exposed: u32,
    purchases: u32,
    value: u64,
}

fn truth(user: u64) -> Truth {
    let random = mix(user ^ 0x5555_5555);
    Truth {
        variant: (random % 2) as u8,
        exposed: (random >> 8) as u32 % 500,
        purchases: if (random >> 40).is_multiple_of(5) { 1 + (random >> 20) as u32 % 3 } else { 0 },
        value: 1_000 + (random >> 30) % 50_000,
    }
}

/// Returns the batches of all users: every exposure is reported by two isolates, every outcome by one.
fn batches() -> Vec<Batch> {
    let mut exposures = Vec::new();
    let mut outcomes = Vec::new();
    for user in 0..USERS {
        let Truth { variant, exposed, purchases, value } = truth(user);
        let hash = mix(user + 1);
        exposures.push(exposure(hash, variant, exposed));
        exposures.push(exposure(hash, variant, exposed + 7));
        for number in 0..purchases {
            outcomes.push(outcome(hash, PURCHASE, exposed + number, None));
            outcomes.push(outcome(hash, SPENT, exposed + number, Some(value)));
        }
    }
    let mut dice = SplitMix64::new(1);
    exposures.sort_by_cached_key(|_| dice.draw());
    outcomes.sort_by_cached_key(|_| dice.draw());
    let seen = exposures.chunks(BATCH).map(|chunk| part(chunk.to_vec(), Vec::new()));
    let bought = outcomes.chunks(BATCH).map(|chunk| part(Vec::new(), chunk.to_vec()));
    (0..).zip(seen.chain(bought)).map(|(number, part)| batch(number % 50, number / 50 + 1, part)).collect()
}

fn check(evidence: &Evidence, design: &Design) {
    let figures = evidence.figures();
    assert_eq!((figures.crossed, figures.before_exposure, figures.unknown), (0, 0, 0));
    assert_eq!((evidence.remembered() as u64, evidence.theta()), (USERS, u64::MAX));
    for variant in 0..design.variants.len() as u8 {
        let of_variant = || (0..USERS).map(truth).filter(move |truth| truth.variant == variant);
        let sums = &figures.running[usize::from(variant)];
        assert_eq!(sums.users, of_variant().count() as u64);
        let [purchase, spent] = [PURCHASE, SPENT].map(|metric| sums.metrics[usize::from(metric)]);
        let buyers = || of_variant().filter(|truth| truth.purchases > 0);
        assert_eq!(
            (purchase.with_event, spent.with_event),
            (buyers().count() as u64, buyers().count() as u64)
        );
        let bought: u128 = buyers().map(|truth| u128::from(truth.purchases)).sum();
        assert_eq!(purchase.counts.get(), bought);
        let value = |truth: Truth| u128::from((u64::from(truth.purchases) * truth.value).min(100_000));
        assert_eq!(spent.values.get(), buyers().map(value).sum::<u128>());
        assert_eq!(spent.values_squared.get(), buyers().map(|truth| value(truth).pow(2)).sum::<u128>());
    }
}

#[test]
fn two_hundred_thousand_users_are_counted_exactly() {
    let mut design = design(&[50, 50]);
    // A tick may bring a conversion long before its exposure.
    design.rules.settle_s = 3_600;
    let batches = batches();
    let mut dice = SplitMix64::new(2);
    let mut deliveries: Vec<(u64, &Batch)> =
        batches.iter().chain(batches.iter().step_by(2)).map(|batch| (dice.draw(), batch)).collect();
    deliveries.sort_by_key(|(order, _)| *order);

    // Every second batch is there twice. The log brings a batch in one tick only, with what is read twice within it.
    let mut in_ticks = Evidence::none(&design, CAPACITY);
    let tick_of = |batch: &Batch| (batch.sequence + u64::from(batch.isolate.ends_with('1'))) % 4;
    for tick in 0..4 {
        let own = deliveries.iter().filter(|(_, batch)| tick_of(batch) == tick).map(|(_, batch)| *batch);
        in_ticks.fold(&design, &arrivals(own), super::BEGAN + 550);
    }
    check(&in_ticks, &design);

    let mut at_once = Evidence::none(&design, CAPACITY);
    at_once.fold(&design, &arrivals(deliveries.iter().map(|(_, batch)| *batch)), super::BEGAN + 550);
    assert!(at_once.remembers_same(&in_ticks), "ticks do not show either");
    assert_eq!(at_once.figures(), in_ticks.figures());
}
