//! A flag as operators write it, and as it is evaluated.

use crate::json::read_fields;
use crate::{
    bucket::{Bucket, Purpose, Seed, UserHash},
    condition::{CompiledCondition, Condition, InvalidCondition},
    facts::Facts,
    names::FlagName,
    rate::PartsPerMillion,
    timestamp::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::{cell::Cell, collections::BinaryHeap};

/// The switch of one capability.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Flag {
    /// Off means legacy for everybody, whatever else is written.
    #[serde(default)]
    pub enabled: bool,
    /// The share of users on the new arm.
    #[serde(default)]
    pub rollout_percentage: PartsPerMillion,
    /// What the flag is for.
    #[serde(default)]
    pub description: String,
    /// Users who are always on the new arm.
    #[serde(default)]
    pub user_whitelist: Vec<String>,
    /// Users who are always on legacy.
    #[serde(default)]
    pub user_blacklist: Vec<String>,
    /// All must hold for a user to be considered at all.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// What users are bucketed by; the name of the flag where it is not written. Kept when a flag is renamed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
}

/// A flag ready to be evaluated.
#[derive(Debug)]
pub struct CompiledFlag {
    /// The name.
    pub name: FlagName,
    /// As in [`Flag::enabled`].
    pub enabled: bool,
    /// As in [`Flag::rollout_percentage`].
    pub rollout: PartsPerMillion,
    // An emergency can be learned of between two snapshots.
    emergency: Cell<bool>,
    seed: Seed,
    whitelist: UserList,
    blacklist: UserList,
    conditions: Vec<CompiledCondition>,
}

/// Users by the hash that bucketing computes anyway: one binary search over integers per look-up.
#[derive(Debug, Default)]
struct UserList(Vec<(UserHash, Box<str>)>);

impl UserList {
    fn new(seed: Seed, users: &[String]) -> Self {
        let list = users.iter().map(|user| (seed.hash(user), Box::<str>::from(user.as_str())));
        Self(list.collect::<BinaryHeap<_>>().into_sorted_vec())
    }

    fn contains(&self, hash: UserHash, user: &str) -> bool {
        let start = self.0.partition_point(|(held, _)| *held < hash);
        self.0.iter().skip(start).take_while(|(held, _)| *held == hash).any(|(_, name)| &**name == user)
    }
}

impl CompiledFlag {
    /// Prepares a flag for evaluation.
    pub fn new(name: &FlagName, flag: &Flag, emergency: bool) -> Result<Self, InvalidCondition> {
        let seed = Seed::new(Purpose::Rollout, flag.salt.as_deref().unwrap_or(name.as_str()));
        Ok(Self {
            name: name.clone(),
            enabled: flag.enabled,
            rollout: flag.rollout_percentage,
            emergency: Cell::new(emergency),
            seed,
            whitelist: UserList::new(seed, &flag.user_whitelist),
            blacklist: UserList::new(seed, &flag.user_blacklist),
            conditions: flag.conditions.iter().map(CompiledCondition::new).collect::<Result<_, _>>()?,
        })
    }

    /// Whether an emergency holds the flag on legacy.
    pub fn emergency(&self) -> bool {
        self.emergency.get()
    }

    pub(crate) fn set_emergency(&self, holds: bool) {
        self.emergency.set(holds);
    }

    /// The user's place for this flag.
    pub fn bucket(&self, user: &str) -> Bucket {
        self.seed.hash(user).bucket()
    }

    /// The conditions, in the order they were written.
    pub fn conditions(&self) -> &[CompiledCondition] {
        &self.conditions
    }

    pub(crate) fn place(&self, user: &str) -> UserPlace<'_> {
        UserPlace { flag: self, hash: self.seed.hash(user) }
    }

    pub(crate) fn failed_condition(&self, facts: &Facts<'_>, now: Timestamp) -> Option<usize> {
        self.conditions.iter().position(|condition| !condition.holds(facts, now))
    }
}

/// A user seen from one flag: hashed once, asked three questions.
pub(crate) struct UserPlace<'f> {
    flag: &'f CompiledFlag,
    hash: UserHash,
}

impl UserPlace<'_> {
    pub(crate) fn is_blacklisted(&self, user: &str) -> bool {
        self.flag.blacklist.contains(self.hash, user)
    }

    pub(crate) fn is_whitelisted(&self, user: &str) -> bool {
        self.flag.whitelist.contains(self.hash, user)
    }

    pub(crate) fn bucket(&self) -> Bucket {
        self.hash.bucket()
    }

    pub(crate) fn unit(&self) -> Option<u32> {
        self.hash.unit()
    }
}

read_fields!(Flag {
    enabled,
    rollout_percentage or PartsPerMillion::ZERO,
    description or String::new(),
    user_whitelist,
    user_blacklist,
    conditions,
    salt,
});
