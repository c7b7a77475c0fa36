//! The requests that are admitted in all isolates together.

use super::{Limited, PATIENT, assert_limited};
use cutover_tests::http;
use futures_util::{StreamExt, stream};
use std::time::Duration;

/// Sends requests of one user to four isolates, as many at once as the machine can hold. Returns those that were admitted.
async fn flood(limited: &Limited, requests: usize) -> usize {
    let answers = stream::iter(0..requests).map(|request| limited.get(request, "ann"));
    let statuses: Vec<u16> = answers.buffer_unordered(400).map(|answer| answer.status).collect().await;
    let of = |status: u16| statuses.iter().filter(|held| **held == status).count();
    assert_eq!(of(200) + of(429), requests, "{statuses:?}");
    of(200)
}

/// The refill of a day is slow enough that no token comes back meanwhile.
const DAY: &str = "requests: 100, period_seconds: 86400";

#[tokio::test(flavor = "multi_thread")]
async fn exactly_100_of_2_000_concurrent_requests_are_admitted_in_exact_mode() {
    let policy = format!("  per_user: {{ key: user, {DAY}, mode: exact }}");
    let limited = Limited::start(&policy, 4, &[PATIENT]).await;
    limited.ready().await;
    assert_eq!(flood(&limited, 2_000).await, 100);
    assert_eq!((limited.arrived(), limited.counted("allowed").await), (100, 100));
    assert_eq!(limited.counted("limited").await, 1_900);
    assert_eq!(limited.counted("fallback").await, 0);
    assert_eq!(limited.get(0, "bob").await.status, 200, "another user");
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_admit_95_to_100_of_2_000_concurrent_requests_and_never_more() {
    let policy = format!("  per_user: {{ key: user, {DAY} }}");
    let limited = Limited::start(&policy, 4, &[PATIENT]).await;
    limited.ready().await;
    let admitted = flood(&limited, 2_000).await;
    assert!((95..=100).contains(&admitted), "{admitted} of 2 000");
    assert_eq!(limited.arrived(), admitted);
    let asked = limited.counted("asked").await;
    assert!(asked <= 200, "{asked} questions for 2 000 requests");
}

/// With the patience of the platform, on limiters that need much of it or more: whoever comes too late is refused, and
/// never admitted by the isolate itself.
#[tokio::test(flavor = "multi_thread")]
async fn slow_limiters_admit_no_more_than_the_limit() {
    for mode in ["exact", "lease"] {
        let limited =
            Limited::unkind(&format!("  per_user: {{ key: user, {DAY}, mode: {mode} }}"), &[]).await;
        limited.ready().await;
        for (user, delay) in [("ann", 5), ("bob", 10), ("cat", 20), ("dan", 100)] {
            limited.limiters(&format!("late&delay={delay}")).await;
            let answers = stream::iter(0..400).map(|_| limited.get(0, user));
            let statuses: Vec<u16> =
                answers.buffer_unordered(200).map(|answer| answer.status).collect().await;
            let of = |status: u16| statuses.iter().filter(|held| **held == status).count();
            assert_eq!(of(200) + of(429), 400, "{mode}, {delay} ms: {statuses:?}");
            assert!(of(200) <= 100, "{mode}, {delay} ms: {} admitted", of(200));
        }
        assert_eq!(limited.counted("fallback").await, 0, "{mode}: it is slow, and has not failed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn four_isolates_with_the_default_patience_admit_no_more_than_the_limit() {
    for mode in ["exact", "lease"] {
        let policy = format!("  per_user: {{ key: user, {DAY}, mode: {mode} }}");
        let limited = Limited::start(&policy, 4, &[]).await;
        limited.ready().await;
        let admitted = flood(&limited, 2_000).await;
        assert!(admitted <= 100, "{mode}: {admitted} of 2 000");
        assert_eq!(limited.counted("fallback").await, 0, "{mode}");
    }
}

/// A fixed window admits twice the limit around its boundary. Here each further request costs its interval.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_admitted_over_a_boundary() {
    let limited = Limited::start(
        "  per_user: { key: user, requests: 20, period_seconds: 2, mode: exact }",
        2,
        &[PATIENT],
    )
    .await;
    limited.ready().await;
    let started = std::time::Instant::now();
    let mut admitted = 0;
    while started.elapsed() < Duration::from_secs(5) {
        let statuses =
            futures_util::future::join_all((0..8).map(|request| limited.get(request, "ann"))).await;
        admitted += statuses.iter().filter(|answer| answer.status == 200).count();
        // By the longest time that the limiter can have seen: 20 at once, and 10 in a second.
        let most = 20 + started.elapsed().as_millis() as usize / 100 + 1;
        assert!(admitted <= most, "{admitted} of at most {most}");
    }
    assert!(admitted >= 40, "{admitted}: tokens come back");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_as_told_is_admitted() {
    let limited =
        Limited::start("  per_user: { key: user, requests: 1, period_seconds: 1 }", 1, &[PATIENT]).await;
    limited.ready().await;
    let tries = (0..200).map(|user| {
        let limited = &limited;
        async move {
            let user = format!("user-{user}");
            assert_eq!(limited.get(0, &user).await.status, 200);
            let refused = limited.get(0, &user).await;
            if refused.status == 200 {
                // So slow that the token was back.
                return 1;
            }
            assert_limited(&refused, "per_user");
            let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
            assert_eq!(seconds, 1);
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            usize::from(limited.get(0, &user).await.status == 200)
        }
    });
    let admitted: usize = stream::iter(tries).buffer_unordered(50).collect::<Vec<_>>().await.iter().sum();
    assert_eq!(admitted, 200);
}

/// A user with some hundred requests in a second is asked about for one of ten at most.
#[tokio::test(flavor = "multi_thread")]
async fn most_requests_of_a_busy_key_ask_nobody() {
    let limited =
        Limited::start("  per_user: { key: user, requests: 100000, period_seconds: 10 }", 1, &[PATIENT])
            .await;
    limited.ready().await;
    let clients = (0..4).map(|_| async {
        let mut connection = http::Connection::open(limited.port(0)).await;
        for _ in 0..300 {
            assert_eq!(connection.get("/api", &[("x-user-id", "ann")]).await.status, 200);
        }
    });
    futures_util::future::join_all(clients).await;
    let (allowed, asked) = (limited.counted("allowed").await, limited.counted("asked").await);
    assert_eq!((allowed, limited.counted("fallback").await), (1_200, 0));
    assert!(asked * 100 <= allowed * 15, "{asked} questions for {allowed} requests");
}
