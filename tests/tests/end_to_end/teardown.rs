//! Clients that leave. Cloudflare then ends the context of the request, unless a promise given to `waitUntil` is pending;
//! local workerd does not, so a module in front of the Worker does it, see `tests/vectors/teardown.js`.

use axum::{Json, Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use cutover_core::{measurement::answer::Answer, vocabulary::revision::Revision};
use cutover_tests::{
    gzip::plain_body,
    http, paths,
    proxied::{SingleRouteWorker, single_route},
    raw_origin::{RawOrigin, ReceivedRequest},
    workerd::{Worker, Workerd},
};
use futures_util::future::join_all;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinHandle};

const USER: (&str, &str) = ("x-user-id", "u1");

/// Milliseconds after which clients leave.
const STAY_MS: u64 = 300;

/// Time for anything that must happen, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn vector(name: &str) -> PathBuf {
    paths::root().join("tests/vectors").join(name)
}

type Batches = Arc<Mutex<BTreeMap<u64, Value>>>;

/// The control plane, as far as an isolate sees it: it stores batches by their number.
pub(super) struct Ingest {
    url: String,
    batches: Batches,
    server: JoinHandle<()>,
}

async fn store(State(batches): State<Batches>, headers: HeaderMap, body: Bytes) -> Json<Answer> {
    let batch: Value = serde_json::from_slice(&plain_body(&headers, &body)).unwrap();
    let sequence = batch["sequence"].as_u64().unwrap();
    let duplicate = batches.lock().unwrap().insert(sequence, batch).is_some();
    Json(Answer { duplicate, ..Answer::at(Revision(1)) })
}

impl Ingest {
    pub(super) async fn start() -> Self {
        let batches = Batches::default();
        let app = Router::new()
            .route("/v1/batches", post(store))
            .route("/v1/questions", post(|| async { Json(Answer::at(Revision(1))) }))
            .with_state(Arc::clone(&batches));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, batches, server }
    }

    pub(super) fn url(&self) -> String {
        self.url.clone()
    }

    /// Adds up a number over all entries of a list in all batches.
    fn sum(&self, list: &str, number: impl Fn(&Value) -> u64) -> u64 {
        let batches = self.batches.lock().unwrap();
        batches.values().filter_map(|batch| batch[list].as_array()).flatten().map(number).sum()
    }

    /// Returns the requests that were decided for a reason, and those of them that count as errors of a server.
    pub(super) fn decided(&self, reason: &str) -> [u64; 2] {
        ["requests", "server_errors"].map(|name| self.counted(reason, name))
    }

    /// Returns the requests that were decided for a reason, and whose clients left.
    pub(super) fn gave_up(&self, reason: &str) -> u64 {
        self.counted(reason, "gave_up")
    }

    /// Adds up a number over the cells of a reason.
    fn counted(&self, reason: &str, name: &str) -> u64 {
        self.sum("cells", |cell| {
            let number = cell["counts"][name].as_u64().unwrap_or_default();
            if cell["reason"] == reason { number } else { 0 }
        })
    }

    /// Returns the number of requests of the new arm that had no response in time.
    fn timeouts_of_new(&self) -> u64 {
        self.sum("cells", |cell| {
            if cell["arm"] == "new" { cell["counts"]["timeouts"].as_u64().unwrap_or_default() } else { 0 }
        })
    }

    /// Returns the number of requests whose two responses were compared.
    pub(super) fn compared(&self) -> u64 {
        self.sum("comparisons", |window| window["compared"].as_u64().unwrap())
    }

    /// Returns the number of requests that were not compared for a reason.
    pub(super) fn skipped(&self, reason: &str) -> u64 {
        self.sum("comparisons", |window| {
            let skipped = window["skipped"].as_array().into_iter().flatten();
            skipped.filter(|pair| pair[0] == reason).map(|pair| pair[1].as_u64().unwrap()).sum()
        })
    }

    /// Returns true if the newest batch says that no request was open.
    pub(super) fn is_at_rest(&self) -> bool {
        self.batches.lock().unwrap().values().next_back().is_some_and(|batch| batch["open"] == 0)
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// An origin that does not answer on `/hang`, nor shadows on `/shadow`.
async fn origin() -> RawOrigin {
    RawOrigin::start(|mut received: ReceivedRequest| async move {
        let is_shadow = !received.header("x-cutover-shadow").is_empty();
        if received.target() == "/hang" || (received.target() == "/shadow" && is_shadow) {
            tokio::time::sleep(Duration::from_secs(30)).await;
            return;
        }
        let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 7\r\n\
                      connection: close\r\n\r\n{\"a\":1}";
        let _ = received.socket.write_all(answer.as_bytes()).await;
    })
    .await
}

/// The Worker behind the module that ends contexts, between two origins.
struct Watched {
    worker: SingleRouteWorker,
    ingest: Ingest,
    _new: RawOrigin,
    _legacy: RawOrigin,
}

impl Watched {
    /// Starts it with a rollout in percent, a time limit of both origins, and further fields of the route.
    async fn start(rollout: u32, timeout_ms: u32, route: &str) -> Self {
        let (legacy, new, ingest) = (origin().await, origin().await, Ingest::start().await);
        let flag = format!("enabled: true, rollout_percentage: {rollout}");
        let text = single_route(&legacy.url(), &new.url(), timeout_ms, &flag, route);
        let (legacy_url, ingest_url) = (legacy.url(), ingest.url());
        let variables = [
            ("LEGACY_ORIGIN", legacy_url.as_str()),
            ("INGEST_URL", ingest_url.as_str()),
            ("CUTOVER_INGEST_SECRET", "secret-of-the-teardown-test"),
            ("REPORT_INTERVAL_MS", "200"),
        ];
        let worker = SingleRouteWorker::prepared(&text, &variables, |worker| {
            worker.behind("teardown.mjs", &vector("teardown.js")).flagged("nodejs_als")
        })
        .await;
        let watched = Self { worker, ingest, _new: new, _legacy: legacy };
        // An isolate has its snapshot from here on.
        watched.get("/ok").await;
        watched.rests().await;
        watched
    }

    fn port(&self) -> u16 {
        self.worker.port()
    }

    async fn get(&self, path: &str) {
        let answer = http::get(self.port(), path, &[USER]).await;
        assert_eq!(answer.status, 200, "{path}");
    }

    /// Waits until no request is open, and everything that was counted is stored.
    async fn rests(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let reporting = http::edge_health(self.port()).await["reporting"].clone();
            let is_stored = (&reporting["pending"], &reporting["cells"]) == (&false.into(), &0.into());
            if is_stored && self.ingest.is_at_rest() {
                return;
            }
            assert!(Instant::now() < deadline, "the isolate does not rest: {reporting:#}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Sends a request, and disconnects before it is answered.
async fn leave(port: u16, path: &str) {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (name, user) = USER;
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: h\r\n{name}: {user}\r\nx-client-leaves-after: {STAY_MS}\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(STAY_MS)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_whose_clients_leave_a_hanging_backend_are_timeouts_of_it() {
    const CLIENTS: u64 = 30;
    // All have begun before the first one fails, after which some would be diverted.
    let edge = Watched::start(100, 1_500, "").await;
    join_all((0..CLIENTS).map(|_| leave(edge.port(), "/hang"))).await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let health = http::edge_health(edge.port()).await;
        let counted = &health["outcomes"];
        // The first request of all was answered. Legacy is asked after the new backend, for clients that are gone.
        let is_complete = counted["new"]["requests"] == CLIENTS + 1
            && counted["new"]["errors"] == CLIENTS
            && counted["legacy"]["requests"] == CLIENTS;
        if is_complete {
            break;
        }
        assert!(Instant::now() < deadline, "{health:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    while edge.ingest.timeouts_of_new() < CLIENTS {
        assert!(Instant::now() < deadline, "{:#?}", edge.ingest.batches.lock().unwrap());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(edge.ingest.timeouts_of_new(), CLIENTS);
    edge.rests().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn comparisons_whose_clients_leave_give_back_their_slots() {
    let compare = ", compare: { sample: 100, noise: 0, per_minute: 1000, concurrency: 4, timeout_ms: 1000 }";
    let edge = Watched::start(0, 1_500, compare).await;
    // Nobody gets a response from legacy, and then the other backend does not answer.
    for path in ["/hang", "/shadow"] {
        edge.rests().await;
        let before = edge.ingest.compared();
        join_all((0..8).map(|_| leave(edge.port(), path))).await;
        let deadline = Instant::now() + PATIENCE;
        while edge.ingest.compared() == before {
            assert!(Instant::now() < deadline, "nothing is compared any more after {path}");
            edge.get("/ok").await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        println!(
            "after {path}: {} skipped for others under way, {} for time",
            edge.ingest.skipped("concurrency"),
            edge.ingest.skipped("timeout")
        );
    }
    assert!(edge.ingest.skipped("concurrency") > 0, "all slots were never in use");
}

/// Asks the Worker that counts without `waitUntil` how many of its requests have ended.
async fn counted(port: u16) -> u64 {
    http::get(port, "/counted", &[]).await.json().as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_does_not_wait_for_its_requests_loses_them_here() {
    const CLIENTS: u64 = 5;
    let backend = RawOrigin::start(|mut received: ReceivedRequest| async move {
        tokio::time::sleep(Duration::from_millis(800)).await;
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        let _ = received.socket.write_all(answer.as_bytes()).await;
    })
    .await;
    let worker = Worker::javascript("forgetful", &vector("teardown.js"))
        .importing("shim.mjs", &vector("forgetful.js"))
        .flagged("nodejs_als")
        .with("BACKEND", backend.url());
    let workerd = Workerd::start(&[worker]);
    let port = workerd.port("forgetful");
    let mut expected = 0;
    for path in ["/timer", "/fetch"] {
        // Clients that stay are counted, and so are those that leave if the context is kept.
        for answer in join_all((0..CLIENTS).map(|_| http::get(port, path, &[]))).await {
            assert_eq!(answer.status, 200);
        }
        expected += CLIENTS;
        assert_eq!(counted(port).await, expected, "{path}");
        let kept = format!("{path}/kept");
        join_all((0..CLIENTS).map(|_| leave(port, &kept))).await;
        expected += CLIENTS;
        let deadline = Instant::now() + PATIENCE;
        while counted(port).await < expected {
            assert!(Instant::now() < deadline, "{kept}: {} of {expected}", counted(port).await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        join_all((0..CLIENTS).map(|_| leave(port, path))).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(counted(port).await, expected, "{path} was counted without its client");
    }
}
