//! The health of origins over several isolates: the others know of an origin that failed for two of them.

use cutover_core::{Revision, measurement::question::Question};
use cutover_tests::{
    http::{self, edge_health},
    is_deep,
    question::ask,
    raw_origin::{RawOrigin, ReceivedRequest},
    stack::{Options, Stack},
};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::{
    fmt::Write,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::io::AsyncWriteExt;

/// Isolates: the first two send requests to origins that fail, the others do not.
const ISOLATES: usize = 4;

/// Seconds from the first failure until every isolate has left the origin, at most.
const REQUIRED: f64 = 30.0;

/// The same at the 90th percentile of many trials: two questions, one behind the other, and the age of a head.
const AIM: f64 = 11.0;

/// An origin that fails every request, and the requests that it received.
struct Failing {
    origin: RawOrigin,
    received: Arc<Mutex<Vec<String>>>,
}

impl Failing {
    async fn start() -> Self {
        let received: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&received);
        let origin = RawOrigin::start(move |mut request: ReceivedRequest| {
            seen.lock().unwrap().push(request.target());
            async move {
                request.body().await;
                let head = "HTTP/1.1 503 Sorry\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                let _ = request.socket.write_all(head.as_bytes()).await;
            }
        })
        .await;
        Self { origin, received }
    }

    /// Returns true if a request to this target arrived.
    fn has_received(&self, target: &str) -> bool {
        self.received.lock().unwrap().iter().any(|received| received == target)
    }
}

/// Configures a healthy route, and a route with a failing origin and a secondary for each trial.
fn configuration(stack: &Stack, failing: &Failing, trials: usize) -> String {
    let (old, new) = (stack.legacy.url(), stack.new.url());
    let mut origins = format!("  old: {{ url: \"{old}\" }}\n  new: {{ url: \"{new}\" }}\n");
    let mut routes = "  - { id: ok, match: { path: /ok }, flag: f, legacy: old, new: new }\n".to_owned();
    for trial in 0..trials {
        let dead = failing.origin.url();
        writeln!(origins, "  dead{trial}: {{ url: \"{dead}\", secondary: old }}").unwrap();
        writeln!(
            routes,
            "  - {{ id: t{trial}, match: {{ path: /t{trial} }}, flag: f, legacy: dead{trial}, new: new }}"
        )
        .unwrap();
    }
    format!(
        "feature_flags:\n  f: {{ enabled: true, rollout_percentage: 0 }}\norigins:\n{origins}routes:\n{routes}"
    )
}

async fn get(port: u16, path: &str) -> u16 {
    http::get(port, path, &[("x-user-id", "u1")]).await.status
}

/// Returns the state of an origin as an isolate knows it; null if it is well.
async fn state(port: u16, origin: &str) -> Value {
    let health = edge_health(port).await;
    let origins = health["origins"].as_array().cloned().unwrap_or_default();
    origins.into_iter().find(|state| state["origin"] == origin).unwrap_or_default()
}

/// Kills an origin in front of two isolates. Returns the seconds until each of the others has left it.
async fn trial(ports: &[u16], failing: &Failing, number: usize) -> f64 {
    let begun = Instant::now();
    let (path, origin) = (format!("/t{number}"), format!("dead{number}"));
    let left = ports.iter().enumerate().map(|(isolate, port)| {
        let (path, origin) = (&path, &origin);
        async move {
            let is_struck = isolate < 2;
            loop {
                // No client of either kind sees any of it: the secondary has no such path.
                assert_eq!(get(*port, if is_struck { path } else { "/ok" }).await, 404);
                let state = state(*port, origin).await;
                // It must last for the request that follows.
                if state["circuit"] == "open" && state["open_for_ms"].as_u64() > Some(500) {
                    assert_eq!(state["is_told"], !is_struck, "{state:#}");
                    let seconds = begun.elapsed().as_secs_f64();
                    // The first request of this isolate: the circuit decides before anything is sent.
                    let first = format!("{path}?isolate={isolate}");
                    assert_eq!(get(*port, &first).await, 404);
                    assert!(!failing.has_received(&first), "isolate {isolate} sent a request to {origin}");
                    return seconds;
                }
                assert!(begun.elapsed().as_secs_f64() < REQUIRED, "isolate {isolate} has not left {origin}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    });
    let left = join_all(left).await;
    assert!(failing.has_received(&path));
    left.into_iter().fold(0.0, f64::max)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_two_isolates_found_the_others_know() {
    let stack = Stack::start(Options { isolates: ISOLATES, ..Options::default() }.enforcing()).await;
    let trials = if is_deep() { 30 } else { 2 };
    let failing = Failing::start().await;
    stack.management().apply(&configuration(&stack, &failing, trials)).await.expect(200);
    let ports = stack.edge.ports();
    for port in &ports {
        let deadline = Instant::now() + Duration::from_secs(60);
        while edge_health(*port).await["revision"].is_null() {
            assert!(Instant::now() < deadline, "the configuration does not reach an isolate");
            get(*port, "/ok").await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let mut seconds = Vec::new();
    for number in 0..trials {
        seconds.push(trial(&ports, &failing, number).await);
    }
    seconds.sort_by(f64::total_cmp);
    let share = |percent: usize| seconds[(seconds.len() * percent / 100).min(seconds.len() - 1)];
    println!(
        "left everywhere after {:.1} s (median), {:.1} s (p90), {:.1} s (longest) of {trials} trials",
        share(50),
        share(90),
        share(100)
    );
    if is_deep() {
        assert!(share(90) <= AIM, "{seconds:?}");
    }
    assert_eq!(stack.denied(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_isolate_alone_closes_no_origin_for_the_others() {
    let stack = Stack::start(Options::default().enforcing()).await;
    let url = stack.lambda.url("ask");
    let question = |isolate: &str, open: Value| {
        let question = Question { isolate: Some(isolate.repeat(32)), ..Question::since(Revision(0)) };
        let mut question: Value = serde_json::from_str(&question.encode()).unwrap();
        question["health"] = open;
        question.to_string()
    };
    let open = |ms: u64| json!([{ "origin": "rest", "open_for_ms": ms }]);
    let told = async |isolate: &str, open: Value| {
        let (status, answer) = ask(&url, &question(isolate, open)).await;
        assert_eq!(status, 200, "{answer:#}");
        answer["health"].clone()
    };
    // However often and long it says so.
    for ms in [300_000, 200_000] {
        assert_eq!(told("a", open(ms)).await, Value::Null);
    }
    // A report that is not written in time is lost, and sent again.
    let patience = Instant::now() + Duration::from_secs(30);
    let mut told_to_second = told("b", open(60_000)).await;
    while told_to_second.is_null() {
        assert!(Instant::now() < patience, "two isolates are not believed");
        tokio::time::sleep(Duration::from_millis(100)).await;
        told("a", open(200_000)).await;
        told_to_second = told("b", open(60_000)).await;
    }
    let ms = told_to_second[0]["open_for_ms"].as_u64().unwrap_or_default();
    assert!((30_000..=60_000).contains(&ms), "as long as both hold it: {told_to_second:#}");
    // Every process knows of it within the age of a head.
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut known = 0;
    while known < 10 {
        let health = told("c", json!([])).await;
        known = if health[0]["origin"] == "rest" { known + 1 } else { 0 };
        assert!(Instant::now() < deadline, "a process does not know of it");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(stack.denied(), Vec::<String>::new());
}
