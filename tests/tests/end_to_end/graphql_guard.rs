//! Guarded routes of GraphQL: what is refused reaches no backend, what is allowed arrives byte for byte, and other
//! routes are as before.

mod probes;
mod slow_uploads;

use super::teardown::Ingest;
use aws_lc_rs::digest::{SHA256, digest};
use cutover_tests::{
    http::{self, Answer},
    proxied::{SingleRouteWorker, single_route},
    raw_origin::{RawOrigin, ReceivedRequest},
};
use std::time::{Duration, Instant};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
};

const USER: (&str, &str) = ("x-user-id", "u1");
const JSON: (&str, &str) = ("content-type", "application/json");
const GOOD: &[u8] = br#"{"query":"{ good }"}"#;
const GRAPHQL_TYPE: &str = "application/graphql-response+json";

/// A request as the backend got it.
#[derive(Debug, PartialEq, Eq)]
struct Arrived {
    method: String,
    target: String,
    content_type: Vec<Vec<u8>>,
    body: Vec<u8>,
}

/// The Worker in front of a backend that tells what arrives.
struct Guarded {
    edge: SingleRouteWorker,
    arrived: mpsc::UnboundedReceiver<Arrived>,
    _new: RawOrigin,
}

impl Guarded {
    async fn start(route: &str) -> Self {
        Self::reporting(route, &[]).await
    }

    async fn reporting(route: &str, variables: &[(&str, &str)]) -> Self {
        let (told, arrived) = mpsc::unbounded_channel();
        let new = RawOrigin::start(move |mut received: ReceivedRequest| {
            let told = told.clone();
            async move {
                let body = received.body().await;
                let (method, target) = (received.method(), received.target());
                let content_type = received.header("content-type");
                let _ = told.send(Arrived { method, target, content_type, body });
                let body = if received.method() == "HEAD" { "" } else { "ok" };
                let answer =
                    format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{body}");
                let _ = received.socket.write_all(answer.as_bytes()).await;
            }
        })
        .await;
        let flag = "enabled: true, rollout_percentage: 100";
        let yaml = single_route("http://127.0.0.1:9", &new.url(), 5_000, flag, route);
        let mut all = vec![("DECISION_HEADERS", "arm,reason")];
        all.extend(variables);
        Self { edge: SingleRouteWorker::configured(&yaml, &all).await, arrived, _new: new }
    }

    async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut all = vec![USER];
        all.extend(headers);
        http::send(self.edge.port(), method, target, &all, body).await
    }

    async fn post(&self, body: &[u8]) -> Answer {
        self.send("POST", "/graphql", &[JSON], body).await
    }

    /// Asserts that the backend got nothing since the last request that it was asked for.
    async fn assert_nothing_arrived(&mut self) {
        assert_eq!(self.post(GOOD).await.status, 200);
        assert_eq!(self.arrived.recv().await.unwrap().body, GOOD, "a refused request arrived");
    }
}

#[track_caller]
fn assert_refused(answer: &Answer, status: u16, code: &str) {
    let text = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, status, "{code}: {text}");
    assert_eq!(answer.json()["errors"][0]["extensions"]["code"], code, "{text}");
    assert!(answer.json()["errors"][0]["message"].is_string(), "{text}");
    assert_eq!(answer.header("x-cutover-reason").as_deref(), Some("GUARDED"), "{code}");
    assert_eq!(answer.header("x-cutover-arm").as_deref(), Some("legacy"), "{code}");
    assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"), "{code}");
    assert_eq!(answer.header("set-cookie"), None, "{code}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_query_arrives_byte_for_byte() {
    let mut guarded = Guarded::start(", guard: {}").await;
    let types = ["application/json", "application/json; charset=UTF-8"];
    let odd = "\r\n {\"variables\" : {\"v\":[1,2.50,\"\\u00e4 \u{e4}\"]},\t\"query\":\"query Q($v:V){ a(b:$v) }\" } \n";
    let padded = [GOOD, &vec![b' '; 65_536 - GOOD.len()]].concat();
    for content_type in types {
        for body in [GOOD, odd.as_bytes(), &padded] {
            let answer =
                guarded.send("POST", "/graphql?x=%7B", &[("content-type", content_type)], body).await;
            assert_eq!((answer.status, answer.body.as_slice()), (200, b"ok".as_slice()));
            assert_eq!(answer.header("x-cutover-reason").as_deref(), Some("ROLLOUT"));
            let arrived = guarded.arrived.recv().await.unwrap();
            assert_eq!((arrived.method.as_str(), arrived.target.as_str()), ("POST", "/graphql?x=%7B"));
            assert_eq!(arrived.content_type, [content_type.as_bytes().to_vec()]);
            assert!(arrived.body == body, "{} bytes of {}", arrived.body.len(), body.len());
        }
    }
    let target = "/graphql?query=%7B+a(b:%22%2B%22)+%7D&variables=%7B%7D";
    for method in ["GET", "HEAD"] {
        assert_eq!(guarded.send(method, target, &[], b"").await.status, 200, "{method}");
        let arrived = guarded.arrived.recv().await.unwrap();
        assert_eq!((arrived.method.as_str(), arrived.target.as_str()), (method, target));
    }
    // A preflight of a browser is not GraphQL.
    let preflight = [("origin", "https://page.example"), ("access-control-request-method", "POST")];
    assert_eq!(guarded.send("OPTIONS", "/graphql", &preflight, b"").await.status, 200);
    assert_eq!(guarded.arrived.recv().await.unwrap().method, "OPTIONS");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_reaches_no_backend() {
    let mut guarded = Guarded::start(", guard: { limits: { depth: 3 } }").await;
    let many = |unit: &str, times: usize| unit.repeat(times);
    for (document, code) in [
        ("{ a { b { c { d } } } }".to_owned(), "TOO_DEEP"),
        ("{ a { ...F } } fragment F on T { b { c { d } } }".to_owned(), "TOO_DEEP"),
        (format!("{{ {} }}", many("x: a ", 16)), "TOO_MANY_ALIASES"),
        (format!("{{ {} }}", many("a ", 21)), "TOO_MANY_ROOT_FIELDS"),
        (format!("{{ a {} }}", many("@b ", 6)), "TOO_MANY_DIRECTIVES"),
        (format!("{{ a(b: {}1{}) }}", many("[", 21), many("]", 21)), "VALUE_TOO_DEEP"),
        (format!("{{ a(b: [{}]) }}", many("1 ", 1_000)), "TOO_MANY_TOKENS"),
        (format!("{{ a }} #{}", many("c", 15_000)), "DOCUMENT_TOO_LARGE"),
        (many("query Q { a } ", 6), "TOO_MANY_OPERATIONS"),
        ("{ ...F } fragment F on T { ...F }".to_owned(), "FRAGMENT_CYCLE"),
        ("{ ...F }".to_owned(), "UNKNOWN_FRAGMENT"),
        ("{ ...F } fragment F on Query { __schema { types { name } } }".to_owned(), "INTROSPECTION_DISABLED"),
        ("{ a".to_owned(), "GRAPHQL_PARSE_FAILED"),
        ("type A { b: C }".to_owned(), "NOT_EXECUTABLE"),
    ] {
        let body = serde_json::json!({ "query": document }).to_string();
        let answer = guarded.post(body.as_bytes()).await;
        assert_refused(&answer, 400, code);
        assert_eq!(answer.header("content-type").as_deref(), Some(GRAPHQL_TYPE));
    }
    for (body, code) in [
        ("", "BAD_REQUEST"),
        ("{", "BAD_REQUEST"),
        (r#"{"operationName":"Q"}"#, "NO_DOCUMENT"),
        (r#"{"query":"{ a }","query":"{ b }"}"#, "AMBIGUOUS_REQUEST"),
        (r#"[{"query":"{ a }"}]"#, "BATCH_NOT_ALLOWED"),
    ] {
        assert_refused(&guarded.post(body.as_bytes()).await, 400, code);
    }
    for (headers, code) in [
        ([("content-type", "text/plain"), ("x-a", "b")], "UNSUPPORTED_MEDIA_TYPE"),
        ([JSON, ("content-encoding", "gzip")], "UNSUPPORTED_ENCODING"),
    ] {
        assert_refused(&guarded.send("POST", "/graphql", &headers, GOOD).await, 415, code);
    }
    let two_places = guarded.send("POST", "/graphql?query={a}", &[JSON], GOOD).await;
    assert_refused(&two_places, 400, "AMBIGUOUS_REQUEST");
    for (method, target, status, code) in [
        ("GET", "/graphql?query=mutation%7Ba%7D", 405, "QUERIES_ONLY"),
        ("GET", "/graphql", 400, "NO_DOCUMENT"),
        ("DELETE", "/graphql?query=%7Ba%7D", 405, "METHOD_NOT_ALLOWED"),
        ("OPTIONS", "/graphql?query=%7Ba%7D", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/graphql?query=%7Ba%7D&x=1;query=%7Bb%7D", 400, "AMBIGUOUS_REQUEST"),
        ("GET", "/graphql?query=%7Ba%7D&%20query=%7Bb%7D", 400, "AMBIGUOUS_REQUEST"),
    ] {
        let answer = guarded.send(method, target, &[], b"").await;
        assert_refused(&answer, status, code);
        let allowed = (status == 405).then(|| "GET, HEAD, POST".to_owned());
        assert_eq!(answer.header("allow"), allowed, "{target}");
    }
    let json_only = guarded.send("POST", "/graphql", &[JSON, ("accept", "application/json")], b"{}").await;
    assert_refused(&json_only, 400, "NO_DOCUMENT");
    assert_eq!(json_only.header("content-type").as_deref(), Some("application/json"));
    guarded.assert_nothing_arrived().await;
}

/// Subscriptions would pass unseen behind the query of the URL.
#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_is_refused_whatever_its_url_asks_for() {
    let mut guarded = Guarded::start(", guard: {}").await;
    let upgrade = b"GET /graphql?query=%7Ba%7D HTTP/1.1\r\nhost: h\r\nx-user-id: u\r\nupgrade: websocket\r\n\
                    connection: Upgrade\r\nsec-websocket-version: 13\r\n\
                    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    assert_refused(&http::exchange(guarded.edge.port(), upgrade).await, 400, "UPGRADE_NOT_ALLOWED");
    guarded.assert_nothing_arrived().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_64_kb_is_refused_however_it_is_sent() {
    let mut guarded = Guarded::start(", guard: {}").await;
    let body = [GOOD, &vec![b' '; 65_537 - GOOD.len()]].concat();
    assert_refused(&guarded.post(&body).await, 413, "REQUEST_TOO_LARGE");
    let mut request =
        b"POST /graphql HTTP/1.1\r\nhost: h\r\nx-user-id: u\r\ncontent-type: application/json\r\n\
                        transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
            .to_vec();
    for part in body.chunks(8_192) {
        request.extend(format!("{:x}\r\n", part.len()).into_bytes());
        request.extend(part);
        request.extend(b"\r\n");
    }
    request.extend(b"0\r\n\r\n");
    assert_refused(&http::exchange(guarded.edge.port(), &request).await, 413, "REQUEST_TOO_LARGE");
    guarded.assert_nothing_arrived().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_sent_on_up_to_their_limit() {
    let mut guarded = Guarded::start(", guard: { batches: 2 }").await;
    let batch = |operations: usize| format!("[{}]", vec![r#"{"query":"{ a }"}"#; operations].join(" , "));
    assert_eq!(guarded.post(batch(2).as_bytes()).await.status, 200);
    assert_eq!(guarded.arrived.recv().await.unwrap().body, batch(2).into_bytes());
    assert_refused(&guarded.post(batch(3).as_bytes()).await, 400, "BATCH_TOO_LARGE");
    guarded.assert_nothing_arrived().await;
}

fn sha256(text: &str) -> String {
    digest(&SHA256, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_that_are_not_trusted_are_logged_before_they_are_refused() {
    let known = sha256("{ known }");
    let by_hash = format!(r#"{{"extensions":{{"persistedQuery":{{"version":1,"sha256Hash":"{known}"}}}}}}"#);
    let other = br#"{"query":"{ other }"}"#;
    for mode in ["off", "log", "enforce"] {
        let documents = format!("[\"{{ good }}\", {known}]");
        let route = format!(", guard: {{ trusted_documents: {{ mode: {mode}, documents: {documents} }} }}");
        let mut guarded = Guarded::start(&route).await;
        for body in [br#"{"query":"{ known }"}"#.as_slice(), by_hash.as_bytes(), GOOD] {
            assert_eq!(guarded.post(body).await.status, 200, "{mode}");
            assert_eq!(guarded.arrived.recv().await.unwrap().body, body, "{mode}");
        }
        let answer = guarded.post(other).await;
        if mode == "enforce" {
            assert_refused(&answer, 400, "UNTRUSTED_DOCUMENT");
        } else {
            assert_eq!(answer.status, 200, "{mode}");
            assert_eq!(guarded.arrived.recv().await.unwrap().body, other, "{mode}");
        }
        guarded.assert_nothing_arrived().await;
        let line = format!(r#""event":"graphql_untrusted","route":"all","sha256":"{}""#, sha256("{ other }"));
        let deadline = Instant::now() + Duration::from_secs(15);
        while mode == "log" && !guarded.edge.workerd.output().contains(&line) {
            assert!(Instant::now() < deadline, "{}", guarded.edge.workerd.output());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let counted = if mode == "log" { serde_json::json!({ "all": 1 }) } else { serde_json::Value::Null };
        assert_eq!(guarded.edge.health().await["untrusted_documents"], counted, "{mode}");
        let others = guarded.edge.workerd.output().matches("graphql_untrusted").count();
        assert_eq!(others, usize::from(mode == "log"), "{mode}: {}", guarded.edge.workerd.output());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_counted_and_are_no_errors() {
    let ingest = Ingest::start().await;
    let ingest_url = ingest.url();
    let variables = [
        ("INGEST_URL", ingest_url.as_str()),
        ("CUTOVER_INGEST_SECRET", "secret-of-the-guard-test"),
        ("REPORT_INTERVAL_MS", "300"),
    ];
    let route = ", error_statuses: [400], guard: {}";
    let guarded = Guarded::reporting(route, &variables).await;
    for _ in 0..3 {
        assert_refused(&guarded.post(br#"{"query":"{"}"#).await, 400, "GRAPHQL_PARSE_FAILED");
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    while ingest.decided("GUARDED") != [3, 0] || ingest.decided("ROLLOUT")[0] == 0 {
        assert!(Instant::now() < deadline, "{:?} {:?}", ingest.decided("GUARDED"), ingest.decided("ROLLOUT"));
        // Each request gives the reports a turn.
        assert_eq!(guarded.post(GOOD).await.status, 200);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The first part of an upload arrives before the client sends the last: nothing reads it in between.
#[tokio::test(flavor = "multi_thread")]
async fn a_route_without_a_guard_streams_as_before() {
    let (told, mut heard) = mpsc::unbounded_channel();
    let new = RawOrigin::start(move |mut received: ReceivedRequest| {
        let told = told.clone();
        async move {
            let mut buffer = [0; 1_024];
            let mut has_first = false;
            loop {
                if !has_first && received.rest.windows(5).any(|window| window == b"first") {
                    has_first = true;
                    let _ = told.send(received.target());
                }
                if received.rest.ends_with(b"0\r\n\r\n") {
                    break;
                }
                let read = received.socket.read(&mut buffer).await.unwrap();
                assert!(read > 0, "the upload breaks off");
                received.rest.extend_from_slice(&buffer[..read]);
            }
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
            let _ = received.socket.write_all(answer).await;
        }
    })
    .await;
    let flag = "enabled: true, rollout_percentage: 100";
    let mut yaml = single_route("http://127.0.0.1:9", &new.url(), 5_000, flag, "");
    yaml.push_str(
        "  - { id: guarded, match: { path: /graphql }, flag: everything, legacy: old, new: new, guard: {} }\n",
    );
    let edge = SingleRouteWorker::configured(&yaml, &[]).await;
    let mut client = TcpStream::connect(("127.0.0.1", edge.port())).await.unwrap();
    let begin = b"POST /other HTTP/1.1\r\nhost: h\r\nx-user-id: u\r\nconnection: close\r\n\
                  transfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n";
    client.write_all(begin).await.unwrap();
    let first = tokio::time::timeout(Duration::from_secs(10), heard.recv()).await;
    assert_eq!(first.expect("the upload streams").as_deref(), Some("/other"));
    client.write_all(b"4\r\nlast\r\n0\r\n\r\n").await.unwrap();
    let mut response = Vec::new();
    client.read_to_end(&mut response).await.unwrap();
    assert!(response.ends_with(b"ok"), "{}", String::from_utf8_lossy(&response));
    // The guarded route beside it does check.
    let refused = http::send(edge.port(), "POST", "/graphql", &[USER, JSON], b"{}").await;
    assert_eq!(refused.json()["errors"][0]["extensions"]["code"], "NO_DOCUMENT");
}
