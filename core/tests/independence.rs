//! Bucketing splits users independently: whoever is in one flag, experiment, layer or sample says nothing about the others.
//! Tables of two by two are tested by chi-square, with a limit that no pair of a whole run exceeds by chance but once in a
//! thousand runs.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use cutover_core::{
    measurement::user_hash::UserKey,
    rules::bucket::{Purpose, Seed},
    statistics::split_mix::SplitMix64,
};
use std::collections::BTreeSet;

/// Size of a run.
struct Size {
    users: usize,
    splits: usize,
    pairs: usize,
    /// Value that chi-square with one degree of freedom exceeds with the probability 0.001 / `pairs`.
    limit: f64,
}

const QUICK: Size = Size { users: 20_000, splits: 80, pairs: 1_000, limit: 23.93 };
const DEEP: Size = Size { users: 200_000, splits: 200, pairs: 10_000, limit: 28.38 };

fn size() -> Size {
    if std::env::var_os("CUTOVER_DEEP").is_some() { DEEP } else { QUICK }
}

/// A random choice among users.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Split {
    /// By the bucket for a purpose and a salt: those below a number.
    Bucket { purpose: &'static str, salt: String, below: u32 },
    /// By one bit of the hash that counts users.
    Sample { key: String, bit: u32 },
}

impl Split {
    /// Draws a split. The salts are few and alike, so that many pairs have the salt or the purpose in common.
    fn draw(dice: &mut SplitMix64) -> Self {
        const SALTS: [&str; 5] = ["a", "checkout", "checkout_2", "graphql_reviews_read", "layer"];
        let mut below = |limit: u64| dice.draw() % limit;
        if below(8) == 0 {
            let key = format!("{:032x}", below(1_000) + 1);
            return Self::Sample { key, bit: below(64) as u32 };
        }
        let purpose = Purpose::ALL[below(Purpose::ALL.len() as u64) as usize].as_str();
        let salt = SALTS[below(SALTS.len() as u64) as usize];
        let salt = if below(2) == 0 { salt.to_owned() } else { format!("{salt}-{}", below(4)) };
        Self::Bucket { purpose, salt, below: 100_000 + below(800_001) as u32 }
    }

    /// Returns one bit for each user: true if the split chooses the user.
    fn bits(&self, users: usize) -> Vec<u64> {
        let chooses: Box<dyn Fn(&str) -> bool> = match self {
            Self::Bucket { purpose, salt, below } => {
                let purpose = Purpose::ALL.into_iter().find(|held| held.as_str() == *purpose).unwrap();
                let (seed, below) = (Seed::new(purpose, salt), *below);
                Box::new(move |user: &str| seed.hash(user).bucket().get() < below)
            }
            Self::Sample { key, bit } => {
                let (key, bit) = (UserKey::parse(key).unwrap(), *bit);
                Box::new(move |user: &str| (key.hash(user) >> bit) & 1 == 1)
            }
        };
        let mut bits = vec![0; users.div_ceil(64)];
        for user in (0..users).filter(|user| chooses(&format!("user-{user}"))) {
            bits[user / 64] |= 1 << (user % 64);
        }
        bits
    }
}

/// Returns the chi-square of the table that two splits make.
fn chi_square(one: &[u64], other: &[u64], users: usize) -> f64 {
    let ones = |words: &mut dyn Iterator<Item = u64>| f64::from(words.map(u64::count_ones).sum::<u32>());
    let total = users as f64;
    let (a, b) = (ones(&mut one.iter().copied()), ones(&mut other.iter().copied()));
    let both = ones(&mut one.iter().zip(other).map(|(one, other)| one & other));
    let difference = both * total - a * b;
    difference * difference * total / (a * (total - a) * b * (total - b))
}

/// Returns the pairs of splits, by their positions, whose chi-square is above the limit.
fn dependent(splits: &[Split], pairs: &BTreeSet<(usize, usize)>, size: &Size) -> Vec<(usize, usize)> {
    let bits: Vec<Vec<u64>> = splits.iter().map(|split| split.bits(size.users)).collect();
    let depends = |pair: &&(usize, usize)| chi_square(&bits[pair.0], &bits[pair.1], size.users) > size.limit;
    pairs.iter().filter(depends).copied().collect()
}

/// Draws different splits, and pairs of them.
fn drawn(size: &Size) -> (Vec<Split>, BTreeSet<(usize, usize)>) {
    let mut dice = SplitMix64::new(20_261_122);
    let mut splits: Vec<Split> = Vec::new();
    // Two splits by the same bucket at different numbers depend on each other, as they should.
    let source = |split: &Split| match split {
        Split::Bucket { purpose, salt, .. } => format!("{purpose} {salt}"),
        Split::Sample { key, bit } => format!("{key} {bit}"),
    };
    while splits.len() < size.splits {
        let split = Split::draw(&mut dice);
        let is_new = splits.iter().all(|held| source(held) != source(&split));
        // There are fewer salts than a deep run has splits.
        let salted = match split {
            Split::Bucket { purpose, salt, below } if !is_new => {
                Split::Bucket { purpose, salt: format!("{salt}.{}", splits.len()), below }
            }
            split => split,
        };
        if splits.iter().all(|held| source(held) != source(&salted)) {
            splits.push(salted);
        }
    }
    let mut pairs = BTreeSet::new();
    while pairs.len() < size.pairs {
        let [one, other] = [0; 2].map(|_: i32| (dice.draw() % size.splits as u64) as usize);
        if one < other {
            pairs.insert((one, other));
        }
    }
    (splits, pairs)
}

#[test]
fn a_thousand_pairs_of_splits_are_independent() {
    let size = size();
    let (splits, pairs) = drawn(&size);
    let dependent = dependent(&splits, &pairs, &size);
    let named: Vec<_> = dependent.iter().map(|(one, other)| (&splits[*one], &splits[*other])).collect();
    assert!(named.is_empty(), "{named:#?}");
}

/// The test above would fail if a purpose or a salt were left out of the seed.
#[test]
fn the_same_seed_twice_is_found() {
    let (mut splits, mut pairs) = drawn(&QUICK);
    let below = |below| Split::Bucket { purpose: "experiment", salt: "same".to_owned(), below };
    splits.extend([below(500_000), below(300_000)]);
    let planted = (splits.len() - 2, splits.len() - 1);
    pairs.insert(planted);
    assert_eq!(dependent(&splits, &pairs, &QUICK), [planted]);
}

#[test]
fn chi_square_is_that_of_the_table() {
    // Of 64 users 20 are in each split, and 15 in both: 8.75^2 (1/6.25 + 2/13.75 + 1/30.25).
    let (one, other) = ([0x000F_FFFF], [0x01FF_FFE0]);
    assert!((chi_square(&one, &other, 64) - 25.917_355_371_9).abs() < 1e-9);
}
