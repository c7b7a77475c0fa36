//! Limiters that are slow, fail or are missing.

use super::{Limited, PATIENT, assert_limited};
use cutover_tests::http;
use std::time::{Duration, Instant};

const OPEN: &str = "  per_user: { key: user, requests: 20, period_seconds: 3600, burst: 10, mode: exact }";

#[tokio::test(flavor = "multi_thread")]
async fn a_limiter_that_does_not_answer_costs_few_requests_some_time_and_the_isolate_limits_by_itself() {
    let limited = Limited::unkind(OPEN, &[]).await;
    limited.ready().await;
    limited.limiters("slow").await;
    // A limiter may be slow for a second. Then it has failed.
    let started = Instant::now();
    let mut user = 0;
    while limited.counted("fallback").await == 0 {
        assert!(started.elapsed() < Duration::from_secs(30), "the isolate does not count by itself");
        user += 1;
        limited.get(0, &format!("early-{user}")).await;
    }
    limited.limiters("slow").await;
    let started = Instant::now();
    let (mut waited, mut longest) = (0, Duration::ZERO);
    for request in 0..200 {
        let since = Instant::now();
        // Users of their own, so that each would ask.
        assert_eq!(limited.get(0, &format!("user-{request}")).await.status, 200);
        let elapsed = since.elapsed();
        waited += u64::from(elapsed >= Duration::from_millis(25));
        longest = longest.max(elapsed);
    }
    let seconds = started.elapsed().as_secs() + 1;
    let asked = limited.limiters("slow").await.len() as u64;
    assert!(asked <= seconds, "{asked} questions in {seconds} s");
    // A busy machine makes some others slow too, but not most.
    assert!(waited <= 100 + asked, "{waited} of 200 requests waited, {asked} asked");
    assert!(longest < Duration::from_secs(5), "{longest:?} of the 10 s of an object");
    let mut admitted = 0;
    for _ in 0..30 {
        let answer = limited.get(0, "ann").await;
        admitted += usize::from(answer.status == 200);
        if answer.status != 200 {
            assert_limited(&answer, "per_user");
        }
    }
    assert_eq!(admitted, 10, "the whole limit, never none");
    assert!(limited.counted("fallback").await >= 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limiter_that_fails_is_asked_again_when_it_is_well() {
    let limited = Limited::unkind(OPEN, &[PATIENT]).await;
    limited.ready().await;
    limited.limiters("throwing").await;
    let started = Instant::now();
    for user in 0..10 {
        assert_eq!(limited.get(0, &format!("failed-{user}")).await.status, 200);
    }
    let most = 3 + started.elapsed().as_secs() as usize + 1;
    let asked = limited.limiters("kind").await.len();
    assert!(
        (3..=most).contains(&asked),
        "{asked} questions: after three failures all are left alone for a second"
    );
    assert!(limited.workerd.output().contains("limiter_failed"), "{}", limited.workerd.output());
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut user = 0;
    while limited.counted("allowed").await == 0 {
        assert!(Instant::now() < deadline, "the limiter is not asked again");
        user += 1;
        assert_eq!(limited.get(0, &format!("user-{user}")).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_policy_refuses_without_its_limiter() {
    let policy = "  per_user: { key: user, requests: 20, period_seconds: 3600, on_failure: closed }";
    let limited = Limited::unkind(policy, &[PATIENT]).await;
    limited.ready().await;
    limited.limiters("throwing").await;
    for _ in 0..5 {
        let answer = limited.get(0, "ann").await;
        assert_eq!((answer.status, answer.header("retry-after").as_deref()), (503, Some("1")));
        assert_eq!(answer.json()["code"], "limiter_unavailable");
        assert_eq!(answer.header("x-cutover-reason").as_deref(), Some("LIMITED"));
        assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
    }
    assert_eq!(limited.arrived(), 0);
    let health = http::edge_health(limited.port(0)).await;
    assert_eq!(health["outcomes"]["legacy"]["errors"], 0, "no backend failed: {health:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_the_binding_limits_each_isolate_and_says_so() {
    let policy = "  per_user: { key: user, requests: 2, period_seconds: 3600, on_failure: closed }";
    let limited = Limited::prepared(policy, "", 1, &[], |worker| worker).await;
    let statuses = [limited.get(0, "ann").await, limited.get(0, "ann").await, limited.get(0, "ann").await];
    assert_eq!(statuses.map(|answer| answer.status), [200, 200, 429]);
    let health = http::edge_health(limited.port(0)).await;
    assert_eq!(
        (&health["limits"][0]["policy"], &health["limits"][0]["limiter"]),
        (&"per_user".into(), &"absent".into())
    );
    assert_eq!(limited.workerd.output().matches("limiter_absent").count(), 1, "{}", limited.workerd.output());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platform_counts_the_limits_of_a_location() {
    let policy = "  per_address: { key: ip, requests: 3, period_seconds: 60, scope: location, binding: LIMIT_PLATFORM }";
    let limited = Limited::unkind(policy, &[PATIENT]).await;
    for _ in 0..3 {
        let answer = limited.get(0, "ann").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("ratelimit-policy").as_deref(), Some(r#""per_address";q=3;w=60"#));
        assert_eq!(answer.header("ratelimit"), None, "the platform does not tell");
    }
    let refused = limited.get(0, "ann").await;
    assert_limited(&refused, "per_address");
    assert_eq!(refused.header("retry-after").as_deref(), Some("60"));
    let asked = limited.limiters("throwing").await;
    assert!(asked.len() == 4 && asked[0].starts_with("per_address:"), "{asked:?}");
}

/// The count of an object is there again after it rested, if the burst takes longer to become whole.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_rested_remembers_what_was_taken() {
    let policy = "  per_user: { key: user, requests: 5, period_seconds: 86400, mode: exact }";
    let limited = Limited::start(policy, 2, &[PATIENT]).await;
    limited.ready().await;
    for _ in 0..5 {
        assert_eq!(limited.get(0, "ann").await.status, 200);
    }
    // Objects rest after ten seconds, and the refusal that an isolate remembers would hide what the object knows.
    tokio::time::sleep(Duration::from_secs(14)).await;
    assert_limited(&limited.get(1, "ann").await, "per_user");
}
