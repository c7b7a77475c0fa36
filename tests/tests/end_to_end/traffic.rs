//! The main job, end to end on the real parts: a flag changed over HTTP moves traffic at the edge.

use cutover_tests::{
    crowd::{ask, on_new, users},
    is_deep,
    stack::{Options, Runtime, Stack},
};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

const PATH: &str = "/api/v1/reviews/7";
const OFFERS: &str = "/api/v1/offers/3/reviews";

/// The soft TTL of the stack: short, because these tests are about where traffic goes, not about how soon.
fn options() -> Options {
    Options {
        worker_variables: BTreeMap::from([("SNAPSHOT_SOFT_TTL_MS", "200".to_owned())]),
        ..Options::default()
    }
}

async fn started() -> Stack {
    let stack = Stack::start(options()).await;
    let applied = stack.management().apply(&stack.dev_configuration()).await.expect(200);
    assert_eq!(applied.body["published"], true, "{:#}", applied.body);
    stack.edge_holds(applied.body["revision"].as_u64().unwrap()).await;
    stack
}

async fn set_rollout(stack: &Stack, flag: &str, percentage: f64) {
    let path = format!("/flags/{flag}/rollout");
    let answer = stack.management().put(&path, &json!({ "percentage": percentage })).await.expect(200);
    stack.edge_holds(answer.body["revision"].as_u64().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_percentage_turned_over_http_moves_that_share_of_users_and_only_them() {
    let mut stack = started().await;
    let size = if is_deep() { 20_000 } else { 5_000 };
    let crowd = users("user", size);
    let percent = |count: usize| 100.0 * count as f64 / size as f64;
    // Users and salts are fixed, so this cannot flicker: three standard deviations of a share of a quarter.
    let tolerance = if is_deep() { 0.8 } else { 300.0 * (0.25 * 0.75 / size as f64).sqrt() };

    let at_25 = ask(stack.edge.port(), PATH, &crowd).await;
    let share = percent(on_new(&at_25).len());
    assert!((share - 25.0).abs() <= tolerance, "{share} % of {size} users at 25 %");
    println!("{size} users at 25 %: {share} % on the new arm");

    stack = stack.restart_worker().await;
    let again = ask(stack.edge.port(), PATH, &crowd).await;
    assert_eq!(at_25, again, "a restart of the Worker moved users");

    set_rollout(&stack, "graphql_reviews_read", 50.0).await;
    let at_50 = ask(stack.edge.port(), PATH, &crowd).await;
    let (before, after): (BTreeSet<_>, BTreeSet<_>) =
        (on_new(&at_25).into_iter().collect(), on_new(&at_50).into_iter().collect());
    assert!(before.is_subset(&after), "raising 25 -> 50 took somebody out");

    set_rollout(&stack, "graphql_reviews_read", 10.0).await;
    let at_10 = ask(stack.edge.port(), PATH, &crowd).await;
    let left: BTreeSet<_> = on_new(&at_10).into_iter().collect();
    assert!(left.is_subset(&before), "lowering 50 -> 10 left somebody who was not in at 25");
    let share = percent(left.len());
    assert!((share - 10.0).abs() <= tolerance, "{share} % of {size} users at 10 %");

    // 0.01 % of at most 20 000 users is two of them, Poisson distributed; fifteen is out of all proportion.
    set_rollout(&stack, "graphql_reviews_read", 0.01).await;
    let few = ask(stack.edge.port(), PATH, &crowd).await;
    let few: BTreeSet<_> = on_new(&few).into_iter().collect();
    assert!(few.len() <= 15, "{} users at 0.01 %", few.len());
    assert!(few.is_subset(&left) && few.contains("user-123"), "the whitelisted user is on the new arm");

    set_rollout(&stack, "graphql_reviews_read", 99.99).await;
    let most = ask(stack.edge.port(), PATH, &crowd).await;
    let legacy = most.values().filter(|seen| seen.arm == "legacy").count();
    assert!((1..=15).contains(&legacy), "{legacy} users on legacy at 99.99 %");
    assert_eq!(most["user-666"].reason, "BLACKLISTED");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_flags_at_half_split_users_independently() {
    let stack = started().await;
    set_rollout(&stack, "graphql_reviews_read", 50.0).await;
    let crowd = users("member", 8_000);
    let reviews = ask(stack.edge.port(), PATH, &crowd).await;
    let offers = ask(stack.edge.port(), OFFERS, &crowd).await;
    let mut table = [[0.0_f64; 2]; 2];
    for user in &crowd {
        table[usize::from(reviews[user].arm == "new")][usize::from(offers[user].arm == "new")] += 1.0;
    }
    let total = crowd.len() as f64;
    let chi_square: f64 = (0..2)
        .flat_map(|row| (0..2).map(move |column| (row, column)))
        .map(|(row, column)| {
            let expected = (table[row][0] + table[row][1]) * (table[0][column] + table[1][column]) / total;
            (table[row][column] - expected).powi(2) / expected
        })
        .sum();
    println!("two flags at 50 %: {table:?}, chi-square {chi_square:.3} with one degree of freedom");
    // 10.83 is passed by chance once in a thousand; users and salts are fixed, so this cannot flicker.
    assert!(chi_square < 10.83, "{table:?}: chi-square {chi_square}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_takes_everybody_to_legacy_until_it_is_cleared() {
    let stack = started().await;
    let management = stack.management();
    set_rollout(&stack, "graphql_reviews_read", 100.0).await;
    let crowd = users("user", 200);
    assert_eq!(on_new(&ask(stack.edge.port(), PATH, &crowd).await).len(), 200);

    let declared =
        management.post("/emergency/rollback", &json!({ "reason": "errors on checkout" })).await.expect(200);
    let started = Instant::now();
    stack.edge_holds(declared.body["revision"].as_u64().unwrap()).await;
    println!("rolled back at the edge after {:?}", started.elapsed());
    let seen = ask(stack.edge.port(), PATH, &crowd).await;
    assert!(seen.values().all(|seen| seen.arm == "legacy" && seen.reason == "EMERGENCY"), "{seen:?}");
    assert_eq!(management.get("/status").await.body["health"]["status"], "emergency");

    let cleared = management.post("/emergency/clear", &json!({ "reason": "fixed" })).await.expect(200);
    stack.edge_holds(cleared.body["revision"].as_u64().unwrap()).await;
    assert_eq!(on_new(&ask(stack.edge.port(), PATH, &crowd).await).len(), 200);
    management.post("/emergency/clear", &json!({ "reason": "twice" })).await.expect(409);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_that_ends_at_zero_brings_nobody_back_but_users_on_a_whitelist() {
    let stack = started().await;
    let management = stack.management();
    set_rollout(&stack, "graphql_reviews_read", 100.0).await;
    let crowd = users("user", 200);
    let declared = management.post("/emergency/rollback", &json!({ "reason": "errors" })).await.expect(200);
    stack.edge_holds(declared.body["revision"].as_u64().unwrap()).await;
    assert_eq!(on_new(&ask(stack.edge.port(), PATH, &crowd).await), Vec::<&str>::new());

    let at_zero = json!({ "reason": "fixed", "percentage": 0 });
    let cleared = management.post("/emergency/clear", &at_zero).await.expect(200);
    stack.edge_holds(cleared.body["revision"].as_u64().unwrap()).await;
    let seen = ask(stack.edge.port(), PATH, &crowd).await;
    assert_eq!(on_new(&seen), ["user-123"]);
    assert!(seen.values().all(|seen| seen.reason != "EMERGENCY"), "{seen:?}");
    set_rollout(&stack, "graphql_reviews_read", 100.0).await;
    assert_eq!(on_new(&ask(stack.edge.port(), PATH, &crowd).await).len(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_visible_at_the_edge_within_its_soft_ttl() {
    // What a developer runs, with the soft TTL that is deployed.
    let stack = Stack::start(Options { runtime: Runtime::Wrangler, ..Options::default() }).await;
    let applied = stack.management().apply(&stack.dev_configuration()).await.expect(200);
    stack.edge_holds(applied.body["revision"].as_u64().unwrap()).await;
    let mut delays = Vec::new();
    for round in 0..5 {
        // Begin anywhere inside the TTL, as an operator does.
        tokio::time::sleep(Duration::from_millis(700 * round)).await;
        let body = json!({ "percentage": 30.0 + round as f64 });
        let started = Instant::now();
        let answer = stack.management().put("/flags/graphql_reviews_read/rollout", &body).await.expect(200);
        stack.edge_holds(answer.body["revision"].as_u64().unwrap()).await;
        delays.push(started.elapsed());
    }
    delays.sort();
    println!("change to visible at the edge, soft TTL 5 s: {delays:?}");
    // A busy machine stretches a short run.
    let limit = Duration::from_secs(if is_deep() { 6 } else { 8 });
    assert!(delays[2] <= limit, "half of the changes took longer than {:?}", delays[2]);
}
