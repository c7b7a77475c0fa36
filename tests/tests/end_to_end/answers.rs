//! Every client gets an answer, from a backend that is its own: no fault of a backend, of a client or of the Worker itself
//! leaves a request without one.

use super::forwarding::websocket_accept;
use cutover_core::{config::Config, vocabulary::revision::Revision};
use cutover_tests::{
    http::{self, Answer},
    proxied::{SingleRouteWorker, single_route},
    raw_origin::{RawOrigin, ReceivedRequest},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const USER: (&str, &str) = ("x-user-id", "u1");

/// An origin that answers each request with the head that the function returns, and its own name as the body.
async fn origin(
    name: &'static str,
    head: impl Fn(&ReceivedRequest) -> String + Send + Sync + 'static,
) -> RawOrigin {
    let head = Arc::new(head);
    RawOrigin::start(move |mut received: ReceivedRequest| {
        let head = Arc::clone(&head);
        async move {
            received.body().await;
            let head = head(&received);
            let answer = format!(
                "HTTP/1.1 {head}\r\nx-backend: {name}\r\nx-target: {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                received.target(),
                name.len()
            );
            let body = if received.method() == "HEAD" { "" } else { name };
            let _ = received.socket.write_all(format!("{answer}{body}").as_bytes()).await;
        }
    })
    .await
}

async fn healthy(name: &'static str) -> RawOrigin {
    origin(name, |_| "200 OK".to_owned()).await
}

/// Configuration of backends whose time limit no healthy one exceeds, however busy the machine is.
fn yaml(legacy: &str, new: &str, flag: &str, route: &str) -> String {
    single_route(legacy, new, 10_000, flag, route)
}

const ALL_NEW: &str = "enabled: true, rollout_percentage: 100";
const HEADERS: (&str, &str) = ("DECISION_HEADERS", "arm,reason");

fn backend(answer: &Answer) -> (u16, String) {
    (answer.status, answer.header("x-backend").unwrap_or_default())
}

/// Sends raw bytes and returns the answer with the seconds that it took.
async fn timed(port: u16, request: &str) -> (Answer, f64) {
    let started = Instant::now();
    let answer = http::exchange(port, request.as_bytes()).await;
    (answer, started.elapsed().as_secs_f64())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_on_a_compared_route_is_opened() {
    let new = RawOrigin::start(|mut received: ReceivedRequest| async move {
        let accept = websocket_accept(&received.header("sec-websocket-key")[0]);
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-accept: {accept}\r\n\r\n"
        );
        let _ = received.socket.write_all(head.as_bytes()).await;
        let mut rest = [0; 64];
        let _ = received.socket.read(&mut rest).await;
    })
    .await;
    let legacy = healthy("legacy").await;
    let route = ", compare: { sample: 100, noise: 0 }";
    let edge = SingleRouteWorker::configured(
        &yaml(&legacy.url(), &new.url(), ALL_NEW, route),
        &[HEADERS, ("INGEST_URL", "http://127.0.0.1:9/")],
    )
    .await;
    let upgrade = "GET /ws HTTP/1.1\r\nhost: h\r\nx-user-id: u1\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    for _ in 0..3 {
        let (answer, seconds) = timed(edge.port(), upgrade).await;
        assert_eq!(answer.status, 101);
        assert!(seconds < 3.0, "{seconds}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_status_of_a_backend_reaches_the_client_once() {
    let new = origin("new", |received| format!("{} Any", received.target().trim_start_matches('/'))).await;
    let legacy = healthy("legacy").await;
    for (route, minted) in [("", false), ("", true), (", error_when: { path: errors }", false)] {
        let edge = SingleRouteWorker::configured(
            &yaml(&legacy.url(), &new.url(), "enabled: true, rollout_percentage: 99.9999", route),
            &[HEADERS],
        )
        .await;
        for status in [600, 700, 999] {
            let user = if minted { "" } else { "x-user-id: u1\r\n" };
            let request = format!("GET /{status} HTTP/1.1\r\nhost: h\r\n{user}connection: close\r\n\r\n");
            let (answer, seconds) = timed(edge.port(), &request).await;
            assert_eq!(answer.status, status, "{route} {minted}");
            assert!(seconds < 3.0, "{seconds}");
        }
        let counted = &edge.health().await["outcomes"];
        assert_eq!(counted["new"]["requests"], 3, "counted once: {counted:#}");
    }
}

/// Uploads 20 KB in ten parts.
async fn upload(port: u16, pause: Duration) -> Answer {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let head =
        "POST /up HTTP/1.1\r\nhost: h\r\nx-user-id: u1\r\ncontent-length: 20000\r\nconnection: close\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..10 {
        tokio::time::sleep(pause).await;
        if socket.write_all(&[b'x'; 2_000]).await.is_err() {
            break;
        }
    }
    let mut received = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), socket.read_to_end(&mut received)).await;
    assert!(read.is_ok(), "the upload was answered");
    http::parse_head(&received).expect("a response").0
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_limit_of_a_backend_does_not_run_while_the_client_uploads() {
    let (legacy, new) = (healthy("legacy").await, healthy("new").await);
    let yaml =
        |legacy: &str, new: &str, flag: &str, route: &str| single_route(legacy, new, 1_000, flag, route);
    // Ten times, which is more than the limit.
    let slow = Duration::from_millis(200);
    for (flag, expected) in [("enabled: true, rollout_percentage: 0", "legacy"), (ALL_NEW, "new")] {
        for route in ["", ", error_when: { path: errors }"] {
            let edge = SingleRouteWorker::configured(
                &yaml(&legacy.url(), &new.url(), flag, route),
                &[HEADERS, ("LEGACY_ORIGIN", &legacy.url())],
            )
            .await;
            let answer = upload(edge.port(), slow).await;
            assert_eq!(backend(&answer), (200, expected.to_owned()), "{route}");
            // The upload took 2 s, which is not the backend's time.
            let measured = edge.health().await["outcomes"][expected]["duration_ms"].as_u64().unwrap();
            assert!(measured < 1_500, "{measured} ms {route}");
        }
    }
    // The limit still holds: for a backend that has the whole body, and for one that stops reading it.
    let silent = RawOrigin::start(|mut received: ReceivedRequest| async move {
        received.body().await;
        tokio::time::sleep(Duration::from_secs(30)).await;
    })
    .await;
    let edge =
        SingleRouteWorker::configured(&yaml(&legacy.url(), &silent.url(), ALL_NEW, ""), &[HEADERS]).await;
    let begun = Instant::now();
    assert_eq!(upload(edge.port(), slow).await.status, 504);
    assert!(begun.elapsed() > Duration::from_secs(2), "the limit began after the upload");
    let deaf = RawOrigin::start(|received: ReceivedRequest| async move {
        tokio::time::sleep(Duration::from_secs(30)).await;
        drop(received);
    })
    .await;
    let edge =
        SingleRouteWorker::configured(&yaml(&legacy.url(), &deaf.url(), ALL_NEW, ""), &[HEADERS]).await;
    let begun = Instant::now();
    let answer = http::send(edge.port(), "POST", "/up", &[USER], &vec![b'x'; 8_000_000]).await;
    assert_eq!(answer.status, 504);
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_inside_is_answered_by_the_legacy_of_the_route() {
    let (first, second, other) = (healthy("first").await, healthy("second").await, healthy("other").await);
    let text = format!(
        "feature_flags: {{ f: {{ enabled: true, rollout_percentage: 100 }} }}\n\
         origins: {{ a: {{ url: \"{}\" }}, b: {{ url: \"{}\" }}, new: {{ url: \"http://127.0.0.1:9\" }} }}\n\
         adapters: {{ old: {{ version: {{ header: x-version }}, routes: [{{ match: {{ method: GET, path: /z }}, \
         backend: {{ method: GET, path: /z }} }}] }} }}\n\
         routes:\n  - {{ id: a, match: {{ path: \"/a/{{*rest}}\" }}, flag: f, legacy: a, new: new }}\n  \
         - {{ id: b, match: {{ path: \"/b/{{id}}/x\" }}, flag: f, legacy: b, new: new, adapt: [old] }}\n",
        first.url(),
        second.url()
    );
    let config = Config::from_yaml(&text).unwrap();
    let mut broken = config.snapshot(Revision(1), None);
    // No header can have this name, so reading it throws. The configuration refuses it.
    for program in broken.adapters.values_mut() {
        Arc::make_mut(program).version.as_mut().unwrap().header = "not a header".to_owned();
    }
    let edge = SingleRouteWorker::holding(&broken, &[HEADERS, ("LEGACY_ORIGIN", &other.url())]).await;
    for (path, expected) in [("/a/1", "first"), ("/b/1/x", "second"), ("/c", "other")] {
        let answer = http::get(edge.port(), path, &[USER]).await;
        assert_eq!(backend(&answer), (200, expected.to_owned()), "{path}");
        assert_eq!(answer.header("x-cutover-reason").as_deref(), Some("INTERNAL"), "{path}");
    }
    // Without a snapshot the Worker's own list says whose legacy a path is.
    let routes = format!("/a/={} /b/={}", first.url(), second.url());
    let store = cutover_tests::kv_server::KvServer::start().await;
    let worker = cutover_tests::workerd::Worker::edge("edge", store.port())
        .with("LEGACY_ORIGIN", other.url())
        .with("LEGACY_ROUTES", routes)
        .with(HEADERS.0, HEADERS.1);
    let workerd = cutover_tests::workerd::Workerd::start(&[worker]);
    for (path, expected) in [("/a/1", "first"), ("/b/1/x", "second"), ("/c", "other")] {
        let answer = http::get(workerd.port("edge"), path, &[USER]).await;
        assert_eq!(backend(&answer), (200, expected.to_owned()), "{path}");
        assert_eq!(answer.header("x-cutover-reason").as_deref(), Some("NO_SNAPSHOT"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_after_the_decision_is_answered_too() {
    let (legacy, new) = (healthy("legacy").await, healthy("new").await);
    let route =
        ", compare: { sample: 100, noise: 0, mirror: { methods: [PUT], key_header: idempotency-key } }";
    let config = Config::from_yaml(&yaml(&legacy.url(), &new.url(), ALL_NEW, route)).unwrap();
    let mut broken = config.snapshot(Revision(1), None);
    let compare = broken.routes[0].compare.as_mut().unwrap();
    compare.mirror.as_mut().unwrap().key_header = "Idempotency Key".to_owned();
    let variables =
        [HEADERS, ("INGEST_URL", "http://127.0.0.1:9/"), ("LEGACY_ORIGIN", "http://127.0.0.1:9/")];
    let edge = SingleRouteWorker::holding(&broken, &variables).await;
    for method in ["PUT", "GET"] {
        let answer = http::send(edge.port(), method, "/x", &[USER], b"").await;
        assert_eq!(backend(&answer), (200, "new".to_owned()), "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dot_segments_cannot_leave_a_route() {
    let (legacy, new, other) = (healthy("legacy").await, healthy("new").await, healthy("other").await);
    let text = format!(
        "feature_flags: {{ f: {{ enabled: true, rollout_percentage: 100 }} }}\n\
         origins: {{ old: {{ url: \"{}/base\" }}, new: {{ url: \"{}/base\" }} }}\n\
         routes:\n  - {{ id: a, match: {{ path: \"/old/{{*rest}}\" }}, flag: f, legacy: old, new: new }}\n",
        legacy.url(),
        new.url()
    );
    let edge = SingleRouteWorker::configured(&text, &[HEADERS, ("LEGACY_ORIGIN", &other.url())]).await;
    for (path, target) in [
        ("/old/%2e%2e/%2e%2e/admin", "/admin"),
        ("/old/../admin", "/admin"),
        ("/old/.%2E/admin", "/admin"),
        ("/old/..\\admin", "/admin"),
        ("/old/x/%2e%2e/%2E./secret?a=%2e%2e", "/secret?a=%2e%2e"),
    ] {
        let answer = http::get(edge.port(), path, &[USER]).await;
        assert_eq!(backend(&answer), (200, "other".to_owned()), "{path}");
        assert_eq!(answer.header("x-target").as_deref(), Some(target), "{path}");
    }
    for (path, target) in [
        ("/old/x/../y", "/base/old/y"),
        ("/old/.hidden/..x/%2ewell?p=/../", "/base/old/.hidden/..x/%2ewell?p=/../"),
    ] {
        let answer = http::get(edge.port(), path, &[USER]).await;
        assert_eq!(backend(&answer), (200, "new".to_owned()), "{path}");
        assert_eq!(answer.header("x-target").as_deref(), Some(target), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_with_a_new_cookie_is_private() {
    let new = origin("new", |received| {
        let target = received.target();
        let (status, control) = target.trim_start_matches('/').split_once('/').unwrap();
        let control = control.replace('_', " ");
        let header = if control.is_empty() { String::new() } else { format!("\r\ncache-control: {control}") };
        format!("{status} X{header}")
    })
    .await;
    let legacy = healthy("legacy").await;
    let flag = "enabled: true, rollout_percentage: 99.9999";
    let edge = SingleRouteWorker::configured(&yaml(&legacy.url(), &new.url(), flag, ""), &[HEADERS]).await;
    for (control, expected) in [
        ("", "private"),
        ("public,max-age=60", "private, max-age=60"),
        ("max-age=60,s-maxage=600", "private, max-age=60"),
        ("no-store", "no-store"),
        ("private,_max-age=5", "private, max-age=5"),
    ] {
        let answer = http::get(edge.port(), &format!("/200/{control}"), &[]).await;
        assert!(answer.header("set-cookie").is_some_and(|cookie| cookie.starts_with("cutover_uid=")));
        assert_eq!(answer.header("cache-control").as_deref(), Some(expected), "{control}");
        let known = http::get(edge.port(), &format!("/200/{control}"), &[USER]).await;
        assert_eq!(known.header("set-cookie"), None);
        assert_eq!(known.header("cache-control").unwrap_or_default(), control.replace('_', " "));
    }
    // A 304 renews what a cache holds for everybody.
    assert_eq!(http::get(edge.port(), "/304/public", &[]).await.header("set-cookie"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_given_an_id_before_it_decides_anything() {
    let (legacy, new) = (healthy("legacy").await, healthy("new").await);
    for (flag, expected) in [
        ("enabled: true, rollout_percentage: 0", false),
        ("enabled: false, rollout_percentage: 50", false),
        ("enabled: true, rollout_percentage: 100", false),
        ("enabled: true, rollout_percentage: 50", true),
        (
            "enabled: true, rollout_percentage: 50, conditions: [{ type: attribute, name: \"header:x-beta\", op: equals, \
             values: [\"1\"] }]",
            false,
        ),
    ] {
        let edge =
            SingleRouteWorker::configured(&yaml(&legacy.url(), &new.url(), flag, ""), &[HEADERS]).await;
        let answer = http::get(edge.port(), "/x", &[]).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("set-cookie").is_some(), expected, "{flag}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn preflights_are_outside_of_every_rollout() {
    let (legacy, new) = (healthy("legacy").await, healthy("new").await);
    let flag = "enabled: true, rollout_percentage: 50";
    let edge = SingleRouteWorker::configured(&yaml(&legacy.url(), &new.url(), flag, ""), &[HEADERS]).await;
    for user in 0..20 {
        let user = format!("u{user}");
        for headers in [&[("x-user-id", user.as_str())][..], &[]] {
            let answer = http::send(edge.port(), "OPTIONS", "/x", headers, b"").await;
            assert_eq!(backend(&answer), (200, "legacy".to_owned()));
            assert_eq!(answer.header("x-cutover-reason").as_deref(), Some("NO_KEY"));
            assert_eq!(answer.header("set-cookie"), None);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_cannot_pass_for_shadows() {
    let new = origin("new", |received| {
        let shadow = String::from_utf8_lossy(&received.header("x-cutover-shadow").concat()).into_owned();
        format!("200 OK\r\nx-saw: {shadow}")
    })
    .await;
    let legacy = healthy("legacy").await;
    let route = ", compare: { sample: 0.0001, noise: 0 }";
    for route in ["", route] {
        let edge =
            SingleRouteWorker::configured(&yaml(&legacy.url(), &new.url(), ALL_NEW, route), &[HEADERS]).await;
        let answer = http::get(edge.port(), "/x", &[USER, ("x-cutover-shadow", "1")]).await;
        assert_eq!(answer.header("x-saw").as_deref(), Some(""), "{route}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn health_without_the_token_says_only_that_it_lives() {
    let (legacy, new) = (healthy("legacy").await, healthy("new").await);
    let edge = SingleRouteWorker::configured(&yaml(&legacy.url(), &new.url(), ALL_NEW, ""), &[HEADERS]).await;
    let open = http::get(edge.port(), "/_cutover/health", &[]).await;
    assert_eq!((open.status, open.json()), (200, serde_json::json!({ "status": "ok" })));
    let wrong = http::get(edge.port(), "/_cutover/health", &[("authorization", "Bearer x")]).await;
    assert_eq!(wrong.json(), serde_json::json!({ "status": "ok" }));
    assert_eq!(edge.health().await["flags"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_safe_request_that_the_new_backend_cannot_serve_is_served_by_legacy_at_once() {
    // The last two are how Cloudflare tells of a backend that refuses connections or has no name.
    for status in [502, 503, 504, 521, 530] {
        let new = origin("new", move |_| format!("{status} Sorry")).await;
        let legacy = healthy("legacy").await;
        let edge =
            SingleRouteWorker::configured(&yaml(&legacy.url(), &new.url(), ALL_NEW, ""), &[HEADERS]).await;
        let answer = http::get(edge.port(), "/x", &[USER]).await;
        assert_eq!(backend(&answer), (200, "legacy".to_owned()), "{status}");
        assert_eq!(answer.header("x-cutover-reason").as_deref(), Some("FALLBACK"));
        // Others may have been carried out.
        for method in ["POST", "PUT", "DELETE"] {
            let answer = http::send(edge.port(), method, "/x", &[USER], b"x").await;
            assert_eq!(backend(&answer), (status, "new".to_owned()), "{method}");
        }
        let counted = edge.health().await["outcomes"].clone();
        assert_eq!((&counted["new"]["requests"], &counted["new"]["errors"]), (&4.into(), &4.into()));
        let route = ", fallback: unreachable";
        let edge =
            SingleRouteWorker::configured(&yaml(&legacy.url(), &new.url(), ALL_NEW, route), &[HEADERS]).await;
        assert_eq!(backend(&http::get(edge.port(), "/x", &[USER]).await), (status, "new".to_owned()));
    }
    // Nothing is sent again where the configuration says so.
    let legacy = healthy("legacy").await;
    let dead = format!("http://127.0.0.1:{}", cutover_tests::process::free_port());
    let text = yaml(&legacy.url(), &dead, ALL_NEW, ", fallback: never");
    let edge = SingleRouteWorker::configured(&text, &[HEADERS]).await;
    assert_eq!(http::get(edge.port(), "/x", &[USER]).await.status, 502);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_isolate_stops_sending_users_to_a_new_backend_that_keeps_failing() {
    let failing = Arc::new(AtomicU32::new(1));
    let asked = Arc::new(AtomicU32::new(0));
    let (is_failing, is_asked) = (Arc::clone(&failing), Arc::clone(&asked));
    let new = origin("new", move |_| {
        is_asked.fetch_add(1, Ordering::SeqCst);
        if is_failing.load(Ordering::SeqCst) == 1 { "503 Sorry".to_owned() } else { "200 OK".to_owned() }
    })
    .await;
    let legacy = healthy("legacy").await;
    let edge = SingleRouteWorker::configured(&yaml(&legacy.url(), &new.url(), ALL_NEW, ""), &[HEADERS]).await;
    let mut reasons = Vec::new();
    for _ in 0..20 {
        let answer = http::get(edge.port(), "/x", &[USER]).await;
        assert_eq!(backend(&answer), (200, "legacy".to_owned()));
        reasons.push(answer.header("x-cutover-reason").unwrap());
    }
    assert_eq!(asked.load(Ordering::SeqCst), 5, "{reasons:?}");
    assert_eq!(reasons.iter().filter(|reason| *reason == "DIVERTED").count(), 15, "{reasons:?}");
    // It comes back by itself.
    failing.store(0, Ordering::SeqCst);
    let deadline = Instant::now() + Duration::from_secs(60);
    while backend(&http::get(edge.port(), "/x", &[USER]).await).1 != "new" {
        assert!(Instant::now() < deadline, "the new backend is well again and gets nobody");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_of_the_worker_sends_everybody_to_legacy() {
    let (legacy, new) = (healthy("legacy").await, healthy("new").await);
    let variables = [HEADERS, ("FORCE_LEGACY", "true")];
    let edge = SingleRouteWorker::configured(&yaml(&legacy.url(), &new.url(), ALL_NEW, ""), &variables).await;
    let answer = http::get(edge.port(), "/x", &[USER]).await;
    assert_eq!(backend(&answer), (200, "legacy".to_owned()));
    assert_eq!(answer.header("x-cutover-reason").as_deref(), Some("EMERGENCY"));
}
