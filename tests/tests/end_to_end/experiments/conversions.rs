//! Events that backends, clients and servers report: the header that no client gets, and the path of the Worker's own.

use crate::forwarding::websocket_accept;
use axum::{Json, Router, body::Bytes, http::HeaderMap, routing::post};
use cutover_core::{
    Revision, Snapshot, Timestamp,
    config::Config,
    measurement::{answer::Answer as Word, batch::Batch, experiments::ExperimentKey, label::ExperimentLabel},
};
use cutover_tests::{
    gzip::plain_body,
    http::{self, Answer, EDGE_TOKEN},
    is_deep,
    proxied::{SingleRouteWorker, single_route},
    raw_origin::{RawOrigin, ReceivedRequest},
    server::Server,
    stack::INGEST_SECRET,
};
use serde_json::json;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const EXPERIMENTS: &str = r#"
experiments:
  colours: { name: Colours, success_metrics: [purchase], variants: { red: { name: Red, traffic_percentage: 100 }, blue: { name: Blue, traffic_percentage: 0 } } }
"#;

const ALL_NEW: &str = "enabled: true, rollout_percentage: 100";
const IDENTITY: &str = ", identity: [\"header:x-user-id\"]";
const EVENT: &str = "x-cutover-event";
const USER: (&str, &str) = ("x-user-id", "user-1");

/// A text frame of a WebSocket with the word `hi`.
const GREETING: &[u8] = b"\x81\x02hi";

/// Starts a backend that reports events with every response. The last segment of a path is the status.
async fn reporting(name: &'static str) -> RawOrigin {
    RawOrigin::start(move |mut received: ReceivedRequest| async move {
        received.body().await;
        let events = "X-Cutover-Event: purchase;value=12.5\r\nx-cutover-event: signup, a;b;c";
        if let Some(key) = received.header("sec-websocket-key").first() {
            let accept = websocket_accept(key);
            let head = format!(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n{events}\r\n\
                 x-backend: {name}\r\nsec-websocket-accept: {accept}\r\n\r\n"
            );
            let _ = received.socket.write_all(&[head.as_bytes(), GREETING].concat()).await;
            // A WebSocket ends when its client leaves.
            let _ = received.socket.read(&mut [0; 64]).await;
            return;
        }
        let target = received.target();
        let status: u16 = target.rsplit('/').next().and_then(|last| last.parse().ok()).unwrap_or(200);
        let has_body = !matches!(status, 204 | 304);
        let body = if has_body && received.method() != "HEAD" { "{}" } else { "" };
        let length = if has_body { "content-length: 2\r\n" } else { "" };
        let answer = format!(
            "HTTP/1.1 {status} Some\r\ncontent-type: application/json\r\nx-backend: {name}\r\n{events}\r\n{length}\
             connection: close\r\n\r\n{body}"
        );
        let _ = received.socket.write_all(answer.as_bytes()).await;
    })
    .await
}

fn assert_without_events(answer: &Answer, context: &str) {
    assert_eq!(answer.all(EVENT), Vec::<String>::new(), "{context}: {answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_a_response_reach_no_client() {
    let (legacy, new) = (reporting("legacy").await, reporting("new").await);
    let ingest = ("INGEST_URL", "http://127.0.0.1:9/");
    let shown = ("DECISION_HEADERS", "arm,reason,revision");
    for (route, more, variables) in [
        ("", "", vec![]),
        ("", EXPERIMENTS, vec![]),
        ("", EXPERIMENTS, vec![ingest, shown]),
        (", error_when: { path: success, equals: false }", EXPERIMENTS, vec![]),
        (", compare: { sample: 100, noise: 0 }", EXPERIMENTS, vec![ingest]),
    ] {
        let yaml = single_route(&legacy.url(), &new.url(), 2_000, ALL_NEW, &format!("{IDENTITY}{route}"));
        let edge = SingleRouteWorker::configured(&(yaml + more), &variables).await;
        for method in ["GET", "HEAD", "POST", "PUT"] {
            let body: &[u8] = if matches!(method, "POST" | "PUT") { b"a body" } else { b"" };
            // Legacy answers a GET that the new backend answers with 503, and has events too.
            for status in [200, 204, 304, 404, 500, 503] {
                let answer = http::send(edge.port(), method, &format!("/{status}"), &[USER], body).await;
                let context = format!("{method} {status} {route} {variables:?}");
                assert_eq!(answer.status, status, "{context}");
                let is_fallback = status == 503 && matches!(method, "GET" | "HEAD");
                let backend = if is_fallback { "legacy" } else { "new" };
                assert_eq!(answer.header("x-backend").as_deref(), Some(backend), "{context}");
                assert_without_events(&answer, &context);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_a_response_reach_no_client_past_an_adapter_or_without_a_route() {
    let (legacy, new) = (reporting("legacy").await, reporting("new").await);
    let yaml =
        |route: &str| single_route(&legacy.url(), &new.url(), 2_000, ALL_NEW, &format!("{IDENTITY}{route}"));
    let adapter = "adapters: { a: { keep_headers: [x-cutover-event, x-backend], \
                   routes: [{ match: { method: GET, path: /x }, backend: { method: GET, path: /200 } }] } }\n";
    for more in ["", EXPERIMENTS] {
        let adapted = format!("{}{adapter}{more}", yaml(", adapt: [a]"));
        let edge = SingleRouteWorker::configured(&adapted, &[]).await;
        let answer = http::get(edge.port(), "/x", &[USER]).await;
        assert_eq!((answer.status, answer.header("x-backend").as_deref()), (200, Some("new")), "{more}");
        assert_without_events(&answer, more);
    }
    let elsewhere = yaml("").replace("/{*rest}", "/elsewhere");
    let url = legacy.url();
    let edge = SingleRouteWorker::configured(&elsewhere, &[("LEGACY_ORIGIN", url.as_str())]).await;
    let answer = http::get(edge.port(), "/200", &[USER]).await;
    assert_eq!((answer.status, answer.header("x-backend").as_deref()), (200, Some("legacy")));
    assert_without_events(&answer, "without a route");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_whose_response_reports_events_begins_without_them() {
    let new = reporting("new").await;
    let yaml = single_route(&new.url(), &new.url(), 2_000, ALL_NEW, IDENTITY);
    let edge = SingleRouteWorker::configured(&(yaml + EXPERIMENTS), &[]).await;
    let mut socket = TcpStream::connect(("127.0.0.1", edge.port())).await.unwrap();
    let upgrade = "GET /ws HTTP/1.1\r\nhost: h\r\nx-user-id: user-1\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(upgrade.as_bytes()).await.unwrap();
    let mut received = Vec::new();
    let greeted = async {
        let mut buffer = [0; 4_096];
        while !received.ends_with(GREETING) {
            let read = socket.read(&mut buffer).await.unwrap();
            assert!(read > 0, "the connection was closed: {:?}", String::from_utf8_lossy(&received));
            received.extend_from_slice(&buffer[..read]);
        }
    };
    tokio::time::timeout(Duration::from_secs(10), greeted).await.expect("the backend's frame arrives");
    let (head, _) = http::parse_head(&received).unwrap();
    assert_eq!(head.status, 101);
    assert_without_events(&head, "a WebSocket");
}

/// Sends a body to the path of events.
async fn track(edge: &SingleRouteWorker, query: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let target = format!("/_cutover/track{query}");
    http::send(edge.port(), "POST", &target, headers, body.as_bytes()).await
}

fn assert_refused(answer: &Answer, status: u16, code: &str, context: &str) {
    assert_eq!(answer.status, status, "{context}: {answer:?}");
    assert_eq!(answer.header("content-type").as_deref(), Some("application/problem+json"), "{context}");
    assert_eq!(
        (&answer.json()["status"], &answer.json()["code"]),
        (&json!(status), &json!(code)),
        "{context}"
    );
}

fn assert_taken(answer: &Answer, context: &str) {
    assert_eq!((answer.status, answer.body.len()), (204, 0), "{context}: {answer:?}");
    assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"), "{context}");
}

async fn tracking() -> SingleRouteWorker {
    let nowhere = "http://127.0.0.1:9";
    let yaml = single_route(nowhere, nowhere, 2_000, ALL_NEW, IDENTITY);
    SingleRouteWorker::configured(&(yaml + EXPERIMENTS), &[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_a_client_is_taken_whether_anything_counts_it_or_not() {
    let edge = tracking().await;
    for (query, headers, body) in [
        ("", vec![USER], r#"{"name":"purchase","value":12.5}"#),
        ("", vec![USER], r#"{"event":"purchase"}"#),
        ("", vec![USER], r#"{"name":"that nothing counts","attributes":{"a":[1]}}"#),
        ("", vec![], r#"{"name":"purchase"}"#),
        ("", vec![], r#"{"name":"purchase","user":"user-1","targetingKey":"user-1","id":"1"}"#),
        ("?route=all", vec![USER], r#"{"name":"purchase"}"#),
        ("", vec![USER, ("origin", "http://api.example.com")], r#"{"name":"purchase"}"#),
        ("", vec![USER, ("origin", "https://api.example.com")], r#"{"name":"purchase"}"#),
        // A token of the application, which the Worker has no keys for.
        ("", vec![USER, ("authorization", "Bearer eyJh.eyJz.c2ln")], r#"{"name":"purchase"}"#),
        ("", vec![USER, ("authorization", "Basic dTpw")], r#"{"name":"purchase"}"#),
    ] {
        assert_taken(&track(&edge, query, &headers, body).await, &format!("{query} {headers:?} {body}"));
    }
    let preflight = [("origin", "https://other.example"), ("access-control-request-method", "POST")];
    let answer = http::send(edge.port(), "OPTIONS", "/_cutover/track", &preflight, b"").await;
    assert_taken(&answer, "a preflight");
    let allows = |(name, _): &(String, Vec<u8>)| name.starts_with("access-control-");
    assert!(!answer.headers.iter().any(allows), "another host's page may send nothing: {answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_refused_says_why() {
    let edge = tracking().await;
    for body in ["", "purchase", "[]", "{}", r#"{"name":""}"#, r#"{"name":"a","value":-1}"#] {
        assert_refused(&track(&edge, "", &[USER], body).await, 400, "event_invalid", body);
    }
    let long = format!(r#"{{"name":"purchase","filler":"{}"}}"#, "x".repeat(1_024));
    assert_refused(&track(&edge, "", &[USER], &long).await, 413, "event_too_large", "1 KB and more");
    let event = r#"{"name":"purchase"}"#;
    assert_refused(&track(&edge, "?route=none", &[USER], event).await, 400, "route_unknown", "a route");
    for origin in
        ["https://other.example", "http://api.example.com.other.example", "http://api.example.com:81", "null"]
    {
        let answer = track(&edge, "", &[USER, ("origin", origin)], event).await;
        assert_refused(&answer, 403, "origin_foreign", origin);
    }
    for method in ["GET", "PUT", "DELETE"] {
        let answer = http::send(edge.port(), method, "/_cutover/track", &[USER], b"").await;
        assert_refused(&answer, 405, "method_not_allowed", method);
        assert_eq!(answer.header("allow").as_deref(), Some("OPTIONS, POST"), "{method}");
    }
    let answer = http::send(edge.port(), "POST", "/_cutover/tracks", &[USER], event.as_bytes()).await;
    assert_refused(&answer, 404, "own_path_unknown", "another path");
}

/// Returns the time some seconds from now.
fn time(after_s: i64) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
    Timestamp::from_millis(i64::try_from(now).unwrap() + after_s * 1_000).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_reports_events_with_the_edge_token() {
    let edge = tracking().await;
    let bearer = format!("Bearer {EDGE_TOKEN}");
    let event =
        |at: &str| json!({ "name": "purchase", "value": 12.5, "user": "user-1", "at": at, "id": "order-1" });
    for after_s in [0, -86_000, 50] {
        let body = event(&time(after_s)).to_string();
        assert_taken(&track(&edge, "", &[("authorization", &bearer)], &body).await, &body);
        let longer = format!("bearer {EDGE_TOKEN}x");
        for wrong in ["Bearer wrong", "Bearer ", longer.as_str()] {
            let answer = track(&edge, "", &[("authorization", wrong)], &body).await;
            assert_refused(&answer, 401, "edge_token_wrong", wrong);
        }
    }
    for field in ["user", "at", "id", "name"] {
        let mut incomplete = event(&time(0));
        incomplete.as_object_mut().unwrap().remove(field);
        let answer = track(&edge, "", &[("authorization", &bearer)], &incomplete.to_string()).await;
        assert_refused(&answer, 400, "event_invalid", field);
    }
    for after_s in [-86_500, 120] {
        let body = event(&time(after_s)).to_string();
        let answer = track(&edge, "", &[("authorization", &bearer)], &body).await;
        assert_refused(&answer, 400, "event_invalid", &body);
    }
}

const COUNTED: &str = r#"
experiments:
  colours:
    name: Colours
    metrics: [{ name: spent, kind: value, cap: 1000, on: { event: purchase } }]
    success_metrics: [purchase]
    variants: { red: { name: Red, traffic_percentage: 100 }, blue: { name: Blue, traffic_percentage: 0 } }
"#;

const KEY: &str = "000102030405060708090a0b0c0d0e0f";

/// Positions of the metrics of [`COUNTED`].
const SPENT: u8 = 0;
const PURCHASE: u8 = 1;

/// An outcome in a batch: hash of the user, position of the metric, value, and true if it has an id.
type Found = (u64, u8, Option<u64>, bool);

/// Starts an ingest that stores every batch.
async fn ingest(batches: Arc<Mutex<Vec<Batch>>>) -> Server {
    let store = move |headers: HeaderMap, body: Bytes| {
        let batch = serde_json::from_slice(&plain_body(&headers, &body)).unwrap();
        batches.lock().unwrap().push(batch);
        async { Json(Word::at(Revision(1))) }
    };
    let app = Router::new()
        .route("/v1/batches", post(store))
        .route("/v1/questions", post(|| async { Json(Word::at(Revision(1))) }));
    Server::start(app).await
}

fn found(batches: &Mutex<Vec<Batch>>) -> BTreeSet<Found> {
    let batches = batches.lock().unwrap();
    let parts = batches.iter().flat_map(|batch| &batch.experiments);
    let outcomes = parts.flat_map(|part| &part.outcomes);
    outcomes.map(|held| (held.user, held.metric, held.value, held.id.is_some())).collect()
}

/// Events of now are reported when their window is over. One that a server reports later is in the next batch, so the short
/// form waits for that alone.
#[tokio::test(flavor = "multi_thread")]
async fn reported_events_are_in_a_batch_under_the_hash_of_their_user() {
    let batches = Arc::default();
    let ingest = ingest(Arc::clone(&batches)).await;
    let new = reporting("new").await;
    let yaml = single_route(&new.url(), &new.url(), 500, ALL_NEW, IDENTITY) + COUNTED;
    let config = Config::from_yaml(&yaml).unwrap_or_else(|problems| panic!("{problems:?}"));
    let mut snapshot: Snapshot = config.snapshot(Revision(1), None);
    let label = ExperimentLabel { phase: 1, key: KEY.to_owned() };
    snapshot.experiment_labels.insert("colours".parse().unwrap(), label);
    let url = ingest.url();
    let variables = [
        ("INGEST_URL", url.as_str()),
        ("CUTOVER_INGEST_SECRET", INGEST_SECRET),
        ("REPORT_INTERVAL_MS", "500"),
    ];
    let edge = SingleRouteWorker::holding(&snapshot, &variables).await;

    let key = ExperimentKey::parse(KEY).unwrap();
    let both = |user: &str, has_id| -> [Found; 2] {
        [(key.hash(user), SPENT, Some(12_500), has_id), (key.hash(user), PURCHASE, None, false)]
    };
    let bearer = format!("Bearer {EDGE_TOKEN}");
    let of_server =
        json!({ "name": "purchase", "value": 12.5, "user": "user-1", "at": time(-60), "id": "order-1" })
            .to_string();
    for _ in 0..2 {
        assert_taken(&track(&edge, "", &[("authorization", &bearer)], &of_server).await, "a server");
    }
    let forged = r#"{"name":"purchase","value":12.5,"user":"forged","targetingKey":"forged"}"#;
    assert_taken(&track(&edge, "", &[("x-user-id", "user-2")], forged).await, "a client");
    assert_taken(&track(&edge, "", &[], forged).await, "a client without an id");
    assert_eq!(http::get(edge.port(), "/200", &[("x-user-id", "user-3")]).await.status, 200);

    let prompt = BTreeSet::from(both("user-1", true));
    let later = [both("user-2", false), both("user-3", false)].concat();
    let all: BTreeSet<Found> = prompt.iter().copied().chain(later).collect();
    let awaited = if is_deep() { &all } else { &prompt };
    let deadline = Instant::now() + Duration::from_secs(60);
    while !found(&batches).is_superset(awaited) {
        assert!(Instant::now() < deadline, "{awaited:?} in {:?}", found(&batches));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(found(&batches).is_subset(&all), "nobody else has an event: {:?}", found(&batches));
}
