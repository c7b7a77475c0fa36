//! How often an isolate reads KV, and what it does while it waits.

use super::teardown::Ingest;
use cutover_tests::{
    bench::{edge::snapshot, load},
    http,
    kv_server::KvServer,
    workerd::{Worker, Workerd},
};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn one_read_per_soft_ttl_whatever_the_request_rate() {
    let origin = format!("http://127.0.0.1:{}", load::start_origin().await);
    let kv = KvServer::holding(&snapshot(10, 1, &origin)).await;
    let workerd = Workerd::start(&[Worker::edge("edge", kv.port()).with("SNAPSHOT_SOFT_TTL_MS", "500")]);
    let started = Instant::now();
    let rate = load::run(workerd.port("edge"), 16, Duration::from_secs(3), 1_000).await;
    let allowed = 1 + (started.elapsed().as_millis() / 500) as u64;
    println!("{} reads of {allowed} allowed, {rate:.0} requests a second", kv.reads());
    assert!(kv.reads() <= allowed && kv.reads() >= allowed / 2, "{} reads, {allowed} allowed", kv.reads());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_first_requests_share_one_read() {
    let origin = format!("http://127.0.0.1:{}", load::start_origin().await);
    let kv = KvServer::holding(&snapshot(1_000, 1, &origin)).await;
    let worker = Worker::edge("edge", kv.port()).with("DECISION_HEADERS", "arm,reason,revision");
    let workerd = Workerd::start(&[worker]);
    let port = workerd.port("edge");
    let first: Vec<_> = (0..32)
        .map(|_| {
            tokio::spawn(
                async move { http::get(port, "/api/v1/reviews/1", &[("x-user-id", "user-123")]).await },
            )
        })
        .collect();
    for answer in first {
        let answer = answer.await.unwrap();
        assert_eq!(answer.header("x-cutover-reason").as_deref(), Some("WHITELISTED"));
        assert_eq!(answer.header("x-cutover-revision").as_deref(), Some("1"));
    }
    assert_eq!(kv.reads(), 1);
}

/// M5: the control plane says with each answer that the snapshot is the newest one.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_reads_kv_while_the_control_plane_confirms_the_snapshot() {
    let origin = format!("http://127.0.0.1:{}", load::start_origin().await);
    let (confirmed, lost) = (
        KvServer::holding(&snapshot(10, 1, &origin)).await,
        KvServer::holding(&snapshot(10, 1, &origin)).await,
    );
    let ingest = Ingest::start().await;
    let worker = |name, kv: &KvServer, url: &str| {
        Worker::edge(name, kv.port())
            .with("SNAPSHOT_SOFT_TTL_MS", "500")
            .with("INGEST_URL", url)
            .with("CUTOVER_INGEST_SECRET", "secret-of-the-freshness-test")
            .with("REPORT_INTERVAL_MS", "200")
    };
    let workers =
        [worker("confirmed", &confirmed, &ingest.url()), worker("lost", &lost, "http://127.0.0.1:9")];
    let workerd = Workerd::start(&workers);
    // The control plane answers the first report of a busy machine before the load begins.
    http::get(workerd.port("confirmed"), "/api/v1/reviews/1", &[("x-user-id", "user-123")]).await;
    let deadline = Instant::now() + Duration::from_secs(60);
    while !ingest.is_at_rest() {
        assert!(Instant::now() < deadline, "nothing is reported");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for name in ["confirmed", "lost"] {
        load::run(workerd.port(name), 16, Duration::from_secs(3), 1_000).await;
    }
    // The first one, and one more if the load came before the answer.
    assert!(confirmed.reads() <= 2, "{} reads", confirmed.reads());
    assert!(lost.reads() > 3, "KV is read while questions fail: {} reads", lost.reads());
}
