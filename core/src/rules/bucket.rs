//! Bucketing, algorithm `v1`: a user's fixed bucket for one flag. Never changed, only superseded.
//!
//! `seed = xxh3_64(purpose ++ 0x1F ++ salt)`, `h = xxh3_64_with_seed(user id as UTF-8, seed)`,
//! `bucket = (h * 1 000 000) >> 64`. It uses integers only, so that every port agrees to the last
//! bit; the golden vectors are in `docs/bucketing.json`.

use crate::vocabulary::share::PartsPerMillion;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Use of a bucket. The same user has independent buckets for different purposes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The rollout of a flag.
    Rollout,
    /// The variant of an experiment.
    Variant,
    /// A segment of users.
    Segment,
    /// Participation in an experiment.
    Experiment,
    /// The place in a layer, whose experiments own disjoint ranges of it.
    Layer,
    /// The users whom a holdout keeps out of its experiments.
    Holdout,
}

impl Purpose {
    /// All purposes.
    pub const ALL: [Purpose; 6] = [
        Purpose::Rollout,
        Purpose::Variant,
        Purpose::Segment,
        Purpose::Experiment,
        Purpose::Layer,
        Purpose::Holdout,
    ];

    /// Returns the name that goes into the seed.
    pub fn as_str(self) -> &'static str {
        match self {
            Purpose::Rollout => "rollout",
            Purpose::Variant => "variant",
            Purpose::Segment => "segment",
            Purpose::Experiment => "experiment",
            Purpose::Layer => "layer",
            Purpose::Holdout => "holdout",
        }
    }
}

/// Seed for one salt and purpose, computed once when a snapshot is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed(u64);

impl Seed {
    /// Computes `xxh3_64(purpose ++ 0x1F ++ salt)`.
    pub fn new(purpose: Purpose, salt: &str) -> Self {
        let mut bytes = Vec::with_capacity(purpose.as_str().len() + 1 + salt.len());
        bytes.extend_from_slice(purpose.as_str().as_bytes());
        bytes.push(0x1F);
        bytes.extend_from_slice(salt.as_bytes());
        Self(xxh3_64(&bytes))
    }

    /// Hashes a user id. The result yields the bucket and is the key of user lists.
    #[inline]
    pub fn hash(self, user_id: &str) -> UserHash {
        UserHash(xxh3_64_with_seed(user_id.as_bytes(), self.0))
    }

    /// Returns the raw number, for the golden vectors.
    pub fn get(self) -> u64 {
        self.0
    }
}

/// Hash of a user id for one [`Seed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UserHash(u64);

impl UserHash {
    /// Returns the bucket 0..=999 999 that this hash falls into.
    #[inline]
    pub fn bucket(self) -> Bucket {
        // Below 1 000 000 because the factor is; the shift leaves at most 20 bits.
        Bucket(((u128::from(self.0) * 1_000_000) >> 64) as u32)
    }

    /// Returns the raw number, for the golden vectors.
    pub fn get(self) -> u64 {
        self.0
    }
}

/// A user's fixed bucket 0..=999 999 for one salt and purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket(u32);

impl Bucket {
    /// Returns the bucket of a user. Shorthand for [`Seed::hash`] with a seed that is used once.
    pub fn of(purpose: Purpose, salt: &str, user_id: &str) -> Self {
        Seed::new(purpose, salt).hash(user_id).bucket()
    }

    /// Returns true if a rollout of this share includes the bucket.
    #[inline]
    pub fn is_in(self, share: PartsPerMillion) -> bool {
        self.0 < share.get()
    }

    /// Returns the bucket as a number.
    pub fn get(self) -> u32 {
        self.0
    }
}
