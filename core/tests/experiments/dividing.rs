//! The division of buckets among variants, and what an experiment takes over from the one that it replaces.

use super::{config, only};
use cutover_core::{
    ExperimentName, PartsPerMillion,
    rules::experiment::{
        division::{division, slices},
        document::{Experiment, ExperimentState, Slice, Variant},
        succession::next,
    },
    statistics::split_mix::SplitMix64,
};
use std::collections::BTreeMap;

const ALL: u32 = 1_000_000;

fn variant(key: &str, parts: u32) -> Variant {
    Variant {
        key: key.parse().unwrap(),
        name: key.to_owned(),
        traffic_percentage: PartsPerMillion::of_parts(parts),
        arm: None,
        value: None,
    }
}

/// Draws two to six variants in any order, whose weights add up to 100 percent.
fn drawn(dice: &mut SplitMix64) -> Vec<Variant> {
    let mut keys = vec!["a", "b", "c", "d", "e", "f", "g"];
    let count = 2 + (dice.draw() % 5) as usize;
    let mut cuts: Vec<u32> = (1..count).map(|_| (dice.draw() % u64::from(ALL + 1)) as u32).collect();
    cuts.extend([0, ALL]);
    cuts.sort_unstable();
    let weights = cuts.windows(2).map(|ends| ends[1] - ends[0]);
    weights.map(|weight| variant(keys.remove((dice.draw() % keys.len() as u64) as usize), weight)).collect()
}

/// Returns the variant of a bucket, which must be exactly one.
fn owner(division: &[Slice], bucket: u32) -> &str {
    let of_bucket = |slice: &&Slice| (slice.from.get()..slice.to.get()).contains(&bucket);
    let mut owners = division.iter().filter(of_bucket);
    let owner = owners.next().unwrap();
    assert!(owners.next().is_none(), "{bucket} in {division:?}");
    owner.variant.as_str()
}

/// Returns the ranges of buckets whose variant changes, each with both variants.
fn moved<'s>(before: &'s [Slice], after: &'s [Slice]) -> Vec<(u32, &'s str, &'s str)> {
    let all = || before.iter().chain(after);
    let mut cuts: Vec<u32> = all().flat_map(|slice| [slice.from.get(), slice.to.get()]).collect();
    cuts.sort_unstable();
    cuts.dedup();
    let part = |ends: &[u32]| (ends[1] - ends[0], owner(before, ends[0]), owner(after, ends[0]));
    cuts.windows(2).map(part).filter(|(_, from, to)| from != to).collect()
}

fn shares(variants: &[Variant]) -> BTreeMap<&str, u32> {
    variants.iter().map(|variant| (variant.key.as_str(), variant.traffic_percentage.get())).collect()
}

#[test]
fn every_bucket_has_one_variant_and_a_change_moves_no_more_users_than_it_must() {
    let mut dice = SplitMix64::new(7);
    for _ in 0..300 {
        let mut variants = drawn(&mut dice);
        let mut held = slices(&[], &variants);
        // Later divisions are more and more fragmented.
        for _ in 0..5 {
            let wanted = drawn(&mut dice);
            let divided = slices(&held, &wanted);
            assert_eq!(divided[0].from, PartsPerMillion::ZERO);
            assert_eq!(divided[divided.len() - 1].to, PartsPerMillion::ALL);
            assert!(divided.windows(2).all(|pair| pair[0].to == pair[1].from), "{divided:?}");
            for (key, share) in shares(&wanted) {
                let own = divided.iter().filter(|slice| slice.variant.as_str() == key);
                assert_eq!(own.map(|slice| slice.to.get() - slice.from.get()).sum::<u32>(), share, "{key}");
            }
            let before = shares(&variants);
            let increases = shares(&wanted)
                .into_iter()
                .map(|(key, share)| share.saturating_sub(before.get(key).copied().unwrap_or_default()));
            let movements = moved(&held, &divided);
            let all: u32 = movements.iter().map(|(buckets, ..)| *buckets).sum();
            assert_eq!(all, increases.sum::<u32>(), "{held:?} {divided:?}");
            // The order of the file is irrelevant to users who are there, and a division stays as it is.
            let reversed: Vec<Variant> = wanted.iter().rev().cloned().collect();
            assert_eq!(slices(&divided, &reversed), divided);
            (variants, held) = (wanted, divided);
        }
    }
}

/// The version before divided the buckets in the order of the keys, so that a new one in the middle moved users between the
/// others.
#[test]
fn a_new_variant_moves_nobody_between_the_others() {
    let mut dice = SplitMix64::new(8);
    for _ in 0..300 {
        let mut variants = drawn(&mut dice);
        let held = slices(&[], &variants);
        let mut taken = 0;
        for variant in &mut variants {
            let share = variant.traffic_percentage.get();
            let given = (dice.draw() % u64::from(share + 1)) as u32;
            taken += given;
            variant.traffic_percentage = PartsPerMillion::of_parts(share - given);
        }
        let index = (dice.draw() % (variants.len() as u64 + 1)) as usize;
        variants.insert(index, variant("bb", taken));
        let divided = slices(&held, &variants);
        assert!(moved(&held, &divided).iter().all(|(_, _, to)| *to == "bb"), "{held:?} {divided:?}");
    }
}

#[test]
fn a_variant_gives_up_the_end_of_its_slices() {
    let by_order = slices(&[], &[variant("z", 500_000), variant("a", 500_000)]);
    let told = |division: &[Slice]| -> Vec<(u32, u32, String)> {
        division.iter().map(|s| (s.from.get(), s.to.get(), s.variant.to_string())).collect()
    };
    let slice = |from: u32, to: u32, key: &str| (from, to, key.to_owned());
    assert_eq!(told(&by_order), [slice(0, 500_000, "z"), slice(500_000, ALL, "a")]);
    let grown = slices(&by_order, &[variant("a", 700_000), variant("z", 300_000)]);
    assert_eq!(told(&grown), [slice(0, 300_000, "z"), slice(300_000, ALL, "a")]);
    let back = slices(&grown, &[variant("a", 400_000), variant("z", 600_000)]);
    assert_eq!(told(&back), [slice(0, 300_000, "z"), slice(300_000, 700_000, "a"), slice(700_000, ALL, "z")]);
    // Documents that were written by hand: slices that overlap, and of variants that are not there.
    let wrong = vec![
        Slice { to: PartsPerMillion::of_parts(600_000), ..by_order[0].clone() },
        Slice { variant: "gone".parse().unwrap(), ..by_order[0].clone() },
        by_order[1].clone(),
    ];
    let mended = slices(&wrong, &[variant("z", 500_000), variant("a", 500_000)]);
    assert_eq!(told(&mended), told(&by_order));
}

/// Reads the experiment `t`, of which everything but the name is given.
fn written(fields: &str) -> Experiment {
    only(&config(&format!("feature_flags: {{ f: {{}} }}\nexperiments: {{ t: {{ name: T, {fields} }} }}")))
        .clone()
}

const HALVES: &str = "variants: { a: A, b: B }";

#[test]
fn a_change_that_users_can_tell_begins_the_next_phase() {
    let name: ExperimentName = "t".parse().unwrap();
    let old = next(&name, None, &written(HALVES));
    assert_eq!(old.phase, 1);
    let uneven =
        "variants: { a: { name: A, traffic_percentage: 40 }, b: { name: B, traffic_percentage: 60 } }";
    let valued = "variants: { a: { name: A, value: red }, b: B }";
    let armed = "flag: f, variants: { a: { name: A, arm: new }, b: { name: B, arm: legacy } }";
    let begins = [
        uneven.to_owned(),
        valued.to_owned(),
        armed.to_owned(),
        "variants: { a: A, b: B, c: C }".to_owned(),
        // Reports name variants by their positions.
        "variants: { b: B, a: A }".to_owned(),
        format!("salt: other, {HALVES}"),
        format!("conditions: [{{ type: attribute, name: country, op: equals, values: [NO] }}], {HALVES}"),
        format!("success_metrics: [orders], {HALVES}"),
        format!("metrics: [{{ name: errors, on: error }}], {HALVES}"),
        format!("analysis: {{ min_days: 14 }}, {HALVES}"),
        format!("state: draft, {HALVES}"),
        // Measurements name variants and metrics by their positions.
        "variants: { b: B, a: A }".to_owned(),
        format!("success_metrics: [bought, opened], {HALVES}"),
    ];
    for fields in begins {
        let new = written(&fields);
        assert_eq!(next(&name, Some(&old), &new).phase, 2, "{fields}");
        // A draft can change as often as one likes.
        let draft = Experiment { state: ExperimentState::Draft, ..old.clone() };
        assert_eq!(next(&name, Some(&draft), &new).phase, 1, "{fields}");
    }
    for fields in [
        format!("traffic_percentage: 10, {HALVES}"),
        format!("description: other, send_to_client: true, {HALVES}"),
        format!("layer: {{ name: l, from: 0, to: 50 }}, {HALVES}"),
        format!("state: paused, phase: 7, {HALVES}"),
        // The name of the experiment is its salt.
        format!("salt: t, {HALVES}"),
        "variants: { a: Blue, b: Green }".to_owned(),
    ] {
        assert_eq!(next(&name, Some(&old), &written(&fields)).phase, 1, "{fields}");
    }
    let third = next(&name, Some(&next(&name, Some(&old), &written(uneven))), &written(HALVES));
    assert_eq!(third.phase, 3);
}

/// Measurements of a phase name variants and metrics by their positions, so those of two orders must not be added up.
#[test]
fn another_order_of_variants_or_metrics_begins_the_next_phase_and_moves_nobody() {
    let name: ExperimentName = "t".parse().unwrap();
    let variants = |order: &str| format!("success_metrics: [bought, opened], variants: {order}");
    let metrics = |order: &str| format!("success_metrics: {order}, {HALVES}");
    for state in ["running", "paused", "stopped"] {
        let stated = |fields: String| written(&format!("state: {state}, {fields}"));
        let old = next(&name, None, &stated(metrics("[bought, opened]")));
        assert_eq!(next(&name, Some(&old), &stated(metrics("[bought, opened]"))), old, "{state}");
        for changed in [
            variants("{ b: B, a: A }"),
            metrics("[opened, bought]"),
            metrics("[bought]"),
            metrics("[bought, opened, returned]"),
            HALVES.to_owned(),
        ] {
            let saved = next(&name, Some(&old), &stated(changed.clone()));
            assert_eq!(saved.phase, 2, "{state}: {changed}");
            assert_eq!(division(&saved), division(&old), "{state}: {changed}");
        }
    }
}

#[test]
fn users_stay_where_they_are_unless_the_experiment_is_a_draft_or_has_another_salt() {
    let name: ExperimentName = "t".parse().unwrap();
    let old = next(&name, None, &written(HALVES));
    let reordered = written("variants: { b: B, a: A }");
    let saved = next(&name, Some(&old), &reordered);
    assert_eq!(division(&saved), division(&old));
    assert_eq!(owner(&division(&saved), 0), "a");
    assert_eq!(saved.slices.len(), 2, "which is not the order of its variants");
    let draft = Experiment { state: ExperimentState::Draft, ..old.clone() };
    let salted = Experiment { salt: Some("other".to_owned()), ..reordered.clone() };
    for (old, new) in [(&draft, &reordered), (&old, &salted)] {
        let saved = next(&name, Some(old), new);
        assert_eq!((owner(&division(&saved), 0), saved.slices.len()), ("b", 0));
    }
    // A salt stays until another one is written, and slices that a file brings do not move users who are there.
    let salted = next(&name, Some(&old), &salted);
    let kept = next(&name, Some(&salted), &reordered);
    assert_eq!((kept.salt.as_deref(), kept.phase), (Some("other"), 2));
    let moved = next(&name, Some(&old), &Experiment { slices: saved.slices, ..old.clone() });
    assert_eq!(division(&moved), division(&old));
}
