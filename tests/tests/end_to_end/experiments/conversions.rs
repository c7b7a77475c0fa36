//! Events that backends, clients and servers report: the header that no client gets, and the path of the Worker's own.

use crate::forwarding::websocket_accept;
use cutover_core::Timestamp;
use cutover_tests::{
    http::{self, Answer, EDGE_TOKEN},
    proxied::{SingleRouteWorker, single_route},
    raw_origin::{RawOrigin, ReceivedRequest},
};
use serde_json::json;
use std::time::{Duration, SystemTime};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const EXPERIMENTS: &str = r#"
experiments:
  colours: { name: Colours, success_metrics: [purchase], variants: { red: { name: Red, traffic_percentage: 100 }, blue: { name: Blue, traffic_percentage: 0 } } }
"#;

pub(super) const ALL_NEW: &str = "enabled: true, rollout_percentage: 100";
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

pub(super) fn assert_without_events(answer: &Answer, context: &str) {
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
    tokio::time::timeout(Duration::from_secs(60), greeted).await.expect("the backend's frame arrives");
    let (head, _) = http::parse_head(&received).unwrap();
    assert_eq!(head.status, 101);
    assert_without_events(&head, "a WebSocket");
}

/// Sends a body to the path of events.
pub(super) async fn track(
    edge: &SingleRouteWorker,
    query: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
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

pub(super) fn assert_taken(answer: &Answer, context: &str) {
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
pub(super) fn time(after_s: i64) -> String {
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

/// A client can break its upload off: that is no failure of the edge, and says nothing of legacy.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_off_counts_for_nothing() {
    let edge = tracking().await;
    let event = r#"{"name":"purchase"}"#;
    assert_taken(&track(&edge, "", &[USER], event).await, "a whole event");
    // A chunk whose length is none.
    let broken = "POST /_cutover/track HTTP/1.1\r\nhost: api.example.com\r\nconnection: close\r\nx-user-id: user-1\r\n\
                  transfer-encoding: chunked\r\n\r\n5\r\n{\"nam\r\nno length\r\n";
    let answer = http::exchange(edge.port(), broken.as_bytes()).await;
    assert_refused(&answer, 400, "event_invalid", "a broken event");
    assert_taken(&track(&edge, "", &[USER], event).await, "another whole event");
    let outcomes = edge.health().await["outcomes"].clone();
    for arm in ["legacy", "new"] {
        assert_eq!(outcomes[arm]["requests"], 0, "{outcomes}");
    }
}
