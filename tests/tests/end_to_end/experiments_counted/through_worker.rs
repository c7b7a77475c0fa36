//! Users whose truth is known, through the Worker, the functions and the table, while every second batch is refused and
//! every other one is stored with its answer lost, so that it comes twice.

use super::{
    NAME,
    crowd::{Crowd, DECLINED, figures, user},
    results,
};
use axum::body::Bytes;
use cutover_core::{ExperimentName, Snapshot, measurement::experiments::ExperimentKey};
use cutover_tests::{
    fault_proxy::Fault,
    http, is_deep,
    stack::{Options, Stack},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// Number of hashes.
const HASHES: f64 = 18_446_744_073_709_551_616.0;

/// Time in which everything is reported and folded that users did: an event window of ten seconds, the time limit of
/// the origins, and two attempts for each batch.
const PATIENCE: Duration = Duration::from_secs(180);

/// Starts a stack with the experiment of a crowd, whose batches fail once. The evidence remembers so many users.
async fn started(crowd: &Crowd, isolates: usize, remembered: usize) -> Stack {
    let interval = if is_deep() { "1000" } else { "300" };
    let stack = Stack::start(Options {
        isolates,
        worker_variables: BTreeMap::from([("REPORT_INTERVAL_MS", interval.to_owned())]),
        function_variables: BTreeMap::from([("CUTOVER_EXPERIMENT_USERS", remembered.to_string())]),
        ..Options::default()
    })
    .await;
    let refused = Fault::Answer(503, "application/json", Bytes::from_static(b"{}"));
    stack.ingest.on_first_attempts(vec![refused, Fault::Lost]);
    stack.management().apply(&crowd.configuration()).await.expect(200);
    hold(&stack).await;
    stack
}

/// Waits until every isolate holds the configuration.
async fn hold(stack: &Stack) {
    let deadline = Instant::now() + Duration::from_secs(30);
    for port in stack.edge.ports() {
        while http::edge_health(port).await["revision"] != 1 {
            assert!(Instant::now() < deadline, "the configuration does not reach the isolate at {port}");
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }
}

/// Sends a request to every isolate that no metric counts: without one an isolate reports for 24 s, and then waits.
async fn keep_awake(stack: &Stack) {
    for port in stack.edge.ports() {
        assert_eq!(http::get(port, DECLINED, &[("x-user-id", "awake")]).await.status, 402);
    }
}

/// Evaluates until the results are the truth, or long enough. Returns them.
async fn settled(stack: &Stack, truth: &Value) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        keep_awake(stack).await;
        stack.lambda.tick("evaluate").await.unwrap();
        let shown = results(&stack.management()).await;
        if figures(&shown) == *truth || Instant::now() > deadline {
            return shown;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Asserts that results are the truth, that this share of users is remembered, and that nothing was left out elsewhere.
fn assert_results(results: &Value, truth: &Value, remembered_share: f64) {
    assert_eq!(figures(results), *truth, "{results:#}");
    assert_eq!(results["remembered_share"], remembered_share);
    for nobody in ["crossed", "before_exposure", "without_room", "unknown"] {
        assert_eq!(results[nobody], 0, "{nobody}");
    }
}

/// Asserts that isolates lost nothing, and that all but their last batches came again after the first attempt.
async fn assert_reported(stack: &Stack, isolates: usize) {
    for port in stack.edge.ports() {
        let health = http::edge_health(port).await;
        let reporting = &health["reporting"];
        assert_eq!((&reporting["lost"], &reporting["users_lost"]), (&0.into(), &0.into()), "{reporting:#}");
    }
    let (first, again) = stack.ingest.attempts();
    assert!(again > 0 && first <= again + isolates as u64, "{first} batches, {again} of them came again");
}

/// An isolate holds 4,096 users of a phase, so there are many, and new ones after a while.
#[tokio::test(flavor = "multi_thread")]
async fn every_user_counts_once_through_the_worker() {
    let (waves, isolates, of_isolate) = if is_deep() { (5, 16, 2_500) } else { (1, 4, 500) };
    let of_wave = isolates * of_isolate;
    let crowd = Crowd::of(waves * of_wave).await;
    let mut stack = started(&crowd, isolates, 250_000).await;
    let began = Instant::now();
    for wave in 1..=waves {
        if wave > 1 {
            stack = stack.restart_worker().await;
            hold(&stack).await;
        }
        crowd.visit(&stack.edge.ports(), (wave - 1) * of_wave..wave * of_wave).await;
        let truth = crowd.truth(0..wave * of_wave, 0..0);
        assert_results(&settled(&stack, &truth).await, &truth, 1.0);
        assert_reported(&stack, wave * isolates).await;
    }
    // Taking everything in again changes nothing.
    let truth = crowd.truth(0..waves * of_wave, 0..0);
    for _ in 0..2 {
        stack.lambda.tick("evaluate").await.unwrap();
    }
    assert_results(&results(&stack.management()).await, &truth, 1.0);
    let (batches, took) = (stack.ingest.attempts().0, began.elapsed());
    println!("{} users, {batches} batches that failed once, in {took:.0?}: {truth}", waves * of_wave);
}

/// Returns the entries of the batches that are stored: the hashes of exposed users, and of outcomes with their metric.
fn stored(stack: &Stack) -> BTreeSet<(u64, Option<u8>)> {
    let parts = stack.dynamodb.batches().into_iter().flat_map(|batch| batch.experiments);
    let entries = parts.flat_map(|part| {
        assert_eq!(part.theta, u64::MAX, "an isolate left users out");
        let exposures = part.exposures.into_iter().map(|exposure| (exposure.user, None));
        let outcomes = part.outcomes.into_iter().map(|outcome| (outcome.user, Some(outcome.metric)));
        exposures.chain(outcomes).collect::<Vec<_>>()
    });
    entries.collect()
}

/// Waits until so many different entries are stored.
async fn wait_for_stored(stack: &Stack, entries: usize) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        keep_awake(stack).await;
        let stored = stored(stack).len();
        assert!(stored <= entries, "{stored} entries are stored, more than {entries}");
        if stored == entries {
            return;
        }
        assert!(Instant::now() < deadline, "{stored} of {entries} entries are stored");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Returns the number of entries that the figures of users make: exposures, and users with an event of each metric.
fn entries(truth: &Value) -> usize {
    let of_variant = |sums: &Value| ["users", "ordered", "buyers"].map(|field| sums[field].as_u64().unwrap());
    let all = truth.as_array().unwrap().iter().flat_map(of_variant);
    usize::try_from(all.sum::<u64>()).unwrap()
}

/// Users come in two waves, and each is folded at once. Everybody of the first one counts; then users are thinned. Of
/// the second one those count whose hash is below the bound, and of the first one the later orders of such users.
#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_bound_the_same_range_of_users_of_every_variant_counts() {
    let (isolates, half, remembered) = if is_deep() { (8, 12_000, 4_096) } else { (2, 1_000, 300) };
    let crowd = Crowd::of(2 * half).await;
    let stack = started(&crowd, isolates, remembered).await;
    let snapshot = Snapshot::decode(&stack.edge.store().get("snapshot").unwrap()).unwrap();
    let label = &snapshot.experiment_labels[&NAME.parse::<ExperimentName>().unwrap()];
    let key = ExperimentKey::parse(&label.key).unwrap();
    let hashes: Vec<u64> = (0..2 * half).map(|number| key.hash(&user(number))).collect();
    let thinned = |users: usize, mut theta: u64| {
        while hashes[..users].iter().filter(|hash| **hash < theta).count() > remembered {
            theta /= 2;
        }
        theta
    };
    let ports = stack.edge.ports();

    crowd.visit(&ports, 0..half).await;
    let first = crowd.truth(0..half, 0..0);
    wait_for_stored(&stack, entries(&first)).await;
    stack.lambda.tick("evaluate").await.unwrap();
    let theta = thinned(half, u64::MAX);
    assert!(theta < u64::MAX / 2);
    assert_results(&results(&stack.management()).await, &first, theta as f64 / HASHES);

    crowd.visit(&ports, half..2 * half).await;
    let late = || (0..half).filter(|number| number % 10 == 9);
    crowd.order(ports[0], late()).await;
    wait_for_stored(&stack, entries(&crowd.truth(0..2 * half, late()))).await;
    stack.lambda.tick("evaluate").await.unwrap();
    let is_below = |number: &usize| hashes[*number] < theta;
    let counted = || (half..2 * half).filter(is_below);
    let truth = crowd.truth((0..half).chain(counted()), late().filter(is_below));
    let last = thinned(2 * half, theta) as f64 / HASHES;
    assert_results(&results(&stack.management()).await, &truth, last);

    // The same share of every variant, as far as chance goes.
    let share = theta as f64 / HASHES;
    for variant in 0..2 {
        let of_variant = |number: &usize| crowd.variant(*number) == variant;
        let all = (half..2 * half).filter(of_variant).count() as f64;
        let (found, expected) = (counted().filter(of_variant).count() as f64, all * share);
        let chance = 6.0 * (expected * (1.0 - share)).sqrt();
        assert!((found - expected).abs() <= chance, "{found} of {all} users count, {share} of all");
    }
    assert_reported(&stack, isolates).await;
}
