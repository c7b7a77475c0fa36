//! A bounded map of users that leaves a range of hashes out when it is full. The hashes of both arms
//! are in one map, so the same range is left out for both.
//!
//! `cutover_core::statistics::UserMap` does the same for the control plane. That one is thinned once
//! for each tick and stored; this one never exceeds its capacity, and can be thinned further.

use std::collections::BTreeMap;

/// Most users in one map. The control plane keeps as many users of all isolates together.
pub const CAPACITY: usize = 4_096;

/// Values by the hash of their user, for hashes below `theta`.
#[derive(Debug)]
pub struct Thinned<V> {
    theta: u64,
    users: BTreeMap<u64, V>,
}

impl<V> Default for Thinned<V> {
    fn default() -> Self {
        Self { theta: u64::MAX, users: BTreeMap::new() }
    }
}

impl<V: Default> Thinned<V> {
    /// Returns the value of a user, and true if the user is new to the map. If the map is full,
    /// `theta` is halved until there is room. Returns `None` if the user is left out.
    pub fn insert(&mut self, user: u64) -> Option<(&mut V, bool)> {
        if !self.admits(user) {
            return None;
        }
        let is_new = !self.users.contains_key(&user);
        if is_new {
            self.users.insert(user, V::default());
            while self.users.len() > CAPACITY {
                self.halve();
            }
        }
        self.users.get_mut(&user).map(|value| (value, is_new))
    }
}

impl<V> Thinned<V> {
    /// Returns true if users with this hash are kept.
    pub fn admits(&self, user: u64) -> bool {
        user < self.theta
    }

    /// Returns the value of a user; `None` if the user is not in the map.
    pub fn get(&self, user: u64) -> Option<&V> {
        self.users.get(&user)
    }

    /// Returns the value of a user, to be changed; `None` if the user is not in the map.
    pub fn get_mut(&mut self, user: u64) -> Option<&mut V> {
        self.users.get_mut(&user)
    }

    /// Halves `theta`, and removes the users who are left out from then on.
    pub fn halve(&mut self) {
        self.theta /= 2;
        drop(self.users.split_off(&self.theta));
    }

    /// Returns the bound below which hashes are kept.
    pub fn theta(&self) -> u64 {
        self.theta
    }

    /// Returns the number of users in the map.
    pub fn count(&self) -> usize {
        self.users.len()
    }
}
