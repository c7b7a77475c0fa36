//! Flags, as operators write them and compiled for evaluation.

use crate::{
    request::facts::Facts,
    rules::{
        bucket::{Bucket, Purpose, Seed, UserHash},
        condition::{
            compiled::{CompiledCondition, InvalidConditions},
            document::Condition,
        },
        experiment::compiled::CompiledExperiment,
        phase::FlagPhase,
    },
    vocabulary::{arm::Arm, names::FlagName, share::PartsPerMillion, timestamp::Timestamp},
};
use serde::{Deserialize, Serialize};
use std::{cell::Cell, sync::Arc};

/// The switch that moves users of one capability to the new backend.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Flag {
    /// False sends all users to legacy, whatever the other fields say.
    #[serde(default)]
    pub enabled: bool,
    /// The share of users on the new arm.
    #[serde(default)]
    pub rollout_percentage: PartsPerMillion,
    /// Purpose of the flag, in the operator's words.
    #[serde(default)]
    pub description: String,
    /// Users who are always on the new arm.
    #[serde(default)]
    pub user_whitelist: Vec<String>,
    /// Users who are always on legacy.
    #[serde(default)]
    pub user_blacklist: Vec<String>,
    /// Conditions that all must hold before the rollout is considered.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// Salt that users are bucketed with; defaults to the name of the flag. Kept when a flag is
    /// renamed, so that users keep their buckets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    /// The arm of the flag's users after the edge has lost the control plane. By default they go to legacy while a
    /// canary run is active, because nobody would roll it back, and stay where they are otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_control_loss: Option<OnControlLoss>,
    /// Phase of the migration that the flag belongs to; by default the one that follows from the methods of its routes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<FlagPhase>,
}

impl Flag {
    /// Returns the share of users on the new arm where no emergency holds the flag: none while it is disabled.
    pub fn enabled_share(&self) -> PartsPerMillion {
        if self.enabled { self.rollout_percentage } else { PartsPerMillion::ZERO }
    }
}

/// The arm of a flag's users after the edge has lost the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnControlLoss {
    /// The flag decides as the held snapshot says.
    Hold,
    /// All users go to legacy.
    Legacy,
}

/// The state of a flag as far as brakes have lowered it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlagLimit {
    /// False if no request of the flag may go to the new arm.
    pub enabled: bool,
    /// Largest share of users on the new arm.
    pub rollout: PartsPerMillion,
}

/// A [`Flag`] compiled for evaluation.
#[derive(Debug)]
pub struct CompiledFlag {
    /// Name of the flag.
    pub name: FlagName,
    /// Same as [`Flag::enabled`].
    pub enabled: bool,
    /// Same as [`Flag::rollout_percentage`].
    pub rollout: PartsPerMillion,
    /// Same as [`Flag::on_control_loss`].
    pub on_control_loss: Option<OnControlLoss>,
    // A cell, because an emergency can take effect between two snapshots.
    emergency: Cell<bool>,
    limit: Cell<Option<FlagLimit>>,
    seed: Seed,
    whitelist: UserList,
    blacklist: UserList,
    conditions: Vec<CompiledCondition>,
    /// The running experiment that owns the flag.
    experiment: Option<Arc<CompiledExperiment>>,
}

/// Users sorted by the hash that bucketing computes anyway: a look-up is one binary search over
/// integers.
#[derive(Debug, Default)]
pub(crate) struct UserList(Vec<(UserHash, Box<str>)>);

impl UserList {
    pub(crate) fn new(seed: Seed, users: &[String]) -> Self {
        let entry = |user: &String| (seed.hash(user), Box::<str>::from(user.as_str()));
        let mut list: Vec<_> = users.iter().map(entry).collect();
        list.sort_unstable();
        Self(list)
    }

    pub(crate) fn contains(&self, hash: UserHash, user: &str) -> bool {
        let start = self.0.partition_point(|(held, _)| *held < hash);
        self.0.iter().skip(start).take_while(|(held, _)| *held == hash).any(|(_, name)| &**name == user)
    }
}

impl CompiledFlag {
    /// Compiles a flag. `emergency` is true if an emergency in the snapshot covers it.
    ///
    /// # Errors
    ///
    /// Fails if one of its conditions is invalid.
    pub fn new(name: &FlagName, flag: &Flag, emergency: bool) -> Result<Self, InvalidConditions> {
        let seed = Seed::new(Purpose::Rollout, flag.salt.as_deref().unwrap_or(name.as_str()));
        Ok(Self {
            name: name.clone(),
            enabled: flag.enabled,
            rollout: flag.rollout_percentage,
            on_control_loss: flag.on_control_loss,
            emergency: Cell::new(emergency),
            limit: Cell::new(None),
            seed,
            whitelist: UserList::new(seed, &flag.user_whitelist),
            blacklist: UserList::new(seed, &flag.user_blacklist),
            conditions: CompiledCondition::all(&flag.conditions)?,
            experiment: None,
        })
    }

    /// Gives the flag to a running experiment, unless another one owns it.
    pub(crate) fn give_to(&mut self, experiment: &Arc<CompiledExperiment>) {
        self.experiment.get_or_insert_with(|| Arc::clone(experiment));
    }

    /// Returns the arm of a user's variant in the experiment that owns the flag; `None` if there is none, or the user
    /// takes no part in it.
    pub(crate) fn arm_by_experiment(&self, user: &str, facts: &Facts<'_>, now: Timestamp) -> Option<Arm> {
        self.experiment.as_ref()?.assign(Some(user), facts, now).ok()?.arm
    }

    /// Returns true if an emergency holds the flag on legacy.
    pub fn emergency(&self) -> bool {
        self.emergency.get()
    }

    pub(crate) fn set_emergency(&self, holds: bool) {
        self.emergency.set(holds);
    }

    /// Returns the limit that brakes have set; `None` if none of them lowers the flag.
    pub fn limit(&self) -> Option<FlagLimit> {
        self.limit.get()
    }

    /// Lowers the flag to a limit, unless it is as low already. A flag that an experiment owns never is: the experiment sends users
    /// beyond the percentage to the new arm, until a limit ends that.
    pub(crate) fn lower(&self, limit: FlagLimit) {
        let held = self.limit().unwrap_or(FlagLimit { enabled: self.enabled, rollout: self.rollout });
        let lowered =
            FlagLimit { enabled: held.enabled && limit.enabled, rollout: held.rollout.min(limit.rollout) };
        // Each brake is newer than the snapshot, so the experiment has ended whatever the percentage is since then.
        if lowered != held || self.experiment.is_some() {
            self.limit.set(Some(lowered));
        }
    }

    /// Takes back every limit.
    pub(crate) fn release(&self) {
        self.limit.set(None);
    }

    /// Returns true if the arm of an unknown user depends on a bucket: an experiment owns the flag, or the share is neither
    /// nothing nor everything. `is_counted` is true while a canary counts the flag's users, who need an id for that at
    /// every share above 0.
    pub fn needs_bucket(&self, is_counted: bool) -> bool {
        let is_divided =
            self.rollout > PartsPerMillion::ZERO && (is_counted || self.rollout < PartsPerMillion::ALL);
        is_divided || self.experiment.is_some()
    }

    /// Returns true if the share is everything, and no experiment has users on legacy.
    pub(crate) fn is_for_everybody(&self) -> bool {
        self.rollout == PartsPerMillion::ALL && self.experiment.is_none()
    }

    /// Returns the user's bucket for this flag.
    pub fn bucket(&self, user: &str) -> Bucket {
        self.seed.hash(user).bucket()
    }

    /// The conditions, in the order of [`Flag::conditions`].
    pub fn conditions(&self) -> &[CompiledCondition] {
        &self.conditions
    }

    pub(crate) fn place(&self, user: &str) -> HashedUser<'_> {
        HashedUser { flag: self, hash: self.seed.hash(user) }
    }

    pub(crate) fn failed_condition(&self, facts: &Facts<'_>, now: Timestamp) -> Option<usize> {
        self.conditions.iter().position(|condition| !condition.holds(facts, now))
    }
}

/// A user in relation to one flag. Hashed once, used for the lists and the bucket.
pub(crate) struct HashedUser<'f> {
    flag: &'f CompiledFlag,
    hash: UserHash,
}

impl HashedUser<'_> {
    pub(crate) fn is_blacklisted(&self, user: &str) -> bool {
        self.flag.blacklist.contains(self.hash, user)
    }

    pub(crate) fn is_whitelisted(&self, user: &str) -> bool {
        self.flag.whitelist.contains(self.hash, user)
    }

    pub(crate) fn bucket(&self) -> Bucket {
        self.hash.bucket()
    }
}
