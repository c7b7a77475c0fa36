//! A flag that is saved in the place of an earlier one: the salt and the slices that it takes over.

use crate::{
    rules::experiment::document::Slice,
    values::{
        document::{Rule, ScheduledChange, Served, ValueFlag, ValueVariant},
        split::{divided, slices_of},
    },
    vocabulary::{names::FlagName, timestamp::Timestamp},
};

/// Returns the flag to save for the one that an operator has written, in the place of `old`.
///
/// A salt that is left out stays. The name of the flag is the default salt: it replaces another one, and is not stored.
/// Users move as little as the weights allow: the default follows the default before, a rule the earlier rule that
/// matches the same requests, and a default of the schedule that of the same time, or else the state before it. Without
/// an old flag, or with another salt, the slices are those that the flag brings, as an export does.
pub fn next(name: &FlagName, old: Option<&ValueFlag>, new: &ValueFlag) -> ValueFlag {
    // The default salt is left out, so that an export equals the applied file.
    let salt = new.salt.clone().or_else(|| old?.salt.clone()).filter(|salt| salt != name.as_str());
    let mut next = ValueFlag { salt, ..new.clone() };
    let is_dealt_alike = |old: &&ValueFlag| old.salt_or(name) == next.salt_or(name);
    let old = old.filter(is_dealt_alike);
    let variants = next.variants.clone();
    let held = old.map(|old| slices_of(&old.default, &old.variants));
    settle(&mut next.default, held.as_deref(), &variants);
    for rule in &mut next.rules {
        let held = old.and_then(|old| {
            let alike = old.rules.iter().find(|held| has_same_match(held, rule))?;
            Some(slices_of(&alike.served, &old.variants))
        });
        settle(&mut rule.served, held.as_deref(), &variants);
    }
    let mut before = slices_of(&next.default, &variants);
    for change in &mut next.schedule {
        let Some(served) = &mut change.set.default else { continue };
        let held = old.map(|old| held_at(old, change.at).unwrap_or_else(|| before.clone()));
        // A new flag may bring slices of its own; without any, its schedule follows its default.
        let brings_slices = matches!(served, Served::Split(split) if !split.slices.is_empty());
        let held = held.or_else(|| (!brings_slices).then(|| before.clone()));
        settle(served, held.as_deref(), &variants);
        before = slices_of(served, &variants);
    }
    next
}

/// Returns the slices of the default that a flag has scheduled for a time.
fn held_at(flag: &ValueFlag, at: Timestamp) -> Option<Vec<Slice>> {
    let same = |change: &&ScheduledChange| change.at == at;
    let served = flag.schedule.iter().find(same)?.set.default.as_ref()?;
    Some(slices_of(served, &flag.variants))
}

fn has_same_match(one: &Rule, other: &Rule) -> bool {
    (&one.segment, &one.conditions, &one.windows) == (&other.segment, &other.conditions, &other.windows)
}

/// Divides the buckets of a split after `held`, or else after its own slices. The division in order is left out, so that an
/// export equals the applied file.
fn settle(served: &mut Served, held: Option<&[Slice]>, variants: &[ValueVariant]) {
    let Served::Split(split) = served else { return };
    let division = divided(held.unwrap_or(&split.slices), split, variants);
    let is_in_order = division == divided(&[], split, variants);
    split.slices = if is_in_order { Vec::new() } else { division };
}
