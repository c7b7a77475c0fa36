//! `cargo xtask bench adapter`: an adapted route against a Worker written by hand in JavaScript
//! that does the same for one endpoint, and an adapter with a text with a place in each review
//! against the same adapter without it, in one workerd process, in front of one GraphQL origin, in
//! interleaved runs.

use super::{
    load,
    pairing::{self, Spread},
    reviews::{Reviews, SITUATIONS},
};
use crate::{
    http,
    kv_server::KvServer,
    paths,
    workerd::{Worker, Workerd},
};
use cutover_core::{Snapshot, config::Config, vocabulary::revision::Revision};
use std::{collections::BTreeSet, time::Duration};

const CONNECTIONS: usize = 16;
const WARM_UP: f64 = 5.0;

/// Two Workers that are measured next to each other.
struct Pair {
    /// The response that both give.
    response: &'static str,
    /// The Worker whose speed is the numerator.
    first: &'static str,
    /// The Worker that it is compared with.
    second: &'static str,
}

impl Pair {
    const fn new(response: &'static str, first: &'static str, second: &'static str) -> Self {
        Self { response, first, second }
    }
}

/// Each adapter, and the hand-written Worker that does the same.
const BY_HAND: [Pair; 2] = [
    Pair::new("one review", "adapter-one", "js-one"),
    Pair::new("a list of twenty", "adapter-list", "js-list"),
];
/// Each adapter, and the same adapter in the baseline build.
const BASELINE: [Pair; 2] = [
    Pair::new("one review", "adapter-one", "baseline-one"),
    Pair::new("a list of twenty", "adapter-list", "baseline-list"),
];
/// Each adapter that adds a URL to every review, and the same adapter without.
const PLACES: [Pair; 2] = [
    Pair::new("one review with its URL", "places-one", "adapter-one"),
    Pair::new("a list of twenty with URLs", "places-list", "adapter-list"),
];

/// An adapter with one route, that of the load generator.
#[derive(Debug, Clone, Copy)]
struct Variant {
    /// True if it returns twenty reviews instead of one.
    is_list: bool,
    /// True if each review has its URL, a text with a place.
    has_urls: bool,
}

/// Returns a snapshot that sends every user through an adapter.
fn snapshot(origin: &str, variant: Variant) -> Snapshot {
    let folder = paths::root().join("tests/reviews");
    let adapter = std::fs::read_to_string(folder.join("adapter.yaml")).expect("the example is there");
    let (head, routes) = adapter.split_once("routes:\n").expect("the example has routes");
    let last = "      is_moderated: isModerated\n";
    assert!(head.contains(last), "the example has the field");
    let url = "      url: \"https://api.example/reviews/{id}\"\n";
    let head = if variant.has_urls { head.replace(last, &[last, url].concat()) } else { head.to_owned() };
    let wanted = if variant.is_list { "operation: Reviews\n" } else { "operation: Review\n" };
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

/// Checks that a Worker gives each review its URL.
async fn has_urls(port: u16) {
    let response = http::send(port, "GET", "/api/v1/reviews/7?page=2", &[("x-user-id", "u")], b"").await;
    let body = response.json();
    let data = &body["data"];
    let reviews = data.as_array().map_or(std::slice::from_ref(data), Vec::as_slice);
    for review in reviews {
        assert_eq!(review["url"], format!("https://api.example/reviews/{}", review["id"]), "{body}");
    }
}

/// Ratios of one Worker over another one.
pub struct Ratios {
    /// The response that both give.
    pub response: &'static str,
    /// Ratio of the requests per second.
    pub throughput: Spread,
    /// Ratio of workerd's processor time per request. Steadier, because it does not include
    /// waiting.
    pub cpu: Spread,
}

/// Results of the benchmark, for one review and for twenty.
pub struct Report {
    /// The adapted route over the hand-written Worker, or if there is a baseline build, over that.
    pub adapted: [Ratios; 2],
    /// The adapter with a text with a place in each review over the one without.
    pub places: [Ratios; 2],
}

/// All Workers, and the origin and stores that they use.
struct Bench {
    workerd: Workerd,
    reviews: Reviews,
    _stores: Vec<KvServer>,
}

async fn start() -> Bench {
    let reviews = Reviews::start().await;
    let origin = format!("http://127.0.0.1:{}", reviews.port);
    let mut stores = Vec::new();
    for (is_list, has_urls) in [(false, false), (true, false), (false, true), (true, true)] {
        stores.push(KvServer::holding(&snapshot(&origin, Variant { is_list, has_urls })).await);
    }
    let ingest = super::edge::start_ingest().await;
    let script = paths::root().join("tests/bench/adapter.js");
    let edge = |name, store: &KvServer| Worker::edge(name, store.port()).with("INGEST_URL", ingest.url());
    let by_hand = |name, mode| {
        Worker::javascript(name, &script).with("NEW", &origin).with("ORIGIN", &origin).with("MODE", mode)
    };
    let mut workers = vec![
        edge("adapter-one", &stores[0]),
        by_hand("js-one", "one"),
        edge("adapter-list", &stores[1]),
        by_hand("js-list", "list"),
        edge("places-one", &stores[2]),
        edge("places-list", &stores[3]),
    ];
    if let Some(folder) = paths::baseline() {
        for (pair, store) in BASELINE.iter().zip(&stores) {
            workers.push(Worker::built(pair.second, store.port(), &folder).with("INGEST_URL", ingest.url()));
        }
    }
    let workerd = Workerd::start(&workers);
    Bench { workerd, reviews, _stores: stores }
}

impl Bench {
    /// Checks that the Workers of each pair do the same job, but for the URLs.
    async fn check(&self, pairs: &[Pair]) {
        for pair in pairs {
            do_the_same(self.workerd.port(pair.first), self.workerd.port(pair.second), &self.reviews).await;
        }
        for pair in &PLACES {
            has_urls(self.workerd.port(pair.first)).await;
        }
    }

    /// Sends requests to a Worker. Returns their number per second.
    async fn load(&self, name: &str, duration: Duration) -> f64 {
        load::run(self.workerd.port(name), CONNECTIONS, duration, 100_000).await
    }

    /// Measures a pair once. Returns the ratios of the throughput and of the processor time per request.
    async fn measure(&self, pair: &Pair, duration: Duration) -> (f64, f64) {
        let names = [pair.first, pair.second];
        pairing::pair(self.workerd.id(), async |index: usize| self.load(names[index], duration).await).await
    }
}

/// Checks that each adapter and its hand-written Worker do the same job.
pub async fn check() {
    start().await.check(&BY_HAND).await;
}

/// Runs the benchmark.
pub async fn run(rounds: usize, seconds: f64) -> Report {
    let bench = start().await;
    let adapted = if paths::baseline().is_some() { &BASELINE } else { &BY_HAND };
    bench.check(adapted).await;
    let pairs: Vec<&Pair> = adapted.iter().chain(&PLACES).collect();
    let names: BTreeSet<&str> = pairs.iter().flat_map(|pair| [pair.first, pair.second]).collect();
    for name in names {
        // Warms up until the runtime has compiled the hot functions.
        bench.load(name, Duration::from_secs_f64(WARM_UP)).await;
    }
    let duration = Duration::from_secs_f64(seconds / 2.0);
    let mut measured = [(); 4].map(|()| (Vec::new(), Vec::new()));
    for round in 1..=rounds {
        for (pair, (rates, costs)) in pairs.iter().zip(&mut measured) {
            let (rate, cost) = bench.measure(pair, duration).await;
            rates.push(rate);
            costs.push(cost);
        }
        let [one, list, ..] = measured.each_ref().map(|(rates, _)| rates[rates.len() - 1]);
        let [.., places_one, places_list] = measured.each_ref().map(|(_, costs)| costs[costs.len() - 1]);
        eprintln!(
            "round {round:2}: one review {one:.3}, twenty {list:.3}; processor time with places {places_one:.3}, {places_list:.3}"
        );
    }
    let is_legacy = |query: &String| query.starts_with("GET ");
    assert!(!bench.reviews.asked().iter().any(is_legacy), "legacy served measured requests");
    let mut ratios = pairs.iter().zip(measured).map(|(pair, (rates, costs))| Ratios {
        response: pair.response,
        throughput: Spread::of(rates),
        cpu: Spread::of(costs),
    });
    let mut two = || [(); 2].map(|()| ratios.next().expect("four pairs"));
    Report { adapted: two(), places: two() }
}
