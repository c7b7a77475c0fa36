//! Bucketing v1 is a contract with every port of it: the golden vectors, and the properties that it
//! was chosen for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use cutover_core::{
    PartsPerMillion,
    rules::bucket::{Bucket, Purpose, Seed},
};
use proptest::prelude::*;
use serde_json::Value;

#[test]
fn golden_vectors() {
    let text = include_str!("../../docs/bucketing.json");
    let document: Value = serde_json::from_str(text).unwrap();
    let vectors = document["vectors"].as_array().unwrap();
    assert!(vectors.len() >= 40, "{} vectors", vectors.len());
    for purpose in Purpose::ALL {
        let of_purpose = vectors.iter().filter(|vector| vector["purpose"] == purpose.as_str());
        assert!(of_purpose.count() >= 4, "{purpose:?}");
    }
    for vector in vectors {
        let field = |name: &str| vector[name].as_str().unwrap();
        let purpose = Purpose::ALL.into_iter().find(|purpose| purpose.as_str() == field("purpose")).unwrap();
        let seed = Seed::new(purpose, field("salt"));
        let hash = seed.hash(field("user_id"));
        assert_eq!(format!("{:016x}", seed.get()), field("seed"), "{vector}");
        assert_eq!(format!("{:016x}", hash.get()), field("hash"), "{vector}");
        assert_eq!(u64::from(hash.bucket().get()), vector["bucket"].as_u64().unwrap(), "{vector}");
    }
}

/// Returns the value that chi-square exceeds by chance once in a million, by Wilson and Hilferty's
/// approximation.
fn chi_square_limit(degrees: f64) -> f64 {
    let z = 4.753;
    degrees * (1.0 - 2.0 / (9.0 * degrees) + z * (2.0 / (9.0 * degrees)).sqrt()).powi(3)
}

#[test]
fn users_spread_evenly_over_the_buckets() {
    const CELLS: usize = 1_000;
    const USERS: usize = 200_000;
    for (salt, id) in [("graphql_reviews_read", "user-"), ("a", ""), ("checkout", "00000000-0000-4000-8000-")]
    {
        let seed = Seed::new(Purpose::Rollout, salt);
        let mut counts = vec![0_u32; CELLS];
        for user in 0..USERS {
            let bucket = seed.hash(&format!("{id}{user}")).bucket().get();
            counts[bucket as usize / (1_000_000 / CELLS)] += 1;
        }
        let expected = (USERS / CELLS) as f64;
        let chi_square: f64 =
            counts.iter().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum();
        let limit = chi_square_limit((CELLS - 1) as f64);
        assert!(chi_square < limit, "{salt}: chi-square {chi_square} over {limit}");
    }
}

proptest! {
    #[test]
    fn raising_takes_nobody_out_and_lowering_takes_the_last_in_first(
        user in ".{0,40}", salt in "[a-z_]{1,20}", low in 0_u32..=1_000_000, high in 0_u32..=1_000_000,
    ) {
        let (low, high) = (low.min(high), low.max(high));
        let share = |ppm: u32| PartsPerMillion::from_percent(f64::from(ppm) / 10_000.0).unwrap();
        let bucket = Bucket::of(Purpose::Rollout, &salt, &user);
        prop_assert!(bucket.get() < 1_000_000);
        prop_assert!(!bucket.is_in(share(low)) || bucket.is_in(share(high)));
        prop_assert!(!bucket.is_in(PartsPerMillion::ZERO));
        prop_assert!(bucket.is_in(PartsPerMillion::ALL));
    }
}
