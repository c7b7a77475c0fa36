//! `cargo xtask bench edge`: our Worker beside a bare JavaScript pass-through and a hand-written JavaScript flag
//! proxy, in one workerd process, in front of one origin, in interleaved runs. Only ratios of one run count.

use super::load;
use crate::{
    http,
    kv_server::KvServer,
    paths,
    workerd::{Worker, Workerd},
};
use cutover_core::{
    Flag, Origin, PartsPerMillion, Route, Snapshot, condition::Condition, identity::default_sources,
    route::Matcher, snapshot::Revision,
};
use serde::Serialize;
use std::{
    io::Write as _,
    time::{Duration, Instant},
};

const CONNECTIONS: usize = 16;
const USERS: u64 = 100_000;

/// The Workers that are measured, in the order that results are indexed by.
const NAMES: [&str; 7] =
    ["passthrough", "edge", "flag-proxy", "edge-headers", "edge-10000", "stage-read", "stage-limit"];

/// The spread of a ratio over the rounds of a run.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    pub(super) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self { median: values[values.len() / 2], min: values[0], max: values[values.len() - 1] }
    }
}

/// What the bench found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Throughput of our Worker over that of the bare pass-through.
    pub ratio_to_passthrough: Spread,
    /// Throughput of our Worker over that of the hand-written flag proxy.
    pub ratio_to_js_flag_proxy: Spread,
    /// Throughput of the hand-written flag proxy over that of the bare pass-through.
    pub js_flag_proxy_to_passthrough: Spread,
    /// Throughput of our Worker with decision headers on over that of the bare pass-through.
    pub with_headers_to_passthrough: Spread,
    /// Where our share goes: the pass-through that also reads the facts, over the bare one.
    pub stage_read_to_passthrough: Spread,
    /// And that also waits no longer than the time-out, and counts.
    pub stage_limit_to_passthrough: Spread,
    /// Processor time per request of our Worker over that of the bare pass-through: the same question, less moved
    /// by what else the machine does.
    pub cpu_to_passthrough: Spread,
    /// Processor time per request with 10 000 flags and routes over that with 10.
    pub cpu_10000_to_10_flags: Spread,
    /// Throughput with 10 000 flags and routes over that with 10.
    pub ratio_10000_to_10_flags: Spread,
    /// Milliseconds of processor time to read, check and compile a snapshot of 1 000 flags, above one of 1.
    pub snapshot_1000_flags_ms: f64,
    /// KV reads of one isolate under load, and how many its soft TTL allows.
    pub kv_reads: KvReads,
    /// The Worker as it is uploaded, gzipped, in bytes.
    pub worker_gzip_bytes: u64,
    /// Rounds.
    pub rounds: usize,
    /// Seconds of each measurement in a round.
    pub seconds: f64,
}

/// Reads of the snapshot under load.
#[derive(Debug, Serialize)]
pub struct KvReads {
    /// Counted by the store.
    pub reads: u64,
    /// One at the start and one per soft TTL.
    pub allowed: u64,
    /// Requests that the isolate answered meanwhile.
    pub requests: u64,
}

/// Runs everything, prints a table and writes `target/bench/edge.json`.
pub async fn run(rounds: usize, seconds: f64) -> Report {
    let origin = load::start_origin().await;
    let url = format!("http://127.0.0.1:{origin}");
    let stores = [store(&snapshot(10, 1, &url)).await, store(&snapshot(10_000, 1, &url)).await];
    // Counting and reporting are on, as they are deployed.
    let ingest = start_ingest().await;
    let edge = |name, store: &KvServer| Worker::edge(name, store.port()).with("INGEST_URL", &ingest);
    let workerd = Workerd::start(&[
        edge("edge", &stores[0]),
        edge("edge-headers", &stores[0]).with("DECISION_HEADERS", "arm,reason,revision"),
        edge("edge-10000", &stores[1]),
        Worker::javascript("passthrough", &paths::root().join("tests/bench/passthrough.js"))
            .with("ORIGIN", &url),
        Worker::javascript("flag-proxy", &paths::root().join("tests/bench/flag_proxy.js"))
            .with("ORIGIN", &url)
            .with("NEW", &url),
        stage("stage-read", "read", &url),
        stage("stage-limit", "limit", &url),
    ]);
    for name in NAMES {
        load::run(workerd.port(name), CONNECTIONS, Duration::from_secs_f64(1.0), USERS).await;
    }
    let mut rates: Vec<[f64; NAMES.len()]> = Vec::new();
    let mut costs: Vec<[f64; NAMES.len()]> = Vec::new();
    for round in 0..rounds {
        let (mut rate, mut cost) = ([0.0; NAMES.len()], [0.0; NAMES.len()]);
        for step in 0..NAMES.len() {
            // Each round begins elsewhere, so that no Worker always follows the same other one.
            let at = (step + round) % NAMES.len();
            let (before, started) = (processor_seconds(workerd.id()), Instant::now());
            let duration = Duration::from_secs_f64(seconds);
            rate[at] = load::run(workerd.port(NAMES[at]), CONNECTIONS, duration, USERS).await;
            let requests = rate[at] * started.elapsed().as_secs_f64();
            cost[at] = (processor_seconds(workerd.id()) - before) / requests;
        }
        let per = |at: usize| rate[at] / rate[0];
        eprintln!(
            "round {:2}: edge {:.3}  flag proxy {:.3}  edge with headers {:.3}  10 000 flags {:.3}  (pass-through = 1)",
            round + 1,
            per(1),
            per(2),
            per(3),
            per(4)
        );
        rates.push(rate);
        costs.push(cost);
    }
    let ratio = |a: usize, b: usize| Spread::of(rates.iter().map(|rate| rate[a] / rate[b]).collect());
    let cost = |a: usize, b: usize| Spread::of(costs.iter().map(|cost| cost[a] / cost[b]).collect());
    let report = Report {
        stage_read_to_passthrough: ratio(5, 0),
        stage_limit_to_passthrough: ratio(6, 0),
        cpu_to_passthrough: cost(1, 0),
        cpu_10000_to_10_flags: cost(4, 1),
        ratio_to_passthrough: ratio(1, 0),
        ratio_to_js_flag_proxy: ratio(1, 2),
        js_flag_proxy_to_passthrough: ratio(2, 0),
        with_headers_to_passthrough: ratio(3, 0),
        ratio_10000_to_10_flags: ratio(4, 1),
        snapshot_1000_flags_ms: snapshot_cost(&url).await,
        kv_reads: kv_reads(&url).await,
        worker_gzip_bytes: worker_size(),
        rounds,
        seconds,
    };
    let json = serde_json::to_string_pretty(&report).expect("a report is JSON");
    std::fs::write(paths::target("bench").join("edge.json"), json).expect("the report is written");
    report
}

/// Something that takes every batch, so that what is measured is the isolate's side of it.
pub(super) async fn start_ingest() -> String {
    let receipt = || async { r#"{"revision":1,"emergency":null,"duplicate":false}"# };
    let app = axum::Router::new().route("/v1/batches", axum::routing::post(receipt));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound address");
    tokio::spawn(async move {
        axum::serve(listener, app).await.expect("the stub serves");
    });
    format!("http://{address}")
}

fn stage<'n>(name: &'n str, stage: &str, origin: &str) -> Worker<'n> {
    Worker::javascript(name, &paths::root().join("tests/bench/stages.js"))
        .with("ORIGIN", origin)
        .with("STAGE", stage)
}

async fn store(snapshot: &Snapshot) -> KvServer {
    let store = KvServer::start().await;
    store.put("snapshot", snapshot.encode().expect("a snapshot is JSON"));
    store
}

/// Flags and routes in this number; the route that the load asks for is one of them.
pub fn snapshot(flags: usize, revision: u64, origin: &str) -> Snapshot {
    let mut snapshot = Snapshot { revision: Revision(revision), ..Snapshot::default() };
    for name in ["legacy", "new"] {
        let origin = Origin { url: origin.to_owned(), timeout_ms: 5_000 };
        snapshot.origins.insert(name.parse().expect("a name"), origin);
    }
    for at in 0..flags {
        let middle = at == flags / 2;
        let name = if middle { "graphql_reviews_read".to_owned() } else { format!("flag_{at:05}") };
        let flag = Flag {
            enabled: true,
            rollout_percentage: PartsPerMillion::from_percent(25.0).expect("a percentage"),
            user_whitelist: vec!["user-123".to_owned()],
            user_blacklist: vec!["user-666".to_owned()],
            conditions: vec![Condition::TimeWindow { start: "2024-01-01T00:00:00Z".parse().ok(), end: None }],
            ..Flag::default()
        };
        let name = name.parse::<cutover_core::FlagName>().expect("a name");
        snapshot.flags.insert(name.clone(), flag);
        snapshot.routes.push(Route {
            id: format!("route-{at}").parse().expect("a name"),
            matcher: Matcher {
                methods: vec!["GET".to_owned()],
                path: if middle {
                    "/api/v1/reviews/{*rest}".to_owned()
                } else {
                    format!("/api/v1/things{at}/{{id}}")
                },
            },
            flag: name,
            legacy: "legacy".parse().expect("a name"),
            new: "new".parse().expect("a name"),
            identity: default_sources(),
            adapt: Vec::new(),
            compare: None,
            error_when: None,
        });
    }
    snapshot
}

/// Processor time of a refresh that brings a new revision, with 1 000 flags above one with 1. Each revision is read
/// once: one request notices that it is due, and nobody else asks until it is in. An upper bound, because what KV
/// and the text decoder need for the larger document is inside.
async fn snapshot_cost(origin: &str) -> f64 {
    const WARM_UP: u64 = 40;
    const REFRESHES: u64 = 100;
    let mut costs = Vec::new();
    for flags in [1, 1_000] {
        let store = store(&snapshot(flags, 1, origin)).await;
        let workerd = Workerd::start(&[Worker::edge("edge", store.port()).with("SNAPSHOT_SOFT_TTL_MS", "1")]);
        let port = workerd.port("edge");
        let documents: Vec<_> = (2..2 + WARM_UP + REFRESHES)
            .map(|revision| snapshot(flags, revision, origin).encode().expect("a snapshot is JSON"))
            .collect();
        http::get(port, "/api/v1/reviews/1", &[("x-user-id", "u")]).await;
        let mut before = 0.0;
        for (at, document) in documents.into_iter().enumerate() {
            if at as u64 == WARM_UP {
                before = processor_seconds(workerd.id());
            }
            store.put("snapshot", document);
            http::get(port, "/api/v1/reviews/1", &[("x-user-id", "u")]).await;
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        costs.push((processor_seconds(workerd.id()) - before) * 1_000.0 / REFRESHES as f64);
        let health = health(port).await;
        assert_eq!(health["revision"], 1 + WARM_UP + REFRESHES, "{health:#}");
        // On a machine that stops for a moment a document is read twice; the second time it is only recognised.
        assert!(
            health["kv_reads"].as_u64().is_some_and(|reads| reads <= 12 + WARM_UP + REFRESHES),
            "{health:#}"
        );
    }
    (costs[1] - costs[0]).max(0.0)
}

async fn health(port: u16) -> serde_json::Value {
    http::get(port, "/_cutover/health", &[]).await.json()
}

async fn kv_reads(origin: &str) -> KvReads {
    let soft_ttl = Duration::from_millis(500);
    let store = store(&snapshot(10, 1, origin)).await;
    let workerd = Workerd::start(&[Worker::edge("edge", store.port()).with("SNAPSHOT_SOFT_TTL_MS", "500")]);
    let started = Instant::now();
    let rate = load::run(workerd.port("edge"), CONNECTIONS, Duration::from_secs(5), USERS).await;
    let elapsed = started.elapsed();
    KvReads {
        reads: store.reads(),
        allowed: 1 + (elapsed.as_secs_f64() / soft_ttl.as_secs_f64()).ceil() as u64,
        requests: (rate * elapsed.as_secs_f64()) as u64,
    }
}

/// User and system time of a process, from the kernel.
pub(super) fn processor_seconds(id: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).expect("the kernel tells");
    let fields: Vec<&str> = stat.rsplit_once(") ").expect("a stat line").1.split(' ').collect();
    let ticks: f64 = fields[11..=12].iter().map(|field| field.parse::<f64>().expect("a number")).sum();
    ticks / rustix::param::clock_ticks_per_second() as f64
}

/// The modules as they are uploaded, each gzipped.
pub fn worker_size() -> u64 {
    ["index.wasm", "shim.mjs"]
        .iter()
        .map(|file| {
            let content = std::fs::read(paths::worker().join(file)).expect("the Worker is built");
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(&content).expect("memory takes it");
            encoder.finish().expect("memory takes it").len() as u64
        })
        .sum()
}
