//! Floods of hostile requests: the memory of the isolate (V8's heap and buffers, and the core's) and of the runtime stays
//! bounded, and other requests of the isolate do not stall.
//! The same flood goes through a Worker that only forwards, which tells what it costs in any case.

mod alone;

use super::teardown::Ingest;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::Uri,
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use cutover_core::{
    PartsPerMillion, config::Config, measurement::label::CanaryLabel, vocabulary::revision::Revision,
};
use cutover_tests::{
    http::{Connection, edge_health},
    identity_provider::{AUDIENCE, ISSUER, IdentityProvider, Key},
    inspector::Inspector,
    is_deep,
    kv_server::KvServer,
    paths,
    server::Server,
    workerd::{Worker, Workerd},
};
use futures_util::stream;
use jsonwebtoken::Algorithm;
use std::{
    convert::Infallible,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinHandle,
};

const YAML: &str = r#"
feature_flags:
  half: { enabled: true, rollout_percentage: 50 }
  everything: { enabled: true, rollout_percentage: 100 }
origins:
  old: { url: "LEGACY", timeout_ms: 20000 }
  new: { url: "NEW", timeout_ms: 20000 }
adapters:
  up:
    routes:
      - match: { method: POST, path: /up }
        backend: { method: POST, path: /v2/up }
        variables: { name: body.name }
        headers: { x-name: "{body.name}" }
routes:
  - { id: tokens, match: { path: /tokens }, flag: half, legacy: old, new: new, identity: ["jwt", "header:x-user-id"] }
  - { id: up, match: { path: /up }, flag: everything, legacy: old, new: new, adapt: [up] }
  - { id: users, match: { path: /users }, flag: half, legacy: old, new: new, identity: ["cookie:session"] }
  - { id: compared, match: { path: "/compared/{kind}" }, flag: half, legacy: old, new: new,
      compare: { sample: 100, noise: 0, per_minute: 1000000, max_bytes: 1000000 } }
  - { id: inspected, match: { path: "/inspected/{kind}" }, flag: half, legacy: old, new: new, error_when: { path: errors } }
"#;

/// Most that a flood may add to the resident memory, beyond what it adds to that of the Worker that only forwards.
const MAX_GROWN_KILOBYTES: u64 = 96 * 1024;
/// Most memory of the core after a flood, in KB.
const MAX_CORE_KILOBYTES: u64 = 48 * 1024;

/// Most memory of the isolate during and after a flood, without garbage: V8's heap, the buffers outside it and the core's
/// memory, in KB. The platform ends an isolate at 128 MB.
const MAX_ISOLATE_KILOBYTES: u64 = 96 * 1024;

/// Time between two looks at the memory of a Worker.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Looks at the memory for each one that is taken without garbage. A collection holds up other requests, so fewer than half of
/// the seconds may have one: the middle one of their longest waits counts.
const LOOKS_PER_COLLECTION: usize = 15;

/// Most milliseconds for which another request may wait, beyond its wait in the Worker that only forwards. It is the
/// middle one of the longest waits of each second: a single one may be the machine's.
const MAX_STALL_MS: f64 = 50.0;

/// Names in each object that is compared.
const NAMES: usize = 16_000;

fn object(prefix: &str) -> String {
    let fields: Vec<String> = (0..NAMES).map(|name| format!("\"{prefix}{name}\":{name}")).collect();
    format!("{{{}}}", fields.join(","))
}

/// What a backend answers, by the last part of the path.
#[derive(Clone)]
struct Answers {
    equal: Bytes,
    disjoint: Bytes,
    large: Bytes,
}

/// Bytes of a large response, and of each part of one whose length is not announced.
const LARGE: usize = 3 << 20;
const PART: usize = 16 << 10;

async fn answer(State(answers): State<Answers>, uri: Uri, _body: Bytes) -> Response {
    let json = |body: Bytes| ([("content-type", "application/json")], body).into_response();
    match uri.path().rsplit('/').next().unwrap_or_default() {
        "up" => {
            tokio::time::sleep(Duration::from_secs(5)).await;
            json(Bytes::from_static(b"{}"))
        }
        "equal" => json(answers.equal),
        "disjoint" => json(answers.disjoint),
        "large" => json(answers.large),
        "streamed" => {
            let parts =
                (0..LARGE / PART).map(move |part| answers.large.slice(part * PART..(part + 1) * PART));
            let body = Body::from_stream(stream::iter(parts.map(Ok::<_, Infallible>)));
            ([("content-type", "application/json")], body).into_response()
        }
        _ => json(Bytes::from_static(b"{\"ok\":true}")),
    }
}

async fn start_backend(name: &str) -> Server {
    let large = format!("{{\"text\":\"{}\"}}", "x".repeat(LARGE - 11)).into();
    let answers = Answers { equal: object("name").into(), disjoint: object(name).into(), large };
    Server::start(Router::new().fallback(answer).with_state(answers)).await
}

/// Our Worker and the one that only forwards, each in a process of its own.
struct Workers {
    ours: Workerd,
    bare: Workerd,
    ingest: Ingest,
    _store: KvServer,
    _provider: IdentityProvider,
    _backends: [Server; 2],
}

impl Workers {
    async fn start() -> Self {
        let (legacy, new) = (start_backend("legacy").await, start_backend("new").await);
        let provider = IdentityProvider::start(&[&Key::new("ec", Algorithm::ES256)]).await;
        let ingest = Ingest::start().await;
        let text = YAML.replace("LEGACY", &legacy.url()).replace("NEW", &new.url());
        let config = Config::from_yaml(&text).unwrap_or_else(|problems| panic!("{problems:?}"));
        let mut snapshot = config.snapshot(Revision(1), None);
        // While a canary runs its users are remembered.
        let label = CanaryLabel {
            run: "r1".parse().unwrap(),
            step: 0,
            slow_success_ms: 100,
            slow_rollback_ms: 200,
            routes: Default::default(),
            key: Some("0".repeat(32)),
            share: PartsPerMillion::of_percent(50),
        };
        snapshot.canaries.insert("half".parse().unwrap(), label);
        let store = KvServer::holding(&snapshot).await;
        let ours = Worker::edge("edge", store.port())
            .with("LEGACY_ORIGIN", legacy.url())
            .with("INGEST_URL", ingest.url())
            .with("CUTOVER_INGEST_SECRET", "secret-of-the-hostile-test")
            .with("REPORT_INTERVAL_MS", "500")
            .with("JWT_JWKS_URL", provider.url())
            .with("JWT_ISSUER", ISSUER)
            .with("JWT_AUDIENCE", AUDIENCE);
        let bare = Worker::javascript("edge", &paths::root().join("tests/vectors/bare.js"))
            .with("BACKEND", legacy.url());
        Self {
            ours: Workerd::inspected(&[ours]),
            bare: Workerd::inspected(&[bare]),
            ingest,
            _store: store,
            _provider: provider,
            _backends: [legacy, new],
        }
    }
}

/// The requests of a flood, dealt out to its clients.
#[derive(Clone)]
struct Turns {
    dealt: Arc<AtomicU64>,
    requests: u64,
    earliest_end: Instant,
    latest_end: Instant,
}

impl Turns {
    /// Deals out the given number of requests, in a deep run a minute of them, and none after another minute.
    fn new(requests: u64) -> Self {
        let seconds = if is_deep() { 60 } else { 3 };
        let now = Instant::now();
        let minute = Duration::from_secs(60);
        let earliest_end = now + Duration::from_secs(seconds);
        Self { dealt: Arc::default(), requests, earliest_end, latest_end: earliest_end + minute }
    }

    /// Returns the number of the next request, or `None` if the flood is over.
    fn next(&self) -> Option<u64> {
        let (now, number) = (Instant::now(), self.dealt.fetch_add(1, Ordering::Relaxed));
        let is_enough = number >= self.requests && now >= self.earliest_end;
        (!is_enough && now < self.latest_end).then_some(number)
    }
}

/// A request over and over again beside a flood, which is answered without any backend.
struct Probe {
    is_over: Arc<AtomicBool>,
    waits: JoinHandle<Vec<f64>>,
}

const PROBED: &str = "/_cutover/health";

impl Probe {
    fn start(port: u16) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let waits = tokio::spawn(async move {
            let mut connection = Connection::open(port).await;
            let begun = Instant::now();
            let mut longest = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let sent = Instant::now();
                assert_eq!(connection.get(PROBED, &[]).await.status, 200);
                let waited = sent.elapsed();
                // It is a wait of every second in which it went on.
                let second = |time: Duration| usize::try_from(time.as_secs()).unwrap();
                let (first, last) = (second(sent - begun), second(sent + waited - begun));
                if longest.len() <= last {
                    longest.resize(last + 1, 0.0);
                }
                for held in &mut longest[first..=last] {
                    *held = f64::max(*held, waited.as_secs_f64() * 1_000.0);
                }
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
            longest
        });
        Self { is_over, waits }
    }

    /// Returns the longest wait of each second, in milliseconds.
    async fn stop(self) -> Vec<f64> {
        self.is_over.store(true, Ordering::Relaxed);
        self.waits.await.expect("every request of the probe is answered")
    }
}

/// The most memory that was found in looks at a Worker and its process, in KB.
#[derive(Debug, Default)]
struct Peak {
    /// V8's heap and the buffers outside it, without garbage.
    in_use: u64,
    /// V8's heap, with its garbage and free space. The runtime here has no limit of memory that makes V8 collect sooner.
    heap: u64,
    /// The process.
    resident: u64,
}

impl Peak {
    /// Looks at the memory, without garbage if that is wanted.
    async fn look(&mut self, inspector: &mut Inspector, workerd: Watched, is_collected: bool) {
        self.resident = self.resident.max(resident_kilobytes(workerd.id));
        self.heap = self.heap.max(inspector.heap().await.total / 1024);
        if is_collected {
            inspector.collect_garbage(workerd.port, PROBED).await;
            self.in_use = self.in_use.max(inspector.heap().await.in_use() / 1024);
        }
    }
}

/// A Worker whose memory is looked at: its port, and the id of its process.
#[derive(Clone, Copy)]
struct Watched {
    port: u16,
    id: u32,
}

/// A look at the memory of a Worker over and over again beside a flood.
struct MemoryWatch {
    is_over: Arc<AtomicBool>,
    peak: JoinHandle<Peak>,
}

impl MemoryWatch {
    fn start(mut inspector: Inspector, workerd: Watched) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let peak = tokio::spawn(async move {
            let mut peak = Peak::default();
            for number in 0.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                // The first collection is in the middle of a short flood.
                let is_collected = number % LOOKS_PER_COLLECTION == LOOKS_PER_COLLECTION / 2;
                peak.look(&mut inspector, workerd, is_collected).await;
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            peak.look(&mut inspector, workerd, true).await;
            peak
        });
        Self { is_over, peak }
    }

    /// Returns the peak, the memory after the flood included.
    async fn stop(self) -> Peak {
        self.is_over.store(true, Ordering::Relaxed);
        self.peak.await.expect("the inspector answers")
    }
}

/// Results of a flood.
struct Effect {
    /// Resident memory after the flood, beyond that before it.
    grown_kilobytes: u64,
    /// The most resident memory during the flood, beyond that before it.
    peak_grown_kilobytes: u64,
    /// V8's heap and the buffers outside it, without garbage, at their largest.
    in_use_kilobytes: u64,
    median_ms: f64,
}

fn resident_kilobytes(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Sends ordinary requests, so that the flood does not pay for the start.
async fn warm_up(port: u16) {
    let mut connection = Connection::open(port).await;
    for number in 0..150 {
        let user = format!("user-{number}");
        let cookie = format!("session={user}");
        for path in ["/tokens", "/users", PROBED] {
            let answer = connection.get(path, &[("x-user-id", &user), ("cookie", &cookie)]).await;
            assert_eq!(answer.status, 200, "{path}");
        }
    }
}

/// Sends a flood through one Worker. `client` sends requests until no turn is left; it is called with its own number.
async fn flood<C, F>(name: &str, workerd: &Workerd, clients: u64, requests: u64, client: C) -> Effect
where
    C: Fn(u64, u16, Turns) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let port = workerd.port("edge");
    warm_up(port).await;
    let before = resident_kilobytes(workerd.id());
    let watch = MemoryWatch::start(workerd.inspect("edge").await, Watched { port, id: workerd.id() });
    let probe = Probe::start(port);
    let turns = Turns::new(requests);
    let begun = Instant::now();
    let running: Vec<_> = (0..clients).map(|own| tokio::spawn(client(own, port, turns.clone()))).collect();
    for client in running {
        client.await.expect("the Worker answers");
    }
    // Each client has been refused one turn.
    let sent = turns.dealt.load(Ordering::Relaxed) - clients;
    let took = begun.elapsed();
    let mut longest = probe.stop().await;
    let grown_kilobytes = resident_kilobytes(workerd.id()).saturating_sub(before);
    println!("{name}: {sent} requests in {took:.1?}, {grown_kilobytes} KB more than {before} KB");
    println!("{name}: longest wait of each second in ms: {longest:.1?}");
    let peak = watch.stop().await;
    println!("{name}: at its largest, in KB: {peak:?}");
    assert!(sent * 4 >= requests, "{name}: the flood was none: {sent} of {requests} requests");
    longest.sort_by(f64::total_cmp);
    Effect {
        grown_kilobytes,
        peak_grown_kilobytes: peak.resident.saturating_sub(before),
        in_use_kilobytes: peak.in_use,
        median_ms: longest[longest.len() / 2],
    }
}

/// Sends a flood through the Worker that only forwards and through ours, and compares the two. Returns both effects.
async fn withstand<C, F>(workers: &Workers, clients: u64, requests: u64, client: C) -> [Effect; 2]
where
    C: Fn(u64, u16, Turns) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let bare = flood("bare", &workers.bare, clients, requests, &client).await;
    let ours = flood("ours", &workers.ours, clients, requests, &client).await;
    // What the process holds depends on when the runtime tidies up; the core's own memory never shrinks.
    let health = edge_health(workers.ours.port("edge")).await;
    let core = health["memory"].as_u64().unwrap() / 1024;
    println!("ours: the core has {core} KB");
    assert!(core < MAX_CORE_KILOBYTES, "the core's memory grew to {core} KB");
    let in_use = ours.in_use_kilobytes;
    assert!(in_use + core < MAX_ISOLATE_KILOBYTES, "V8 used {in_use} KB, the core has {core} KB");
    assert!(
        ours.grown_kilobytes < bare.grown_kilobytes + MAX_GROWN_KILOBYTES,
        "memory grew by {} KB, that of the bare Worker by {} KB",
        ours.grown_kilobytes,
        bare.grown_kilobytes
    );
    assert!(
        ours.median_ms <= bare.median_ms + MAX_STALL_MS,
        "others waited for {:.1} ms, in the bare Worker for {:.1} ms",
        ours.median_ms,
        bare.median_ms
    );
    [bare, ours]
}
