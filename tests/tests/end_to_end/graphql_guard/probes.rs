//! A request that is decided as the probe of a failing backend and then refused.

use super::USER;
use cutover_tests::{
    http,
    proxied::{SingleRouteWorker, single_route},
    raw_origin::{RawOrigin, ReceivedRequest},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::io::AsyncWriteExt;

const GOOD: &str = "/graphql?query=%7Ba%7D";
const REFUSED: &str = "/graphql";

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_probe_leaves_its_place_to_the_next_request() {
    let is_well = Arc::new(AtomicBool::new(false));
    let health = Arc::clone(&is_well);
    let new = RawOrigin::start(move |mut received: ReceivedRequest| {
        let status = if health.load(Ordering::SeqCst) { "200 OK" } else { "503 Sorry" };
        async move {
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let _ = received.socket.write_all(answer.as_bytes()).await;
        }
    })
    .await;
    // Nobody else gives the place of a probe back before this time limit.
    let yaml = single_route(
        "http://127.0.0.1:9",
        &new.url(),
        60_000,
        "enabled: true, rollout_percentage: 100",
        ", guard: {}, fallback: never",
    );
    let edge = SingleRouteWorker::configured(&yaml, &[("DECISION_HEADERS", "arm,reason")]).await;
    let get = async |target: &str| http::get(edge.port(), target, &[USER]).await;
    for _ in 0..5 {
        assert_eq!(get(GOOD).await.status, 503);
    }
    is_well.store(true, Ordering::SeqCst);
    let deadline = Instant::now() + Duration::from_secs(40);
    while edge.health().await["origins"][0]["circuit"] != "half_open" {
        assert!(Instant::now() < deadline, "the backend is not probed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Only the first one is a probe, and no backend gets it.
    assert_eq!(get(REFUSED).await.status, 400);
    let next = get(GOOD).await;
    assert_eq!((next.status, next.header("x-cutover-reason").as_deref()), (200, Some("ROLLOUT")));
}
