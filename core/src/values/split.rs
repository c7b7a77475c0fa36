//! The division of a flag's users among variants by weights.

use crate::{
    rules::experiment::{
        division::slices,
        document::{Slice, Variant},
    },
    values::document::{Served, Split, ValueVariant},
    vocabulary::share::PartsPerMillion,
};

/// Returns the division in force of the buckets: the slices of the split, or without any the division in the order of the
/// flag's variants.
pub fn division(split: &Split, variants: &[ValueVariant]) -> Vec<Slice> {
    divided(&split.slices, split, variants)
}

/// Returns the division of the buckets that is in force for a rule or a default: all of them for a single variant.
pub fn slices_of(served: &Served, variants: &[ValueVariant]) -> Vec<Slice> {
    match served {
        Served::Single { variant } => {
            let variant = variant.clone();
            vec![Slice { from: PartsPerMillion::ZERO, to: PartsPerMillion::ALL, variant }]
        }
        Served::Split(split) => division(split, variants),
    }
}

/// Divides the buckets by weights. Variants that are in `held` keep as many of their buckets as their weights allow, as
/// those of an experiment do, so that a change of weights moves as few users as it can.
pub fn divided(held: &[Slice], split: &Split, variants: &[ValueVariant]) -> Vec<Slice> {
    let weighted = |variant: &ValueVariant| Variant {
        key: variant.key.clone(),
        name: String::new(),
        traffic_percentage: split.weights.get(&variant.key).copied().unwrap_or_default(),
        arm: None,
        value: None,
    };
    slices(held, &variants.iter().map(weighted).collect::<Vec<_>>())
}
