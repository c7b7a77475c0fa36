//! Map of users that keeps a random part of them if there are too many. Users are keyed by a 64-bit
//! hash, and the map holds those with a hash below `theta`. Users of both arms are in one map, so
//! that thinning leaves out the same range of hashes for both, and each user whom a caller counts
//! stays a fair coin.
//!
//! Sums over users are the caller's. A user is added to them once, if the map has just taken the
//! user in; nothing is ever taken back. Hence a tick first adds all its users, then thins.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::{BTreeMap, btree_map::Entry};

/// Most users that a map holds after thinning.
pub const USER_MAP_CAPACITY: usize = 4_096;

/// Values by the hash of their user.
///
/// In documents the users are pairs in the order of their hashes, `{"theta": 18446744073709551615,
/// "users": [[17, 1], [23, 4]]}`: keys of an object would be strings, which a flattened or tagged
/// document does not turn into numbers again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserMap<V> {
    theta: u64,
    #[serde(
        serialize_with = "to_pairs",
        deserialize_with = "from_pairs",
        bound(serialize = "V: Serialize", deserialize = "V: Deserialize<'de>")
    )]
    users: BTreeMap<u64, V>,
}

impl<V> Default for UserMap<V> {
    fn default() -> Self {
        Self { theta: u64::MAX, users: BTreeMap::new() }
    }
}

impl<V> UserMap<V> {
    /// Returns true if users with this hash are kept.
    pub fn admits(&self, hash: u64) -> bool {
        hash < self.theta
    }

    /// Returns the value of a user, and true if it has just been inserted: only then the caller
    /// counts the user. `None` if the hash is not admitted; the user counts nowhere.
    pub fn get_mut_or_insert(&mut self, hash: u64, value: V) -> Option<(&mut V, bool)> {
        if !self.admits(hash) {
            return None;
        }
        match self.users.entry(hash) {
            Entry::Vacant(entry) => Some((entry.insert(value), true)),
            Entry::Occupied(entry) => Some((entry.into_mut(), false)),
        }
    }

    /// Halves `theta` until at most [`USER_MAP_CAPACITY`] users are left. Call it after all users of
    /// a tick have been added.
    pub fn thin(&mut self) {
        while self.users.len() > USER_MAP_CAPACITY {
            self.theta /= 2;
            drop(self.users.split_off(&self.theta));
        }
    }

    /// Lowers the bound to `theta`, unless it is lower already, and forgets the users above it.
    pub fn lower(&mut self, theta: u64) {
        if theta < self.theta {
            self.theta = theta;
            drop(self.users.split_off(&theta));
        }
    }

    /// Forgets the users whose values do not satisfy the predicate. They would be counted again, so forget only users who
    /// were not.
    pub fn retain(&mut self, mut keep: impl FnMut(&V) -> bool) {
        self.users.retain(|_, value| keep(value));
    }

    /// Forgets a user, and returns the value. The user would be counted again, so forget only one who was not.
    pub fn remove(&mut self, hash: u64) -> Option<V> {
        self.users.remove(&hash)
    }

    /// Returns the number of users in the map.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Returns true if no user is in the map.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// Returns the values, in the order of the hashes.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.users.values()
    }

    /// Returns the hashes with their values, in the order of the hashes.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &V)> {
        self.users.iter().map(|(hash, value)| (*hash, value))
    }

    /// Returns the values for changes, in the order of the hashes.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.users.values_mut()
    }

    /// Returns the bound below which hashes are admitted.
    pub fn theta(&self) -> u64 {
        self.theta
    }
}

fn to_pairs<V: Serialize, S: Serializer>(users: &BTreeMap<u64, V>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(users)
}

fn from_pairs<'de, V, D>(deserializer: D) -> Result<BTreeMap<u64, V>, D::Error>
where
    V: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let pairs: Vec<(u64, V)> = Vec::deserialize(deserializer)?;
    Ok(pairs.into_iter().collect())
}
