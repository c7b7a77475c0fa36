//! The experiment that decides a flag, as far as it moves users: the share that takes part, and the arms of its variants.

use crate::{
    config::document::Config,
    rules::experiment::{
        division::division,
        document::{Experiment, Slice},
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
}

/// A running experiment that decides a flag for the users who take part in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner<'c> {
    /// Name of the experiment.
    pub(super) name: &'c ExperimentName,
    experiment: &'c Experiment,
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
        let of_layer =
            experiment.layer.as_ref().map_or(1.0, |layer| fraction(layer.to) - fraction(layer.from));
        let part = fraction(experiment.traffic_percentage) * of_layer * (1.0 - held_out);
        let of_new = experiment.variants.iter().filter(|variant| variant.arm == Some(Arm::New));
        let new = of_new.map(|variant| fraction(variant.traffic_percentage)).sum();
        Some(Self { name, experiment, part, new })
    }

    /// Returns the fraction of the flag's users on the new arm if `share` of those outside of the experiment are.
    pub(super) fn on_new_arm(owner: Option<Self>, share: f64) -> f64 {
        owner.map_or(share, |owner| owner.part * owner.new + (1.0 - owner.part) * share)
    }

    /// Returns true if users take part in both by the same buckets.
    fn deals_like(&self, other: &Self) -> bool {
        let (one, two) = (self.experiment, other.experiment);
        self.name == other.name && one.salt_or(self.name) == two.salt_or(other.name) && one.layer == two.layer
    }

    /// Returns true if both move nobody: the same users take part, and have the same variants on the same arms.
    pub(super) fn is_alike(one: Option<Self>, other: Option<Self>) -> bool {
        match (one, other) {
            (None, None) => true,
            (Some(one), Some(other)) => {
                one.deals_like(&other) && one.part == other.part && one.between(&other) == Moved::default()
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
/// flag's users on the new arm before and after, and `of_flag` is who moves among those whom no experiment decides.
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
    let of_both = match both {
        // A larger share contains the smaller one.
        Some((one, other)) if one.deals_like(&other) => was.min(is),
        _ => was * is,
    };
    let stay = both.map_or(Moved::default(), |(one, other)| one.between(&other));
    let leave = before.map_or(Moved::default(), |owner| Moved::independent(owner.new, to));
    let enter = after.map_or(Moved::default(), |owner| Moved::independent(from, owner.new));
    let outside = 1.0 - was - is + of_both;
    let parts = [(stay, of_both), (leave, was - of_both), (enter, is - of_both), (of_flag, outside)];
    parts.into_iter().fold(Moved::default(), |all, (moved, part)| all.plus(moved.scaled(part)))
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
