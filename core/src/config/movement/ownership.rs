//! The experiment that decides a flag, as far as it moves users: the share that takes part, and the arms of its variants.

use crate::{
    config::document::Config,
    rules::experiment::{
        division::division,
        document::{Experiment, LayerRange, Slice},
    },
    vocabulary::{
        arm::Arm,
        names::{ExperimentName, FlagName},
        share::PartsPerMillion,
    },
};

/// Parts of users who move, as fractions of all users of a flag.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Moved {
    /// Those who go back to legacy.
    pub(super) back: f64,
    /// Those who go to the new backend.
    pub(super) forward: f64,
}

impl Moved {
    /// Returns the users who move if two sides choose them independently of each other.
    pub(super) fn independent(from: f64, to: f64) -> Self {
        Self { back: from * (1.0 - to), forward: to * (1.0 - from) }
    }

    fn scaled(self, part: f64) -> Self {
        Self { back: self.back * part, forward: self.forward * part }
    }

    fn plus(self, other: Self) -> Self {
        Self { back: self.back + other.back, forward: self.forward + other.forward }
    }

    /// Returns the larger part of both sides for each direction.
    pub(super) fn most(self, other: Self) -> Self {
        Self { back: self.back.max(other.back), forward: self.forward.max(other.forward) }
    }
}

/// A running experiment that decides a flag for the users who take part in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner<'c> {
    /// Name of the experiment.
    pub(super) name: &'c ExperimentName,
    experiment: &'c Experiment,
    /// Fraction of all users whom the holdout keeps out.
    held_out: f64,
    /// Fraction of the flag's users who take part. Conditions admit everybody here: those whom they admit cannot be counted.
    part: f64,
    /// Fraction of those who are on the new arm.
    new: f64,
}

impl<'c> Owner<'c> {
    /// Returns the running experiment that decides a flag; `None` if there is none, or the flag is disabled.
    pub(super) fn of(config: &'c Config, flag: &FlagName) -> Option<Self> {
        if !config.feature_flags.get(flag)?.enabled {
            return None;
        }
        let (name, experiment) = config.owner(flag)?;
        let holdout = experiment.holdout.as_ref().and_then(|name| config.holdouts.get(name));
        let held_out = holdout.map_or(0.0, |holdout| fraction(holdout.percentage));
        let of_new = experiment.variants.iter().filter(|variant| variant.arm == Some(Arm::New));
        let new = of_new.map(|variant| fraction(variant.traffic_percentage)).sum();
        let owner = Self { name, experiment, held_out, part: 0.0, new };
        Some(Self { part: owner.in_both(&owner), ..owner })
    }

    /// Returns the fraction of the flag's users on the new arm if `share` of those outside of the experiment are.
    pub(super) fn on_new_arm(owner: Option<Self>, share: f64) -> f64 {
        owner.map_or(share, |owner| owner.part * owner.new + (1.0 - owner.part) * share)
    }

    /// Returns true if both deal users by the same buckets.
    fn deals_like(&self, other: &Self) -> bool {
        self.experiment.salt_or(self.name) == other.experiment.salt_or(other.name)
    }

    /// Returns the fraction of the flag's users who take part in both. Salts, layers and holdouts of different names choose
    /// users independently of each other.
    fn in_both(&self, other: &Self) -> f64 {
        let (one, two) = (self.experiment, other.experiment);
        let [first, second] = [one, two].map(|experiment| fraction(experiment.traffic_percentage));
        // A larger share contains the smaller one.
        let traffic = if self.deals_like(other) { first.min(second) } else { first * second };
        let not_held_out = if one.holdout == two.holdout {
            1.0 - self.held_out.max(other.held_out)
        } else {
            (1.0 - self.held_out) * (1.0 - other.held_out)
        };
        traffic * in_both_layers(one.layer.as_ref(), two.layer.as_ref()) * not_held_out
    }

    /// Returns true if both have conditions that are not the same: the users whom they move cannot be counted.
    pub(super) fn differ_in_conditions(one: Option<Self>, other: Option<Self>) -> bool {
        one.zip(other).is_some_and(|(one, other)| one.experiment.conditions != other.experiment.conditions)
    }

    /// Returns true if both move nobody: the same users take part, and have the same variants on the same arms.
    pub(super) fn is_alike(one: Option<Self>, other: Option<Self>) -> bool {
        if Self::differ_in_conditions(one, other) {
            return false;
        }
        match (one, other) {
            (None, None) => true,
            (Some(one), Some(other)) => {
                let both = one.in_both(&other);
                one.part == both && other.part == both && one.between(&other) == Moved::default()
            }
            _ => false,
        }
    }

    /// Returns the users who move between the arms of both, of those who take part in both.
    fn between(&self, after: &Self) -> Moved {
        if !self.deals_like(after) {
            return Moved::independent(self.new, after.new);
        }
        let (before, after) = (arms(self.experiment), arms(after.experiment));
        let mut moved = Moved::default();
        for (held, from) in &before {
            for (next, to) in &after {
                let (start, end) = (held.from.max(next.from), held.to.min(next.to));
                if start < end && from != to {
                    let part = fraction(end) - fraction(start);
                    let side = if *to == Arm::New { &mut moved.forward } else { &mut moved.back };
                    *side += part;
                }
            }
        }
        moved
    }
}

/// Returns the users who move if the experiment that decides a flag changes from one to another. `shares` are those of the
/// flag's users on the new arm before and after, and `of_flag` is who moves among those whom no experiment decides. If the
/// conditions change, no more than the result move.
pub(super) fn moved(
    before: Option<Owner<'_>>,
    after: Option<Owner<'_>>,
    shares: [f64; 2],
    of_flag: Moved,
) -> Moved {
    let [from, to] = shares;
    let part = |owner: Option<Owner<'_>>| owner.map_or(0.0, |owner| owner.part);
    let (was, is) = (part(before), part(after));
    let both = before.zip(after);
    let of_both = both.map_or(0.0, |(one, other)| one.in_both(&other));
    let stay = both.map_or(Moved::default(), |(one, other)| one.between(&other));
    let leave = before.map_or(Moved::default(), |owner| Moved::independent(owner.new, to));
    let enter = after.map_or(Moved::default(), |owner| Moved::independent(from, owner.new));
    // Users whom one of two conditions admits, or none, leave, enter, or are decided by the flag alone.
    let stay = if Owner::differ_in_conditions(before, after) {
        [leave, enter, of_flag].into_iter().fold(stay, Moved::most)
    } else {
        stay
    };
    let outside = 1.0 - was - is + of_both;
    let parts = [(stay, of_both), (leave, was - of_both), (enter, is - of_both), (of_flag, outside)];
    parts.into_iter().fold(Moved::default(), |all, (moved, part)| all.plus(moved.scaled(part)))
}

/// Returns the fraction of users who belong to both parts of layers. An experiment without a layer takes all users.
fn in_both_layers(one: Option<&LayerRange>, other: Option<&LayerRange>) -> f64 {
    let width = |from: PartsPerMillion, to: PartsPerMillion| (fraction(to) - fraction(from)).max(0.0);
    if let (Some(one), Some(other)) = (one, other)
        && one.name == other.name
    {
        return width(one.from.max(other.from), one.to.min(other.to));
    }
    [one, other].into_iter().flatten().map(|layer| width(layer.from, layer.to)).product()
}

/// Returns the slices of an experiment with the arms of their variants.
fn arms(experiment: &Experiment) -> Vec<(Slice, Arm)> {
    let arm = |slice: &Slice| {
        let variant = experiment.variants.iter().find(|variant| variant.key == slice.variant);
        variant.and_then(|variant| variant.arm).unwrap_or(Arm::Legacy)
    };
    division(experiment)
        .into_iter()
        .map(|slice| {
            let arm = arm(&slice);
            (slice, arm)
        })
        .collect()
}

fn fraction(share: PartsPerMillion) -> f64 {
    share.percent() / 100.0
}
