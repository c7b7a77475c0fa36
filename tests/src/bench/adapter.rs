//! `cargo xtask bench adapter`: an adapted route against a Worker written by hand in JavaScript
//! that does the same for one endpoint, in one workerd process, in front of one GraphQL origin, in
//! interleaved runs.

use super::{
    edge::{Spread, processor_seconds},
    load,
    reviews::{Reviews, SITUATIONS},
};
use crate::{
    http,
    kv_server::KvServer,
    paths,
    workerd::{Worker, Workerd},
};
use cutover_core::{Snapshot, config::Config, vocabulary::revision::Revision};
use std::time::Duration;

const CONNECTIONS: usize = 16;
const WARM_UP: f64 = 5.0;
/// Each adapter, and the hand-written Worker that does the same.
const PAIRS: [(&str, &str); 2] = [("adapter-one", "js-one"), ("adapter-list", "js-list")];
/// Each adapter, and the same adapter in the baseline build.
const BASELINE_PAIRS: [(&str, &str); 2] =
    [("adapter-one", "baseline-one"), ("adapter-list", "baseline-list")];

/// Returns a snapshot that sends every user through an adapter with one route, that of the load
/// generator.
fn snapshot(origin: &str, list: bool) -> Snapshot {
    let folder = paths::root().join("tests/reviews");
    let adapter = std::fs::read_to_string(folder.join("adapter.yaml")).expect("the example is there");
    let (head, routes) = adapter.split_once("routes:\n").expect("the example has routes");
    let wanted = if list { "operation: Reviews\n" } else { "operation: Review\n" };
    let route =
        routes.split("\n\n").find(|route| route.contains(wanted)).expect("the example has the operation");
    let route = route.replace("path: /api/v1/reviews }", "path: \"/api/v1/reviews/{id}\" }");
    let route = route.replace("      link: true\n", "");
    let adapter = format!("{head}routes:\n{route}\n");
    let config = "adapters: { reviews: reviews/adapter.yaml }\n\
                  feature_flags: { reviews: { enabled: true, rollout_percentage: 100 } }\n\
                  origins: { rest: { url: \"ORIGIN\" }, graphql: { url: \"ORIGIN\", timeout_ms: 2000 } }\n\
                  routes: [{ id: reviews, match: { path: \"/api/v1/reviews/{*rest}\" }, flag: reviews, legacy: rest, \
                  new: graphql, adapt: [reviews], fallback: unreachable }]\n"
        .replace("ORIGIN", origin);
    let files = |name: &str| match name {
        "reviews/adapter.yaml" => Ok(adapter.clone()),
        name => std::fs::read_to_string(folder.join("..").join(name)).map_err(|error| error.to_string()),
    };
    let config = Config::from_yaml_with(&config, &files).unwrap_or_else(|problems| panic!("{problems:#?}"));
    config.snapshot(Revision(1), None)
}

/// Checks that both Workers do the same job, without which their speeds cannot be compared: they
/// send the same requests to the backend and give the same responses, in every situation.
async fn do_the_same(edge: u16, by_hand: u16, reviews: &Reviews) {
    let one =
        |(id, what): &(u32, &'static str)| (*what, "GET", format!("/api/v1/reviews/{id}?page={id}&limit=1"));
    let mut requests: Vec<_> = SITUATIONS.iter().map(one).collect();
    for (what, method, target) in [
        ("a success", "GET", "/api/v1/reviews/7?page=2"),
        ("a success, by HEAD", "HEAD", "/api/v1/reviews/7?page=2"),
        ("a bad id, or no parameter", "GET", "/api/v1/reviews/seven"),
        ("a bad page, or no parameter", "GET", "/api/v1/reviews/7?page=0"),
        ("a bad limit, or no parameter", "GET", "/api/v1/reviews/7?limit=many"),
        ("a limit that is too large, or no parameter", "GET", "/api/v1/reviews/9000?limit=9000&page=901"),
        ("a method without a route", "DELETE", "/api/v1/reviews/7"),
        ("a path without a route", "GET", "/api/v1/reviews/7/votes"),
    ] {
        requests.push((what, method, target.to_owned()));
    }
    let responses = async |port| {
        // All at once, because one of them waits for its timeout.
        let send = |(what, method, target): (&'static str, &'static str, String)| async move {
            let response = http::send(port, method, &target, &[("x-user-id", "u")], b"").await;
            let mut body = if response.body.is_empty() { "".into() } else { response.json() };
            if let Some(timestamp) = body.get_mut("timestamp") {
                *timestamp = "now".into();
            }
            let headers = ["content-type", "x-backend"].map(|name| response.header(name));
            format!("{what}: {} {headers:?} {body}", response.status)
        };
        let tasks: Vec<_> = requests.iter().cloned().map(|request| tokio::spawn(send(request))).collect();
        let mut responses = Vec::new();
        for task in tasks {
            responses.push(task.await.expect("a response"));
        }
        (responses, reviews.asked())
    };
    let (ours, our_queries) = responses(edge).await;
    let (theirs, their_queries) = responses(by_hand).await;
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(our_queries, their_queries);
}

/// Ratios of an adapted route over the hand-written Worker, for one kind of response.
pub struct Ratios {
    /// Ratio of the requests per second.
    pub throughput: Spread,
    /// Ratio of workerd's processor time per request. Steadier, because it does not include
    /// waiting.
    pub cpu: Spread,
}

/// Both Workers, for one review and for twenty, and the origin and stores that they use.
struct Bench {
    workerd: Workerd,
    reviews: Reviews,
    _stores: Vec<KvServer>,
}

async fn start() -> Bench {
    let reviews = Reviews::start().await;
    let origin = format!("http://127.0.0.1:{}", reviews.port);
    let mut stores = Vec::new();
    for list in [false, true] {
        stores.push(KvServer::holding(&snapshot(&origin, list)).await);
    }
    let ingest = super::edge::start_ingest().await;
    let script = paths::root().join("tests/bench/adapter.js");
    let edge = |name, store: &KvServer| Worker::edge(name, store.port()).with("INGEST_URL", &ingest);
    let by_hand = |name, mode| {
        Worker::javascript(name, &script).with("NEW", &origin).with("ORIGIN", &origin).with("MODE", mode)
    };
    let mut workers = vec![
        edge("adapter-one", &stores[0]),
        by_hand("js-one", "one"),
        edge("adapter-list", &stores[1]),
        by_hand("js-list", "list"),
    ];
    if let Some(folder) = paths::baseline() {
        for ((_, name), store) in BASELINE_PAIRS.iter().zip(&stores) {
            workers.push(Worker::built(name, store.port(), &folder).with("INGEST_URL", &ingest));
        }
    }
    let workerd = Workerd::start(&workers);
    Bench { workerd, reviews, _stores: stores }
}

/// Checks that each adapter and its hand-written Worker do the same job.
pub async fn check() {
    let Bench { workerd, reviews, _stores } = start().await;
    for (edge, by_hand) in PAIRS {
        do_the_same(workerd.port(edge), workerd.port(by_hand), &reviews).await;
    }
}

/// Runs the benchmark against the hand-written Worker, or if there is a baseline build, against
/// that. Returns the ratios for one review and for twenty.
pub async fn run(rounds: usize, seconds: f64) -> [Ratios; 2] {
    let Bench { workerd, reviews, _stores } = start().await;
    let pairs = if paths::baseline().is_some() { BASELINE_PAIRS } else { PAIRS };
    for (edge, by_hand) in pairs {
        do_the_same(workerd.port(edge), workerd.port(by_hand), &reviews).await;
    }
    for name in pairs.iter().flat_map(|(edge, by_hand)| [edge, by_hand]) {
        // Warms up until the runtime has compiled the hot functions.
        load::run(workerd.port(name), CONNECTIONS, Duration::from_secs_f64(WARM_UP), 100_000).await;
    }
    let duration = Duration::from_secs_f64(seconds / 2.0);
    let mut ratios = [(); 2].map(|()| (Vec::new(), Vec::new()));
    for round in 1..=rounds {
        for ((edge, by_hand), (rates, costs)) in pairs.iter().zip(&mut ratios) {
            // Ours, theirs, theirs, ours: a drift affects both equally.
            let (mut requests, mut cost) = ([0.0; 2], [0.0; 2]);
            for (whose, name) in [(0, edge), (1, by_hand), (1, by_hand), (0, edge)] {
                let before = processor_seconds(workerd.id());
                requests[whose] += load::run(workerd.port(name), CONNECTIONS, duration, 100_000).await;
                cost[whose] += processor_seconds(workerd.id()) - before;
            }
            rates.push(requests[0] / requests[1]);
            costs.push(cost[0] / requests[0] * requests[1] / cost[1]);
        }
        let last = ratios.each_ref().map(|(rates, _)| rates[rates.len() - 1]);
        eprintln!("round {round:2}: one review {:.3}, twenty {:.3}", last[0], last[1]);
    }
    let is_legacy = |query: &String| query.starts_with("GET ");
    assert!(!reviews.asked().iter().any(is_legacy), "legacy served measured requests");
    ratios.map(|(rates, costs)| Ratios { throughput: Spread::of(rates), cpu: Spread::of(costs) })
}
