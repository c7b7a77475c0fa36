//! Experiments compiled for assignment: seeds computed and conditions parsed once.

use crate::{
    request::facts::Facts,
    rules::{
        bucket::{Purpose, Seed},
        condition::compiled::{CompiledCondition, InvalidConditions},
        experiment::{
            division::division,
            document::{Experiment, Holdout, LayerRange, Variant},
        },
    },
    vocabulary::{
        names::{ExperimentName, FlagName, HoldoutName},
        share::PartsPerMillion,
        timestamp::Timestamp,
    },
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, ops::Range};

/// Error for an experiment that cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidExperiment {
    /// One of its conditions is invalid.
    #[error(transparent)]
    Conditions(#[from] InvalidConditions),
    /// It names a holdout that does not exist.
    #[error("there is no holdout {0}")]
    UnknownHoldout(HoldoutName),
    /// The weights of its variants leave buckets without a variant, or have two variants for a bucket.
    #[error("the variants do not add up to 100 percent")]
    Weights,
}

/// Reason for which a request takes no part in an experiment. The first one that applies is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outside {
    /// The experiment is a draft, paused or stopped.
    NotRunning,
    /// There is no user id to bucket by. Such users are in no variant: as users of one they would bias it.
    NoUser,
    /// The holdout keeps the user out.
    Holdout,
    /// The user belongs to another part of the layer.
    Layer,
    /// A condition does not hold.
    Condition,
    /// The user is beyond the share of users who take part.
    Traffic,
}

impl Outside {
    /// Returns the name in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotRunning => "not_running",
            Self::NoUser => "no_user",
            Self::Holdout => "holdout",
            Self::Layer => "layer",
            Self::Condition => "condition",
            Self::Traffic => "traffic",
        }
    }
}

impl fmt::Display for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// An [`Experiment`] compiled for assignment.
#[derive(Debug)]
pub struct CompiledExperiment {
    /// Name under which the experiment is configured.
    pub name: ExperimentName,
    /// Same as [`Experiment::phase`].
    pub phase: u32,
    /// Same as [`Experiment::send_to_client`].
    pub send_to_client: bool,
    is_running: bool,
    owned_flag: Option<FlagName>,
    holdout: Option<Part>,
    layer: Option<Part>,
    conditions: Vec<CompiledCondition>,
    traffic: Part,
    seed: Seed,
    slices: Vec<CompiledSlice>,
    variants: Vec<Variant>,
}

/// Users by their buckets for one seed.
#[derive(Debug)]
struct Part {
    seed: Seed,
    buckets: Range<u32>,
}

impl Part {
    /// The first users up to a share.
    fn up_to(share: PartsPerMillion, purpose: Purpose, salt: &str) -> Self {
        Self { seed: Seed::new(purpose, salt), buckets: 0..share.get() }
    }

    fn of_layer(range: &LayerRange) -> Self {
        let seed = Seed::new(Purpose::Layer, range.name.as_str());
        Self { seed, buckets: range.from.get()..range.to.get() }
    }

    fn contains(&self, user: &str) -> bool {
        self.buckets.contains(&self.seed.hash(user).bucket().get())
    }
}

/// End of a slice, which begins where the one before ends, and the position of its variant.
#[derive(Debug)]
struct CompiledSlice {
    to: u32,
    variant: usize,
}

impl CompiledExperiment {
    /// Compiles an experiment. `holdouts` are those of its configuration.
    ///
    /// # Errors
    ///
    /// Fails if a condition is invalid, the holdout does not exist, or the weights do not add up to 100 percent.
    pub fn new(
        name: &ExperimentName,
        experiment: &Experiment,
        holdouts: &BTreeMap<HoldoutName, Holdout>,
    ) -> Result<Self, InvalidExperiment> {
        let salt = experiment.salt_or(name);
        let holdout = |name: &HoldoutName| -> Result<Part, InvalidExperiment> {
            let holdout =
                holdouts.get(name).ok_or_else(|| InvalidExperiment::UnknownHoldout(name.clone()))?;
            Ok(Part::up_to(holdout.percentage, Purpose::Holdout, name.as_str()))
        };
        Ok(Self {
            name: name.clone(),
            phase: experiment.phase,
            send_to_client: experiment.send_to_client,
            is_running: experiment.is_running(),
            owned_flag: experiment.owned_flag().cloned(),
            holdout: experiment.holdout.as_ref().map(holdout).transpose()?,
            layer: experiment.layer.as_ref().map(Part::of_layer),
            conditions: CompiledCondition::all(&experiment.conditions)?,
            traffic: Part::up_to(experiment.traffic_percentage, Purpose::Experiment, salt),
            seed: Seed::new(Purpose::Variant, salt),
            slices: compiled_slices(experiment)?,
            variants: experiment.variants.clone(),
        })
    }

    /// Returns the variant of a user. The experiment must be running, the user known, and not kept out by the holdout, the
    /// layer, the conditions or the share of users who take part; then the slices decide.
    ///
    /// # Errors
    ///
    /// Returns the reason for which the request takes no part.
    pub fn assign(&self, user: Option<&str>, facts: &Facts<'_>, now: Timestamp) -> Result<&Variant, Outside> {
        if !self.is_running {
            return Err(Outside::NotRunning);
        }
        let user = user.ok_or(Outside::NoUser)?;
        if self.holdout.as_ref().is_some_and(|holdout| holdout.contains(user)) {
            return Err(Outside::Holdout);
        }
        if self.layer.as_ref().is_some_and(|layer| !layer.contains(user)) {
            return Err(Outside::Layer);
        }
        if !self.conditions.iter().all(|condition| condition.holds(facts, now)) {
            return Err(Outside::Condition);
        }
        if !self.traffic.contains(user) {
            return Err(Outside::Traffic);
        }
        let bucket = self.seed.hash(user).bucket().get();
        let slice = self.slices.get(self.slices.partition_point(|slice| slice.to <= bucket));
        // Every bucket has a slice, and every slice a variant: an experiment without is not compiled.
        slice.and_then(|slice| self.variants.get(slice.variant)).ok_or(Outside::Traffic)
    }

    /// Returns true if the user takes part in requests for which the conditions hold.
    pub fn admits(&self, user: &str) -> bool {
        self.is_running
            && !self.holdout.as_ref().is_some_and(|holdout| holdout.contains(user))
            && self.layer.as_ref().is_none_or(|layer| layer.contains(user))
            && self.traffic.contains(user)
    }

    /// Returns true while users are assigned.
    pub fn is_running(&self) -> bool {
        self.is_running
    }

    /// The flag that the experiment decides for its users; `None` if it is not running, or only gives out values.
    pub fn owned_flag(&self) -> Option<&FlagName> {
        self.owned_flag.as_ref()
    }

    /// The conditions that requests are checked against: none unless the experiment is running.
    pub(crate) fn conditions(&self) -> &[CompiledCondition] {
        if self.is_running { &self.conditions } else { &[] }
    }
}

/// Returns the slices of an experiment with their variants resolved to positions.
fn compiled_slices(experiment: &Experiment) -> Result<Vec<CompiledSlice>, InvalidExperiment> {
    let weights = experiment.variants.iter().map(|variant| u64::from(variant.traffic_percentage.get()));
    if weights.sum::<u64>() != u64::from(PartsPerMillion::ALL.get()) {
        return Err(InvalidExperiment::Weights);
    }
    let mut slices = Vec::new();
    for slice in division(experiment) {
        let variant = experiment.variants.iter().position(|variant| variant.key == slice.variant);
        slices.extend(variant.map(|variant| CompiledSlice { to: slice.to.get(), variant }));
    }
    Ok(slices)
}
