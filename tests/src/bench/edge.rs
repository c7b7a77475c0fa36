//! `cargo xtask bench edge`: our Worker against a bare JavaScript pass-through and a hand-written
//! JavaScript flag proxy, in one workerd process, in front of one origin, in interleaved runs. Only
//! ratios within one run are meaningful.

use super::{
    load,
    pairing::{self, Spread, processor_seconds},
};
use crate::{
    gzip, http,
    kv_server::KvServer,
    paths,
    server::Server,
    workerd::{Worker, Workerd},
};
use cutover_core::{
    Flag, Origin, PartsPerMillion, Route, Snapshot,
    request::identity::default_sources,
    routing::matcher::Matcher,
    rules::{condition::document::Condition, route::Fallback},
    vocabulary::revision::Revision,
};
use serde::Serialize;
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

const CONNECTIONS: usize = 16;
const USERS: u64 = 100_000;

/// The measured Workers, in the order in which results are indexed.
const NAMES: [&str; 7] =
    ["passthrough", "edge", "flag-proxy", "edge-headers", "edge-10000", "stage-read", "stage-limit"];

/// Results of the benchmark.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Throughput of our Worker over that of the bare pass-through.
    pub ratio_to_passthrough: Spread,
    /// Throughput of our Worker over that of the hand-written flag proxy.
    pub ratio_to_js_flag_proxy: Spread,
    /// Throughput of the hand-written flag proxy over that of the bare pass-through.
    pub js_flag_proxy_to_passthrough: Spread,
    /// Throughput of our Worker with decision headers over that of the bare pass-through.
    pub with_headers_to_passthrough: Spread,
    /// Throughput of the pass-through that also reads the facts of a request, over the bare one.
    pub stage_read_to_passthrough: Spread,
    /// Throughput of the pass-through that in addition limits the waiting time and counts, over the
    /// bare one.
    pub stage_limit_to_passthrough: Spread,
    /// Processor time per request of our Worker over that of the bare pass-through. Like the
    /// throughput, but less affected by other load on the machine.
    pub cpu_to_passthrough: Spread,
    /// Processor time per request with 10 000 flags and routes over that with 10.
    pub cpu_10000_to_10_flags: Spread,
    /// Throughput with 10 000 flags and routes over that with 10.
    pub ratio_10000_to_10_flags: Spread,
    /// Time from the start of a fresh workerd to its first routed response, over that of one with
    /// the bare pass-through.
    pub cold_start_to_passthrough: Spread,
    /// The same with a snapshot of 1 000 flags instead of 10.
    pub cold_start_with_1000_flags: Spread,
    /// Milliseconds of processor time to read, check and compile a snapshot of 1 000 flags, minus
    /// those of one with 1.
    pub snapshot_1000_flags_ms: f64,
    /// KV reads of one isolate under load, and the number that its soft TTL allows.
    pub kv_reads: KvReads,
    /// Size of the uploaded Worker, gzipped, in bytes.
    pub worker_gzip_bytes: u64,
    /// Number of rounds.
    pub rounds: usize,
    /// Seconds per measurement in a round.
    pub seconds: f64,
}

/// Reads of the snapshot under load.
#[derive(Debug, Serialize)]
pub struct KvReads {
    /// Reads that the store counted.
    pub reads: u64,
    /// Reads allowed: one at the start and one per soft TTL.
    pub allowed: u64,
    /// Requests that the isolate served in that time.
    pub requests: u64,
}

/// Runs the benchmark and writes `target/bench/edge.json`.
pub async fn run(rounds: usize, seconds: f64) -> Report {
    let origin = load::start_origin().await;
    let url = format!("http://127.0.0.1:{origin}");
    let stores = [
        KvServer::holding(&snapshot(10, 1, &url)).await,
        KvServer::holding(&snapshot(10_000, 1, &url)).await,
    ];
    // Counting and reporting are on, as in a deployment.
    let ingest = start_ingest().await;
    let edge = |name, store: &KvServer| Worker::edge(name, store.port()).with("INGEST_URL", ingest.url());
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
    // V8 compiles hot functions with its optimising compiler after some ten thousand requests.
    for name in NAMES {
        load::run(workerd.port(name), CONNECTIONS, Duration::from_secs_f64(3.0), USERS).await;
    }
    // All as ratios to the bare pass-through, which is measured next to each.
    let (mut rates, mut costs) = (Vec::new(), Vec::new());
    let duration = Duration::from_secs_f64(seconds);
    for round in 0..rounds {
        let (mut rate, mut cost) = ([1.0; NAMES.len()], [1.0; NAMES.len()]);
        for step in 1..NAMES.len() {
            // Each round starts with another Worker, so that no Worker always follows the same one.
            let worker = 1 + (step + round) % (NAMES.len() - 1);
            (rate[worker], cost[worker]) = pair(&workerd, [NAMES[worker], NAMES[0]], duration).await;
        }
        eprintln!(
            "round {:2}: edge {:.3}  flag proxy {:.3}  edge with headers {:.3}  10 000 flags {:.3}  (pass-through = 1)",
            round + 1,
            rate[1],
            rate[2],
            rate[3],
            rate[4]
        );
        rates.push(rate);
        costs.push(cost);
    }
    let ratio = |a: usize, b: usize| Spread::of(rates.iter().map(|rate| rate[a] / rate[b]).collect());
    let cost = |a: usize, b: usize| Spread::of(costs.iter().map(|cost| cost[a] / cost[b]).collect());
    let report = Report {
        cold_start_to_passthrough: cold_start(&url, 10).await,
        cold_start_with_1000_flags: cold_start(&url, 1_000).await,
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

/// Measures two Workers with requests of the flag's route, as [`pairing::pair`] does.
async fn pair(workerd: &Workerd, names: [&str; 2], duration: Duration) -> (f64, f64) {
    let load = async |index: usize| load::run(workerd.port(names[index]), CONNECTIONS, duration, USERS).await;
    pairing::pair(workerd.id(), load).await
}

/// Compares our Worker with other builds of it, round by round. Returns for each build our throughput and our processor
/// time per request, as ratios to its own.
pub async fn against(folders: &[PathBuf], rounds: usize, seconds: f64) -> Vec<(Spread, Spread)> {
    let origin = load::start_origin().await;
    let store = KvServer::holding(&snapshot(10, 1, &format!("http://127.0.0.1:{origin}"))).await;
    let ingest = start_ingest().await;
    let names: Vec<String> = (0..folders.len()).map(|build| format!("build-{build}")).collect();
    let theirs = names.iter().zip(folders).map(|(name, folder)| Worker::built(name, store.port(), folder));
    let ours = std::iter::once(Worker::edge("edge", store.port()));
    let workers: Vec<_> = ours.chain(theirs).map(|worker| worker.with("INGEST_URL", ingest.url())).collect();
    let workerd = Workerd::start(&workers);
    let duration = Duration::from_secs_f64(seconds);
    for name in names.iter().map(String::as_str).chain(["edge"]) {
        load::run(workerd.port(name), CONNECTIONS, Duration::from_secs(5), USERS).await;
    }
    let mut ratios = vec![(Vec::new(), Vec::new()); folders.len()];
    for _ in 0..rounds {
        for (name, (rates, costs)) in names.iter().zip(&mut ratios) {
            let (rate, cost) = pair(&workerd, ["edge", name], duration).await;
            rates.push(rate);
            costs.push(cost);
        }
    }
    ratios.into_iter().map(|(rates, costs)| (Spread::of(rates), Spread::of(costs))).collect()
}

/// Starts a stub that accepts every batch, so that only the isolate's side of reporting is
/// measured.
pub(super) async fn start_ingest() -> Server {
    let answer = || async { r#"{"revision":1,"emergency":null,"duplicate":false}"# };
    let app = axum::Router::new()
        .route("/v1/batches", axum::routing::post(answer))
        .route("/v1/questions", axum::routing::post(answer));
    Server::start(app).await
}

fn stage<'n>(name: &'n str, stage: &str, origin: &str) -> Worker<'n> {
    Worker::javascript(name, &paths::root().join("tests/bench/stages.js"))
        .with("ORIGIN", origin)
        .with("STAGE", stage)
}

/// Returns a snapshot with the given number of flags and routes. The load generator requests one of
/// the routes.
pub fn snapshot(flags: usize, revision: u64, origin: &str) -> Snapshot {
    let mut snapshot = Snapshot { revision: Revision(revision), ..Snapshot::default() };
    for name in ["legacy", "new"] {
        let origin = Origin {
            url: origin.to_owned(),
            timeout_ms: 5_000,
            options: Default::default(),
            failover: Default::default(),
        };
        snapshot.origins.insert(name.parse().expect("a name"), origin);
    }
    for number in 0..flags {
        let middle = number == flags / 2;
        let name = if middle { "graphql_reviews_read".to_owned() } else { format!("flag_{number:05}") };
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
            id: format!("route-{number}").parse().expect("a name"),
            matcher: Matcher {
                methods: vec!["GET".to_owned()],
                path: if middle {
                    "/api/v1/reviews/{*rest}".to_owned()
                } else {
                    format!("/api/v1/things{number}/{{id}}")
                },
            },
            flag: name,
            legacy: "legacy".parse().expect("a name"),
            new: "new".parse().expect("a name"),
            identity: default_sources(),
            adapt: Vec::new(),
            compare: None,
            error_when: None,
            error_statuses: Vec::new(),
            fallback: Fallback::default(),
            guard: None,
            cache: None,
            limit: Vec::new(),
        });
    }
    snapshot
}

/// Returns the processor time of a refresh that brings a new revision of 1 000 flags, minus that of
/// one with 1, in milliseconds. Each revision is read once: one request notices that it is due, and
/// no other request is sent until it has been read. This is an upper bound, because it includes the
/// work of KV and of the text decoder on the larger document.
pub async fn snapshot_cost(origin: &str) -> f64 {
    const WARM_UP: u64 = 40;
    const REFRESHES: u64 = 100;
    let mut costs = Vec::new();
    for flags in [1, 1_000] {
        let store = KvServer::holding(&snapshot(flags, 1, origin)).await;
        let workerd = Workerd::start(&[Worker::edge("edge", store.port()).with("SNAPSHOT_SOFT_TTL_MS", "1")]);
        let port = workerd.port("edge");
        let documents: Vec<_> = (2..2 + WARM_UP + REFRESHES)
            .map(|revision| snapshot(flags, revision, origin).encode().expect("a snapshot is JSON"))
            .collect();
        http::get(port, "/api/v1/reviews/1", &[("x-user-id", "u")]).await;
        let mut before = 0.0;
        for (refresh, document) in documents.into_iter().enumerate() {
            if refresh as u64 == WARM_UP {
                before = processor_seconds(workerd.id());
            }
            store.put("snapshot", document);
            http::get(port, "/api/v1/reviews/1", &[("x-user-id", "u")]).await;
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        costs.push((processor_seconds(workerd.id()) - before) * 1_000.0 / REFRESHES as f64);
        let health = health(port).await;
        assert_eq!(health["revision"], 1 + WARM_UP + REFRESHES, "{health:#}");
        // If the machine pauses briefly, a document is read twice; the second read only recognises
        // it.
        assert!(
            health["kv_reads"].as_u64().is_some_and(|reads| reads <= 12 + WARM_UP + REFRESHES),
            "{health:#}"
        );
    }
    (costs[1] - costs[0]).max(0.0)
}

/// Starts a fresh workerd again and again, with our Worker and with the pass-through in turn, and
/// measures from the start of the process to the first routed response.
pub async fn cold_start(origin: &str, flags: usize) -> Spread {
    const STARTS: usize = 15;
    let store = KvServer::holding(&snapshot(flags, 1, origin)).await;
    let passthrough = paths::root().join("tests/bench/passthrough.js");
    let first_response = async |worker: Worker<'_>, name: &str| {
        let started = Instant::now();
        let workerd = Workerd::start(&[worker]);
        let response = http::get(workerd.port(name), "/api/v1/reviews/1", &[("x-user-id", "user-123")]).await;
        assert_eq!(response.status, 200);
        started.elapsed().as_secs_f64()
    };
    let mut ratios = Vec::new();
    for _ in 0..STARTS {
        let edge = first_response(Worker::edge("edge", store.port()), "edge").await;
        let bare = Worker::javascript("bare", &passthrough).with("ORIGIN", origin);
        let bare = first_response(bare, "bare").await;
        ratios.push(edge / bare);
    }
    Spread::of(ratios)
}

async fn health(port: u16) -> serde_json::Value {
    http::edge_health(port).await
}

async fn kv_reads(origin: &str) -> KvReads {
    let soft_ttl = Duration::from_millis(500);
    let store = KvServer::holding(&snapshot(10, 1, origin)).await;
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

/// Returns the size of the uploaded modules, each gzipped.
pub fn worker_size() -> u64 {
    ["index.wasm", "shim.mjs"]
        .iter()
        .map(|file| {
            let content = std::fs::read(paths::worker().join(file)).expect("the Worker is built");
            gzip::compress(&content).len() as u64
        })
        .sum()
}
