//! A core that breaks, as WebAssembly does after a trap: it is replaced, and no request goes without an answer. No input
//! is known that breaks the real one, so its instances are wrapped.

use cutover_core::{config::Config, vocabulary::revision::Revision};
use cutover_tests::{
    http::{self, Answer},
    proxied::{SingleRouteWorker, single_route},
    raw_origin::{RawOrigin, ReceivedRequest},
};
use futures_util::future::join_all;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{io::AsyncWriteExt, sync::watch};

const USER: &[(&str, &str)] = &[("x-user-id", "u1")];

const ALL_NEW: &str = "enabled: true, rollout_percentage: 100";

/// Wraps the exports of every instance. The first `INSTANCES` ones break at their `CALLS`th call of `EXPORT`.
const BREAKING: &str = r#"{
  const Instance = WebAssembly.Instance;
  let made = 0;
  WebAssembly.Instance = function (module, imports) {
    const { exports } = new Instance(module, imports);
    const mayBreak = made++ < INSTANCES;
    let called = 0;
    let isBroken = false;
    const breaking = (name, call) => (...values) => {
      if (name === "EXPORT" && mayBreak && ++called >= CALLS) isBroken = true;
      if (isBroken) { FAILURE }
      return call(...values);
    };
    const wrap = ([name, value]) => [name, typeof value === "function" ? breaking(name, value) : value];
    return { exports: Object.fromEntries(Object.entries(exports).map(wrap)) };
  };
}"#;

/// Every call of a broken instance fails.
const TRAP: &str = r#"throw new WebAssembly.RuntimeError("unreachable");"#;

/// The state of a broken instance is borrowed for ever, so it decides nothing: no route, and the reason INTERNAL.
const BORROWED: &str = r#"if (name === "decide") return 0x57fff;"#;

/// The same when flags are to be evaluated: a table of another generation is missing, see `before_evaluation`, and the
/// response is a failure of no generation, see `evaluate`.
const BORROWED_TO_EVALUATE: &str = r#"
  if (name === "decide") return 0x57fff;
  if (name === "before_evaluation") return 1 << 2;
  if (name === "evaluate") {
    const address = call(...values);
    new Uint32Array(exports.memory.buffer, address, 6).set([500, 0, 0, 0, 0, 0]);
    return address;
  }"#;

fn breaking(instances: &str, calls: &str, failure: &str) -> String {
    breaking_at("decide", instances, calls, failure)
}

fn breaking_at(export: &str, instances: &str, calls: &str, failure: &str) -> String {
    let wrapped = BREAKING.replace("EXPORT", export).replace("INSTANCES", instances);
    wrapped.replace("CALLS", calls).replace("FAILURE", failure)
}

/// An origin that answers everything with its name.
async fn origin(name: &'static str) -> RawOrigin {
    RawOrigin::start(move |mut received: ReceivedRequest| async move {
        // A connection that is closed with bytes to read takes the response with it.
        received.body().await;
        let answer = format!(
            "HTTP/1.1 200 OK\r\nx-backend: {name}\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"
        );
        let _ = received.socket.write_all(answer.as_bytes()).await;
    })
    .await
}

/// The Worker with wrapped instances, between two origins. One route sends everybody to the new one, and every
/// caller may evaluate its flag.
struct Wrapped {
    worker: SingleRouteWorker,
    _legacy: RawOrigin,
    _new: RawOrigin,
}

impl Wrapped {
    async fn start(breaking: &str, variables: &[(&str, &str)]) -> Self {
        let (legacy, new) = (origin("legacy").await, origin("new").await);
        let route = single_route(&legacy.url(), &new.url(), 5_000, ALL_NEW, "");
        let text = format!("{route}ofrep: {{ anonymous: true }}\n");
        let legacy_url = legacy.url();
        let mut all = vec![("DECISION_HEADERS", "arm,reason"), ("LEGACY_ORIGIN", legacy_url.as_str())];
        all.extend(variables);
        let worker = SingleRouteWorker::prepared(&text, &all, |worker| worker.preceded_by(breaking)).await;
        Self { worker, _legacy: legacy, _new: new }
    }

    fn port(&self) -> u16 {
        self.worker.port()
    }

    async fn get(&self, path: &str) -> Answer {
        http::get(self.port(), path, USER).await
    }

    async fn evaluate(&self) -> Answer {
        let body = br#"{"context":{"targetingKey":"u1"}}"#;
        http::send(self.port(), "POST", "/ofrep/v1/evaluate/flags", &[], body).await
    }

    /// Returns the name of the isolate, which a new instance draws anew.
    async fn isolate(&self) -> String {
        let health = self.worker.health().await;
        health["reporting"]["isolate"].as_str().unwrap_or_else(|| panic!("{health:#}")).to_owned()
    }
}

// Patient, so that a busy machine does not look like a store that fails.
const PATIENT: [(&str, &str); 2] = [("SNAPSHOT_BOOT_WAIT_MS", "20000"), ("SNAPSHOT_SOFT_TTL_MS", "600000")];

const WAVES: usize = 8;
const MOST_AT_ONCE: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn a_core_that_breaks_is_replaced_and_decides_again() {
    for failure in [TRAP, BORROWED] {
        for at_once in [1, MOST_AT_ONCE] {
            let edge = Wrapped::start(&breaking("1", "20", failure), &PATIENT).await;
            assert_eq!(edge.get("/first").await.header("x-cutover-reason").as_deref(), Some("ROLLOUT"));
            let first = edge.isolate().await;
            let mut others = Vec::new();
            for _ in 0..WAVES * MOST_AT_ONCE / at_once {
                for answer in join_all((0..at_once).map(|_| edge.get("/x"))).await {
                    assert_eq!(answer.status, 200, "{failure}");
                    let (reason, backend) = (answer.header("x-cutover-reason"), answer.header("x-backend"));
                    match reason.as_deref() {
                        Some("ROLLOUT") => assert_eq!(backend.as_deref(), Some("new"), "{failure}"),
                        _ => {
                            assert_eq!(backend.as_deref(), Some("legacy"), "{failure}");
                            others.push(reason);
                        }
                    }
                }
            }
            println!("{at_once} at once, {failure}: not decided by the rollout: {others:?}");
            assert!(others.len() <= 1, "{failure}: {others:?}");
            let last = edge.get("/last").await;
            assert_eq!(last.header("x-cutover-reason").as_deref(), Some("ROLLOUT"), "{failure}");
            assert_ne!(edge.isolate().await, first, "the instance did not break: {failure}");
            let health = http::edge_health(edge.port()).await;
            assert_eq!(health["status"], "ok", "{health:#}");
            // Fewer than twenty of the requests were decided before.
            let counted = health["outcomes"]["new"]["requests"].as_u64().unwrap();
            assert!(counted + 20 >= (WAVES * MOST_AT_ONCE) as u64, "{health:#}");
        }
    }
}

/// The third evaluation breaks the core, or finds it broken. It gets an error that no cache keeps, or legacy's
/// response, or its flags if the new instance can evaluate them. All others get their flags.
#[tokio::test(flavor = "multi_thread")]
async fn a_core_that_breaks_at_an_evaluation_is_replaced_and_evaluates_again() {
    let failed = (500, None, Some("no-store".to_owned()));
    let from_legacy = (200, Some("legacy".to_owned()), None);
    for (export, failure, expected) in [
        ("evaluate", TRAP, vec![failed.clone()]),
        ("evaluate", BORROWED_TO_EVALUATE, vec![failed]),
        ("before_evaluation", TRAP, vec![]),
        ("before_evaluation", BORROWED_TO_EVALUATE, vec![from_legacy]),
    ] {
        let edge = Wrapped::start(&breaking_at(export, "1", "3", failure), &PATIENT).await;
        let value = |answer: &Answer| answer.json()["flags"][0]["value"].clone();
        assert_eq!(value(&edge.evaluate().await), true, "{export}: {failure}");
        let first = edge.isolate().await;
        let mut others = Vec::new();
        for _ in 0..6 {
            let answer = edge.evaluate().await;
            if answer.status == 200 && answer.header("etag").is_some() {
                assert_eq!(value(&answer), true, "{export}: {failure}");
            } else {
                others.push((answer.status, answer.header("x-backend"), answer.header("cache-control")));
            }
        }
        assert_eq!(others, expected, "{export}: {failure}");
        assert_ne!(edge.isolate().await, first, "the instance did not break at {export}: {failure}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_core_that_always_breaks_leaves_every_request_to_legacy() {
    let (first, second) = (origin("first").await, origin("second").await);
    let routes = format!("/a/={} /b/={}", first.url(), second.url());
    for failure in [TRAP, BORROWED] {
        let wrapped =
            Wrapped::start(&breaking("Infinity", "1", failure), &[("LEGACY_ROUTES", &routes)]).await;
        let edge = &wrapped;
        // Longer than the pause between two replacements.
        let deadline = Instant::now() + Duration::from_millis(2_500);
        let mut longest = Duration::ZERO;
        while Instant::now() < deadline {
            let paths = [("/a/1", "first"), ("/b/1/x", "second"), ("/c", "legacy")];
            let asked = paths.map(|(path, expected)| async move {
                let begun = Instant::now();
                let answer = edge.get(path).await;
                assert_eq!(answer.status, 200, "{path}, {failure}");
                assert_eq!(answer.header("x-backend").as_deref(), Some(expected), "{path}, {failure}");
                begun.elapsed()
            });
            longest = join_all(asked).await.into_iter().fold(longest, Duration::max);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        println!("the longest took {longest:?}: {failure}");
        assert!(longest < Duration::from_secs(3), "{longest:?}, {failure}");
    }
}

/// Requests that are under way while the core breaks: more than the failures in a row that divert.
const UNDER_WAY: u64 = 6;

#[tokio::test(flavor = "multi_thread")]
async fn failures_of_requests_of_a_broken_core_are_not_told_to_its_successor() {
    let (release, released) = watch::channel(false);
    let arrived = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&arrived);
    // It fails on /slow, and not before it is told to.
    let first = RawOrigin::start(move |mut received: ReceivedRequest| {
        let (mut released, counted) = (released.clone(), Arc::clone(&counted));
        async move {
            let is_slow = received.target() == "/slow";
            if is_slow {
                counted.fetch_add(1, Ordering::SeqCst);
                let _ = released.wait_for(|is_released| *is_released).await;
            }
            let status = if is_slow { 503 } else { 200 };
            let answer = format!(
                "HTTP/1.1 {status} Any\r\nx-backend: first\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
            let _ = received.socket.write_all(answer.as_bytes()).await;
        }
    })
    .await;
    let (legacy, second) = (origin("legacy").await, origin("second").await);
    let text = single_route(&legacy.url(), &first.url(), 30_000, ALL_NEW, "");
    let mut variables = PATIENT.to_vec();
    variables.push(("DECISION_HEADERS", "arm,reason"));
    let edge = SingleRouteWorker::prepared(&text, &variables, |worker| {
        worker.preceded_by(&breaking("1", "30", TRAP))
    })
    .await;
    let port = edge.port();
    let served_by = |answer: &Answer| answer.header("x-backend").unwrap_or_default();
    assert_eq!(served_by(&http::get(port, "/x", USER).await), "first");
    let slow: Vec<_> = (0..UNDER_WAY).map(|_| tokio::spawn(http::get(port, "/slow", USER))).collect();
    let deadline = Instant::now() + Duration::from_secs(60);
    while arrived.load(Ordering::SeqCst) < UNDER_WAY {
        assert!(Instant::now() < deadline, "the requests do not arrive");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    // In the next snapshot, another origin has the place of the first.
    let next = single_route(&legacy.url(), &second.url(), 30_000, ALL_NEW, "");
    let next = next.replace("new: {", "newer: {").replace("new: new", "new: newer");
    let config = Config::from_yaml(&next).unwrap_or_else(|problems| panic!("{problems:?}"));
    edge.kv.put("snapshot", config.snapshot(Revision(2), None).encode().unwrap());
    let mut decided = 0;
    while served_by(&http::get(port, "/x", USER).await) != "second" {
        decided += 1;
        assert!(decided < 40, "the core does not break");
    }

    release.send(true).expect("the requests wait");
    for answer in slow {
        assert_eq!(served_by(&answer.await.expect("an answer")), "legacy");
    }
    let answer = http::get(port, "/x", USER).await;
    assert_eq!(answer.header("x-cutover-reason").as_deref(), Some("ROLLOUT"));
    assert_eq!(served_by(&answer), "second");
}
