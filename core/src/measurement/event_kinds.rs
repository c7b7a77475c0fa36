//! Kinds of events that a user can have, as a set. Users are compared by their first event of each
//! kind.

use serde::{Deserialize, Serialize};
use std::ops::{BitOr, BitOrAssign};

/// A set of kinds of events. In JSON, one number with a bit for each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventKinds(u8);

impl EventKinds {
    /// The empty set.
    pub const NONE: Self = Self(0);
    /// A server error, a timeout, or no connection.
    pub const ERROR: Self = Self(1);
    /// A response slower than the rollback limit, or none.
    pub const SLOW: Self = Self(2);
    /// Status 401 or 403.
    pub const UNAUTHORIZED: Self = Self(4);
    /// Status 404, 405 or 410.
    pub const NOT_FOUND: Self = Self(8);
    /// Any other status from 400 to 498, except 429.
    pub const CLIENT_ERROR: Self = Self(16);

    /// Every kind, in the order of its bit.
    pub const ALL: [Self; 5] =
        [Self::ERROR, Self::SLOW, Self::UNAUTHORIZED, Self::NOT_FOUND, Self::CLIENT_ERROR];

    /// Returns true if the set is empty.
    pub fn is_empty(self) -> bool {
        self == Self::NONE
    }

    /// Returns true if all kinds of `other` are in the set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns the kinds of the set that are not in `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitOr for EventKinds {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for EventKinds {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}
