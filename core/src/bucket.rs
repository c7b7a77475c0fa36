//! Bucketing, algorithm `v1`: a user's fixed place for one flag. Never changed, only superseded.
//!
//! `seed = xxh3_64(purpose ++ 0x1F ++ salt)`, `h = xxh3_64_with_seed(user id as UTF-8, seed)`,
//! `bucket = (h * 1 000 000) >> 64`. Integers only, so every port agrees to the last bit; the golden vectors
//! are in `docs/bucketing.json`.

use crate::{batch::UNIT_SAMPLING, rate::PartsPerMillion};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// What a place is used for. The same user has independent places for different purposes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The share of a flag.
    Rollout,
    /// The variant inside an experiment.
    Variant,
    /// A segment of users.
    Segment,
    /// Taking part in an experiment at all.
    Experiment,
}

impl Purpose {
    /// The name that is hashed.
    pub fn as_str(self) -> &'static str {
        match self {
            Purpose::Rollout => "rollout",
            Purpose::Variant => "variant",
            Purpose::Segment => "segment",
            Purpose::Experiment => "experiment",
        }
    }
}

/// The seed of one salt and purpose, computed once when a snapshot is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed(u64);

impl Seed {
    /// `xxh3_64(purpose ++ 0x1F ++ salt)`.
    pub fn new(purpose: Purpose, salt: &str) -> Self {
        let mut bytes = Vec::with_capacity(purpose.as_str().len() + 1 + salt.len());
        bytes.extend_from_slice(purpose.as_str().as_bytes());
        bytes.push(0x1F);
        bytes.extend_from_slice(salt.as_bytes());
        Self(xxh3_64(&bytes))
    }

    /// Hashes a user id. The result serves both for the bucket and for looking a user up in a list.
    #[inline]
    pub fn hash(self, user_id: &str) -> UserHash {
        UserHash(xxh3_64_with_seed(user_id.as_bytes(), self.0))
    }

    /// The number itself, for the golden vectors.
    pub fn get(self) -> u64 {
        self.0
    }
}

/// A user id hashed for one seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UserHash(u64);

impl UserHash {
    /// The place 0..=999 999 that this hash falls into.
    #[inline]
    pub fn bucket(self) -> Bucket {
        // Below 1 000 000 because the factor is; the shift leaves at most 20 bits.
        Bucket(((u128::from(self.0) * 1_000_000) >> 64) as u32)
    }

    /// The user as an assignment unit, if it is one of those that are sampled. The low bits of the hash say so, which
    /// have nothing to do with the place.
    #[inline]
    pub fn unit(self) -> Option<u32> {
        let sampling = u64::from(UNIT_SAMPLING);
        // The remaining bits are cut to 32 on purpose.
        self.0.is_multiple_of(sampling).then_some((self.0 / sampling) as u32)
    }

    /// The number itself, for the golden vectors.
    pub fn get(self) -> u64 {
        self.0
    }
}

/// A user's fixed place 0..=999 999 for one salt and purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket(u32);

impl Bucket {
    /// The place of a user. One-off form of [`Seed::hash`].
    pub fn of(purpose: Purpose, salt: &str, user_id: &str) -> Self {
        Seed::new(purpose, salt).hash(user_id).bucket()
    }

    /// Whether a rollout of this share includes the place.
    #[inline]
    pub fn is_in(self, share: PartsPerMillion) -> bool {
        self.0 < share.get()
    }

    /// The place as a number.
    pub fn get(self) -> u32 {
        self.0
    }
}
