//! Fields and refusals that clients get.

use super::{Limited, PATIENT, assert_limited};
use cutover_tests::http;

const POLICY: &str = "  per_user: { key: user, requests: 3, period_seconds: 3600 }";

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_of_a_limited_route_says_how_much_is_left() {
    let limited = Limited::start(POLICY, 1, &[PATIENT]).await;
    for remaining in [2, 1, 0] {
        let answer = limited.get(0, "ann").await;
        assert_eq!((answer.status, answer.header("x-cutover-arm").as_deref()), (200, Some("new")));
        assert_eq!(answer.header("ratelimit-policy").as_deref(), Some(r#""per_user";q=3;w=3600"#));
        let left = answer.header("ratelimit").unwrap();
        let seconds: u64 =
            left.strip_prefix(&format!(r#""per_user";r={remaining};t="#)).unwrap().parse().unwrap();
        let expected = if remaining == 0 { 1_200 } else { 3_600 - 1_200 * remaining };
        assert!((expected - 60..=expected).contains(&seconds), "{left}");
    }
    let refused = limited.get(0, "ann").await;
    assert_limited(&refused, "per_user");
    let (retry, left) = (refused.header("retry-after").unwrap(), refused.header("ratelimit").unwrap());
    assert_eq!(left, format!(r#""per_user";r=0;t={retry}"#));
    assert_eq!(refused.header("ratelimit-policy").as_deref(), Some(r#""per_user";q=3;w=3600"#));
    assert_eq!(limited.arrived(), 3);
    // Own paths have no limit.
    assert_eq!(http::edge_health(limited.port(0)).await["limits"][0]["limited"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limits_of_a_backend_are_left_as_they_are() {
    let theirs = "RateLimit-Policy: \"theirs\";q=9;w=1\r\nRateLimit: \"theirs\";r=0;t=1\r\n";
    let prepare = |worker: cutover_tests::workerd::Worker<'static>| worker.limited_by("edge0");
    let limited = Limited::prepared(POLICY, theirs, 1, &[PATIENT], prepare).await;
    let answer = limited.get(0, "ann").await;
    let policies = answer.all("ratelimit-policy");
    assert_eq!(policies, [r#""theirs";q=9;w=1"#, r#""per_user";q=3;w=3600"#]);
    let limits = answer.all("ratelimit");
    assert_eq!((limits.len(), limits[0].as_str()), (2, r#""theirs";r=0;t=1"#));
    assert!(limits[1].starts_with(r#""per_user";r=2;t="#), "{limits:?}");
    let same = "RateLimit-Policy: \"per_user\";q=1;w=1\r\nRateLimit: \"per_user\";r=1;t=1\r\n";
    let limited = Limited::prepared(POLICY, same, 1, &[PATIENT], prepare).await;
    let answer = limited.get(0, "ann").await;
    assert_eq!(answer.all("ratelimit"), [r#""per_user";r=1;t=1"#], "the stricter one");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_limits_of_a_route_must_admit() {
    let policies = "  per_address: { key: ip, requests: 4, period_seconds: 3600 }\n  \
                    per_user: { key: user, requests: 2, period_seconds: 3600 }";
    let limited = Limited::start(policies, 1, &[PATIENT]).await;
    let first = limited.get(0, "ann").await;
    let policies = r#""per_address";q=4;w=3600, "per_user";q=2;w=3600"#;
    assert_eq!(first.header("ratelimit-policy").as_deref(), Some(policies));
    assert_eq!(limited.get(0, "ann").await.status, 200);
    // What the refused ones took from the other limit is given back, and spent by the next that are admitted.
    assert_limited(&limited.get(0, "ann").await, "per_user");
    assert_limited(&limited.get(0, "ann").await, "per_user");
    assert_eq!(limited.get(0, "bob").await.status, 200);
    assert_eq!(limited.arrived(), 3);
}
