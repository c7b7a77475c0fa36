//! A flood of requests at the management function, whose instances are all busy: emergencies have another way.

use cutover_tests::{
    command::cutover_at,
    fault_proxy::FaultProxy,
    functions::{ManagementServer, connected},
    stack::{Options, Stack},
};
use serde_json::Value;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// Requests a second that one reserved instance of management takes.
const LIMIT: usize = 10;

/// Callers of the flood, side by side.
const CALLERS: usize = 8;

/// Time within which a command comes through. A busy machine takes seconds to start one.
const PROMPT: Duration = Duration::from_secs(10);

/// Callers with a token that nobody knows, until they are dropped.
struct Flood {
    refused: Arc<AtomicU64>,
    _callers: JoinSet<()>,
}

impl Flood {
    fn start(url: &str) -> Self {
        let refused = Arc::new(AtomicU64::new(0));
        let mut callers = JoinSet::<()>::new();
        for _ in 0..CALLERS {
            let (url, refused) = (format!("{url}/api/migration/flags"), Arc::clone(&refused));
            callers.spawn(async move {
                let client = reqwest::Client::new();
                loop {
                    let sent = client.get(&url).bearer_auth("ctv_a-guess").send().await;
                    if sent.is_ok_and(|response| response.status() == 429) {
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            });
        }
        Self { refused, _callers: callers }
    }

    fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Waits until management refuses nearly everything.
    async fn rise(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.refused() < 20 * LIMIT as u64 {
            assert!(Instant::now() < deadline, "{} requests were refused", self.refused());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// C4: a hundred requests a second from one laptop took the kill switch from its operators.
#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_is_declared_and_cleared_while_management_is_flooded() {
    let stack = Stack::start(Options::default()).await;
    stack.management().apply(&stack.dev_configuration()).await.expect(200);
    // The function for emergencies: the same program over the same table, with instances of its own.
    let kv = stack.edge.kv_api();
    let variables = [("CUTOVER_EMERGENCY_ONLY", "true"), ("CUTOVER_KV_API", kv.as_str())];
    let emergency = ManagementServer::start(connected(&stack.dynamodb.url(), &variables)).await;
    let own = format!("http://{}", emergency.address);

    let behind = stack.lambda.url("management");
    let (_, rest) = behind.split_once("//").unwrap();
    let (address, path) = rest.split_once('/').unwrap();
    let limited = FaultProxy::start(address.parse().unwrap()).await;
    limited.rps_limit(Some(LIMIT));
    let management = format!("{}/{path}", limited.url());
    let flood = Flood::start(&management);
    flood.rise().await;

    let in_force =
        async || stack.management().get("/status").await.expect(200).body["emergency"] != Value::Null;
    assert!(!in_force().await);
    let before = flood.refused();
    let begun = Instant::now();
    let done = cutover_at(&management, &["emergency-rollback", "a flood", "--emergency-url", &own]).await;
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(begun.elapsed() < PROMPT, "{:?}", begun.elapsed());
    assert!(done.err.contains(&format!("{own} made the change")), "{}", done.err);
    assert!(in_force().await);

    // The way that is tried first may be the one that is flooded.
    let begun = Instant::now();
    let done = cutover_at(&own, &["emergency-clear", "it is over", "--emergency-url", &management]).await;
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(begun.elapsed() < PROMPT, "{:?}", begun.elapsed());
    assert!(!in_force().await);
    assert!(flood.refused() > before, "the flood was over before");
}
