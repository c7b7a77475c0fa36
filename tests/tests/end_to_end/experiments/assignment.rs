//! Both established shapes of experiments, from the management API to the backends: shares, and users who keep their variants.

use super::{Told, assigned};
use cutover_tests::crowd;
use std::collections::BTreeMap;

const USERS: usize = 2_000;

/// One experiment of each shape.
const CONFIG: &str = r#"
feature_flags:
  reading: { enabled: true, rollout_percentage: 25 }
experiments:
  graphql_migration_test:
    name: "GraphQL vs REST Performance"
    traffic_percentage: 50.0
    variants:
      control: "REST API"
      treatment: "GraphQL API"
    success_metrics: [response_time, error_rate, user_satisfaction]
ab_tests:
  graphql_effectiveness:
    name: "GraphQL Migration Effectiveness"
    variants:
      control:
        name: "REST API"
        traffic_percentage: 30.0
      treatment:
        name: "GraphQL API"
        traffic_percentage: 70.0
origins: { rest: { url: "LEGACY_URL" }, graphql: { url: "NEW_URL" } }
routes:
  - { id: all, match: { path: "/{*rest}" }, flag: reading, legacy: rest, new: graphql }
"#;

/// Returns the variant in a header's value, such as `control` of `EXPERIMENT=control, ...`.
fn variant<'t>(told: &'t str, experiment: &str) -> Option<&'t str> {
    told.split(", ").find_map(|group| group.strip_prefix(experiment)?.strip_prefix('='))
}

/// Asserts that a share of `all` users is as expected, within four standard errors.
fn assert_share(users: usize, all: usize, expected: f64) {
    let error = (expected * (1.0 - expected) / all as f64).sqrt();
    let share = users as f64 / all as f64;
    assert!(
        (share - expected).abs() < 4.0 * error,
        "{users} of {all} users, instead of a share of {expected}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn both_shapes_assign_every_user_as_the_core_does_and_more_traffic_moves_nobody() {
    let told = Told::start().await;
    let rules = told.apply(CONFIG).await;
    let users = crowd::users("user", USERS);
    let before = told.ask("/a", &users).await;
    for (user, seen) in &before {
        assert_eq!(seen.told, assigned(&rules, user).of_backend, "{user}");
        // Variants without arms decide nothing, and clients are told only if the experiment says so.
        assert_eq!((seen.reason.as_str(), seen.to_client.as_str()), ("ROLLOUT", ""), "{user}");
    }
    let with = |experiment: &str, key: Option<&str>| {
        let held = before.values().filter_map(|seen| variant(&seen.told, experiment));
        held.filter(|held| key.is_none_or(|key| *held == key)).count()
    };
    let taking_part = with("graphql_migration_test", None);
    assert_share(taking_part, USERS, 0.5);
    assert_share(with("graphql_migration_test", Some("treatment")), taking_part, 0.5);
    assert_eq!(with("graphql_effectiveness", None), USERS);
    assert_share(with("graphql_effectiveness", Some("control")), USERS, 0.3);
    // The same user gets the same variants again, on any path.
    assert_eq!(told.ask("/b", &users).await, before);

    let more = CONFIG.replace("traffic_percentage: 50.0", "traffic_percentage: 80.0");
    let rules = told.apply(&more).await;
    let after = told.ask("/a", &users).await;
    let mut added = BTreeMap::<&str, usize>::new();
    for (user, seen) in &after {
        assert_eq!(seen.told, assigned(&rules, user).of_backend, "{user}");
        let of = |told| variant(told, "graphql_migration_test");
        match (of(before[user].told.as_str()), of(seen.told.as_str())) {
            (None, Some(variant)) => *added.entry(variant).or_default() += 1,
            (before, after) => assert_eq!(after, before, "{user}"),
        }
    }
    let all: usize = added.values().sum();
    assert_share(taking_part + all, USERS, 0.8);
    assert_share(added["treatment"], all, 0.5);
}
