//! The division of an experiment's buckets among its variants, by slices that are kept: a change of weights moves as few
//! users as it can.

use crate::{
    rules::experiment::document::{Experiment, Slice, Variant},
    vocabulary::{names::VariantKey, share::PartsPerMillion},
};
use std::{collections::BTreeMap, ops::Range};

/// Number of buckets.
const ALL: u32 = PartsPerMillion::ALL.get();

/// Returns the division in force of an experiment's buckets: its slices, or without any the division in order.
pub fn division(experiment: &Experiment) -> Vec<Slice> {
    slices(&experiment.slices, &experiment.variants)
}

/// Divides the buckets among variants. A variant that is in `old` keeps the first of its buckets there, as many as its
/// weight allows; those that need more take the free buckets, in the order of `variants`. Without old slices the
/// variants follow one another in their order.
///
/// If the weights add up to 100 percent, every bucket belongs to exactly one variant, and the share of users who move
/// is the sum of all increases. Old slices that overlap or name unknown variants are free where they do.
///
/// ```
/// use cutover_core::rules::experiment::{division::slices, document::Variant};
///
/// let variants = |weights: [f64; 3]| -> Vec<Variant> {
///     let keys = ["control", "blue", "green"].into_iter().zip(weights);
///     let json = |(key, share): (&str, f64)| serde_json::json!({ "key": key, "name": key, "traffic_percentage": share });
///     keys.map(|variant| serde_json::from_value(json(variant)).unwrap()).collect()
/// };
/// let before = slices(&[], &variants([50.0, 50.0, 0.0]));
/// let after = slices(&before, &variants([40.0, 40.0, 20.0]));
/// let of_green: Vec<_> = after.iter().filter(|slice| slice.variant.as_str() == "green").collect();
/// // The last tenth of each of the others.
/// assert_eq!((of_green[0].from.percent(), of_green[0].to.percent()), (40.0, 50.0));
/// assert_eq!((of_green[1].from.percent(), of_green[1].to.percent()), (90.0, 100.0));
/// ```
pub fn slices(old: &[Slice], variants: &[Variant]) -> Vec<Slice> {
    let weight = |variant: &Variant| variant.traffic_percentage.get();
    let mut due: BTreeMap<&VariantKey, u32> =
        variants.iter().map(|variant| (&variant.key, weight(variant))).collect();
    let (mut division, free) = kept(old, &mut due);
    let mut free = free.into_iter();
    let mut gap = 0_u32..0;
    for variant in variants {
        // A key that is there twice gets its share once.
        let mut missing = due.remove(&variant.key).unwrap_or_default();
        while missing > 0 {
            if gap.is_empty() {
                let Some(next) = free.next() else { break };
                gap = next;
            }
            let end = gap.end.min(gap.start.saturating_add(missing));
            missing -= end - gap.start;
            division.push(slice(gap.start..end, &variant.key));
            gap.start = end;
        }
    }
    division.sort_by_key(|slice| slice.from);
    division.dedup_by(|next, held| {
        let continues = held.to == next.from && held.variant == next.variant;
        if continues {
            held.to = next.to;
        }
        continues
    });
    division
}

/// Returns the slices that variants keep, and the ranges between them. Reduces the number of buckets that is due to each
/// variant by those that it keeps.
fn kept(old: &[Slice], due: &mut BTreeMap<&VariantKey, u32>) -> (Vec<Slice>, Vec<Range<u32>>) {
    let mut old: Vec<&Slice> = old.iter().collect();
    old.sort_by_key(|slice| slice.from);
    let (mut division, mut free) = (Vec::new(), Vec::new());
    let mut end = 0;
    for held in old {
        let Some(rest) = due.get_mut(&held.variant) else { continue };
        let from = held.from.get().max(end);
        let to = held.to.get().min(from.saturating_add(*rest));
        if from >= to {
            continue;
        }
        *rest -= to - from;
        free.push(end..from);
        division.push(slice(from..to, &held.variant));
        end = to;
    }
    free.push(end..ALL);
    free.retain(|gap| !gap.is_empty());
    (division, free)
}

fn slice(range: Range<u32>, variant: &VariantKey) -> Slice {
    Slice {
        from: PartsPerMillion::of_parts(range.start),
        to: PartsPerMillion::of_parts(range.end),
        variant: variant.clone(),
    }
}
