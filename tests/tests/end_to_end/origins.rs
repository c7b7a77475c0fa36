//! Origins that ask for more than their path appended: headers, forwarded names, rewritten redirects, traces, bindings; on
//! plain and adapted routes, in comparisons and in fallbacks. And testers who ask for an arm.

use super::teardown::Ingest;
use aws_lc_rs::hmac;
use cutover_tests::{
    http,
    kv_server::KvServer,
    paths,
    proxied::SingleRouteWorker,
    raw_origin::{RawOrigin, ReceivedRequest},
    workerd::{Worker, Workerd},
};
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{io::AsyncWriteExt, sync::mpsc};

const USER: (&str, &str) = ("x-user-id", "u1");

/// A trace that a client began.
const OWN_TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// An origin that tells which headers arrived, and sends the head that the function returns for its port.
async fn telling(head: impl Fn(u16) -> String + Send + Sync + 'static) -> RawOrigin {
    let head = Arc::new(head);
    RawOrigin::start(move |mut received: ReceivedRequest| {
        let head = Arc::clone(&head);
        async move {
            received.body().await;
            let body = received.text();
            let head = head(received.socket.local_addr().unwrap().port());
            let answer =
                format!("HTTP/1.1 {head}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
            let _ = received.socket.write_all(answer.as_bytes()).await;
        }
    })
    .await
}

async fn started(origin: &str, options: &str, more: &[(&str, &str)]) -> SingleRouteWorker {
    let text = format!(
        "feature_flags: {{ f: {{ enabled: true, rollout_percentage: 100 }} }}\n\
         origins: {{ old: {{ url: \"http://127.0.0.1:9\" }}, new: {{ url: \"{origin}/base\", {options} }} }}\n\
         routes: [{{ id: all, match: {{ path: \"/{{*rest}}\" }}, flag: f, legacy: old, new: new, fallback: never }}]\n"
    );
    SingleRouteWorker::configured(&text, more).await
}

fn line(body: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(body).into_owned();
    let found = text
        .lines()
        .find_map(|line| line.to_lowercase().strip_prefix(&format!("{name}: ")).map(str::to_owned));
    found.map(|value| value.trim().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_get_the_headers_that_their_origin_asks_for() {
    let origin = telling(|_| "200 OK\r\n".to_owned()).await;
    let options =
        "headers: { X-Origin-Auth: \"secret:ORIGIN_TOKEN\", x-env: prod }, forwarded: true, trace: true";
    let edge = started(&origin.url(), options, &[("ORIGIN_TOKEN", "s3cret")]).await;
    let headers = [USER, ("x-origin-auth", "forged"), ("x-forwarded-host", "forged")];
    for method in ["GET", "POST"] {
        let answer =
            http::send(edge.port(), method, "/x?y=1", &headers, if method == "POST" { b"body" } else { b"" })
                .await;
        assert_eq!(answer.status, 200);
        assert!(answer.body.starts_with(format!("{method} /base/x?y=1 ").as_bytes()));
        assert_eq!(line(&answer.body, "x-origin-auth").as_deref(), Some("s3cret"), "{method}");
        assert_eq!(line(&answer.body, "x-env").as_deref(), Some("prod"));
        assert_eq!(line(&answer.body, "x-forwarded-host").as_deref(), Some("api.example.com"));
        assert_eq!(line(&answer.body, "x-forwarded-proto").as_deref(), Some("http"));
        assert_eq!(line(&answer.body, "forwarded").as_deref(), Some("host=\"api.example.com\";proto=http"));
        let trace = line(&answer.body, "traceparent").unwrap();
        assert!(trace.len() == 55 && trace.starts_with("00-") && trace.ends_with("-01"), "{trace}");
    }
    let answer = http::get(edge.port(), "/x", &[USER, ("traceparent", OWN_TRACE)]).await;
    assert_eq!(line(&answer.body, "traceparent").as_deref(), Some(OWN_TRACE));
    // A secret that is not set must not turn into a request without it.
    let edge = started(&origin.url(), options, &[]).await;
    assert_eq!(http::get(edge.port(), "/x", &[USER]).await.status, 502);
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_and_cookies_of_an_origin_name_the_clients_host() {
    for (location, expected) in [
        ("http://127.0.0.1:PORT/base/login?next=%2F#top", "http://api.example.com/login?next=%2F#top"),
        ("/base/login", "/login"),
        ("/base//evil.example/a/", "http://api.example.com//evil.example/a/"),
        ("http://127.0.0.1:PORT/other", "http://127.0.0.1:PORT/other"),
        ("https://elsewhere.example/base/x", "https://elsewhere.example/base/x"),
    ] {
        let origin = telling(move |port| {
            let location = location.replace("PORT", &port.to_string());
            format!(
                "302 Found\r\nlocation: {location}\r\nset-cookie: a=1; Domain=127.0.0.1; Path=/base; HttpOnly\r\n\
                 set-cookie: b=2; Domain=example.com; Expires=Wed, 21 Oct 2026 07:28:00 GMT\r\n"
            )
        })
        .await;
        let edge = started(&origin.url(), "rewrite: true", &[]).await;
        let answer = http::get(edge.port(), "/x", &[USER]).await;
        let port = origin.url().rsplit(':').next().unwrap().to_owned();
        assert_eq!(answer.header("location"), Some(expected.replace("PORT", &port)), "{location}");
        let cookies =
            ["a=1; Path=/; HttpOnly", "b=2; Domain=example.com; Expires=Wed, 21 Oct 2026 07:28:00 GMT"];
        assert_eq!(answer.all("set-cookie"), cookies);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_binding_takes_the_requests_of_its_origin() {
    let text = "feature_flags: { f: { enabled: true, rollout_percentage: 100 } }\n\
                origins: { old: { url: \"http://127.0.0.1:9\" }, new: { url: \"http://service/base\", binding: ORIGIN_BACKEND } }\n\
                adapters: { a: { routes: [{ match: { method: GET, path: \"/adapted/{id}\" }, \
                backend: { method: GET, path: \"/items/{path.id}\" } }] } }\n\
                routes:\n  - { id: all, match: { path: \"/{*rest}\" }, flag: f, legacy: old, new: new }\n  \
                - { id: adapted, match: { path: \"/adapted/{id}\" }, flag: f, legacy: old, new: new, adapt: [a] }\n";
    let store = KvServer::configured(text).await;
    let service = Worker::javascript("service", &paths::root().join("tests/vectors/service.js"));
    let workerd =
        Workerd::start(&[Worker::edge("edge", store.port()).bound_to("ORIGIN_BACKEND", "service"), service]);
    for (method, path, body, expected) in [
        ("POST", "/x?y=1", "hello", "POST /base/x?y=1 hello"),
        ("GET", "/adapted/7", "", "GET /base/items/7 "),
    ] {
        let answer = http::send(workerd.port("edge"), method, path, &[USER], body.as_bytes()).await;
        assert_eq!((answer.status, answer.json()["received"].as_str()), (200, Some(expected)), "{path}");
    }
}

/// An origin with options of its own, and the heads of the requests that it received.
struct Watched {
    origin: RawOrigin,
    /// The name of the origin in the configuration.
    name: &'static str,
    arrived: mpsc::UnboundedReceiver<String>,
}

impl Watched {
    /// Starts an origin that sends redirects and cookies that name itself, with the given status, to all requests.
    async fn start(name: &'static str, status: u16) -> Self {
        let (seen, arrived) = mpsc::unbounded_channel();
        let origin = RawOrigin::start(move |mut received: ReceivedRequest| {
            let seen = seen.clone();
            async move {
                received.body().await;
                let port = received.socket.local_addr().unwrap().port();
                let body = r#"{"data":{"ok":true}}"#;
                let answer = format!(
                    "HTTP/1.1 {status} X\r\nlocation: http://127.0.0.1:{port}/{name}/made?by={name}\r\n\
                     set-cookie: a=1; Domain=127.0.0.1; Path=/{name}\r\ncontent-type: application/json\r\n\
                     content-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = seen.send(received.text());
                let _ = received.socket.write_all(answer.as_bytes()).await;
            }
        })
        .await;
        Self { origin, name, arrived }
    }

    /// Waits for the next request, and checks that it has what this origin asks for and nothing of the other one's. Returns
    /// its head.
    async fn receives(&mut self, request: &str, other: &str, trace: Option<&str>) -> String {
        let name = self.name;
        let head = tokio::time::timeout(Duration::from_secs(60), self.arrived.recv()).await;
        let head = head.unwrap_or_else(|_| panic!("{name} does not get {request}")).unwrap();
        assert!(head.starts_with(&format!("{request} ")), "{request}: {head}");
        let value = |header: &str| line(head.as_bytes(), header);
        assert_eq!(value("x-secret"), Some(format!("secret-of-{name}")), "{request}");
        assert_eq!(value(&format!("x-{name}")).as_deref(), Some("1"), "{request}");
        assert_eq!(value("x-forwarded-host").as_deref(), Some("api.example.com"), "{request}");
        assert_eq!(value("x-forwarded-proto").as_deref(), Some("http"), "{request}");
        assert_eq!(value("forwarded").as_deref(), Some("host=\"api.example.com\";proto=http"), "{request}");
        let found = value("traceparent").unwrap();
        assert_eq!((found.len(), &found[..3]), (55, "00-"), "{request}: {found}");
        assert!(trace.is_none_or(|trace| trace == found), "{request}: another trace, {found}");
        assert_eq!(value(&format!("x-{other}")), None, "{request}: a header of {other} is at {name}");
        assert!(!head.contains(&format!("secret-of-{other}")), "{request}: a secret of {other} is at {name}");
        head
    }

    /// Checks that no other request comes. It waits, because a comparison begins behind the response of its request.
    async fn receives_nothing_more(&mut self) {
        if let Ok(more) = tokio::time::timeout(QUIET, self.arrived.recv()).await {
            panic!("{} gets one request too many: {more:?}", self.name);
        }
    }
}

/// Time in which a request that nobody meant to send would arrive.
const QUIET: Duration = Duration::from_secs(1);

/// Both origins of these tests ask for the same headers with other values, and for one that the other does not have.
const TWO_ORIGINS: &str = r#"
feature_flags:
  all: { enabled: true, rollout_percentage: 100 }
  none: { enabled: true, rollout_percentage: 0 }
origins:
  old: { url: "OLD/old", timeout_ms: 3000, forwarded: true, rewrite: true, trace: true,
    headers: { x-secret: "secret:ORIGIN_OLD", x-old: "1" } }
  new: { url: "NEW/new", timeout_ms: 3000, forwarded: true, rewrite: true, trace: true,
    headers: { x-secret: "secret:ORIGIN_NEW", x-new: "1" } }
adapters:
  rest:
    keep_headers: [location]
    routes:
      - { match: { method: GET, path: "/rest/{id}" }, backend: { method: GET, path: "/items/{path.id}" } }
      - { match: { method: POST, path: "/rest/{id}" }, backend: { method: POST, path: "/items/{path.id}" } }
      - { match: { method: GET, path: "/compared/rest/{arm}" }, backend: { method: GET, path: "/items/{path.arm}" } }
  graphql:
    schema: "type Query { ok: Boolean! }"
    operations: "query Ok { ok }"
    keep_headers: [location]
    routes:
      - { match: { method: GET, path: "/graphql/{id}" }, operation: Ok }
routes:
  - { id: plain, match: { path: "/plain/{id}" }, flag: all, legacy: old, new: new }
  - { id: rest, match: { path: "/rest/{id}" }, flag: all, legacy: old, new: new, adapt: [rest] }
  - { id: graphql, match: { path: "/graphql/{id}" }, flag: all, legacy: old, new: new, adapt: [graphql] }
  - { id: by-new, match: { path: /compared/new }, flag: all, legacy: old, new: new, COMPARE }
  - { id: by-legacy, match: { path: /compared/legacy }, flag: none, legacy: old, new: new, COMPARE }
  - { id: rest-by-new, match: { path: /compared/rest/new }, flag: all, legacy: old, new: new, adapt: [rest], COMPARE }
  - { id: rest-by-legacy, match: { path: /compared/rest/legacy }, flag: none, legacy: old, new: new, adapt: [rest], COMPARE }
"#;

const COMPARE: &str = "compare: { sample: 100, noise: 0, per_minute: 1000, \
                       mirror: { methods: [PUT], key_header: idempotency-key } }";

/// A client that knows the names of the headers, and nothing else.
const CLIENT: [(&str, &str); 4] =
    [USER, ("x-secret", "forged"), ("x-forwarded-host", "forged"), ("idempotency-key", "k1")];

async fn between(old: &str, new: &str, secrets: &[(&str, &str)]) -> (SingleRouteWorker, Ingest) {
    let text = TWO_ORIGINS.replace("OLD/", &format!("{old}/")).replace("NEW/", &format!("{new}/"));
    // Comparisons are made by a Worker that reports.
    let ingest = Ingest::start().await;
    let ingest_url = ingest.url();
    let mut variables = vec![
        ("DECISION_HEADERS", "arm,reason"),
        ("INGEST_URL", ingest_url.as_str()),
        ("CUTOVER_INGEST_SECRET", "secret-of-the-origins-test"),
    ];
    variables.extend(secrets);
    (SingleRouteWorker::configured(&text.replace("COMPARE", COMPARE), &variables).await, ingest)
}

const SECRETS: [(&str, &str); 2] = [("ORIGIN_OLD", "secret-of-old"), ("ORIGIN_NEW", "secret-of-new")];

#[tokio::test(flavor = "multi_thread")]
async fn adapted_requests_get_what_their_origin_asks_for() {
    let (mut old, mut new) = (Watched::start("old", 200).await, Watched::start("new", 200).await);
    let (edge, _ingest) = between(&old.origin.url(), &new.origin.url(), &SECRETS).await;
    let cases = [
        ("GET", "/rest/7?a=b", "GET /new/items/7?a=b"),
        ("POST", "/rest/8", "POST /new/items/8"),
        ("GET", "/graphql/9", "POST /new/graphql"),
        // The request for the endpoint of an adapter is built once.
        ("GET", "/graphql/9", "POST /new/graphql"),
    ];
    for (method, path, expected) in cases {
        for trace in [None, Some(OWN_TRACE)] {
            let mut headers = CLIENT.to_vec();
            headers.extend(trace.map(|trace| ("traceparent", trace)));
            let body: &[u8] = if method == "POST" { b"{}" } else { b"" };
            let answer = http::send(edge.port(), method, path, &headers, body).await;
            assert_eq!(
                (answer.status, answer.header("x-cutover-arm")),
                (200, Some("new".to_owned())),
                "{path}"
            );
            let location = answer.header("location");
            assert_eq!(location.as_deref(), Some("http://api.example.com/made?by=new"), "{path}");
            new.receives(expected, "old", trace).await;
        }
    }
    // A secret that is not set must not turn into a request without it, nor into one with the other secret.
    let (edge, _ingest) = between(&old.origin.url(), &new.origin.url(), &SECRETS[..1]).await;
    for path in ["/rest/7", "/graphql/9"] {
        let answer = http::get(edge.port(), path, &CLIENT).await;
        assert_eq!(answer.header("x-cutover-reason").as_deref(), Some("FALLBACK"), "{path}");
        old.receives(&format!("GET /old{path}"), "new", None).await;
    }
    // None without its secret.
    new.receives_nothing_more().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn compared_requests_get_what_the_origin_of_each_asks_for() {
    let (mut old, mut new) = (Watched::start("old", 200).await, Watched::start("new", 200).await);
    let (edge, _ingest) = between(&old.origin.url(), &new.origin.url(), &SECRETS).await;
    let headers = [&CLIENT[..], &[("traceparent", OWN_TRACE)]].concat();
    for (method, path, arm, at_old, at_new) in [
        ("GET", "/compared/new", "new", "GET /old/compared/new", "GET /new/compared/new"),
        ("PUT", "/compared/new", "new", "PUT /old/compared/new", "PUT /new/compared/new"),
        ("GET", "/compared/legacy", "legacy", "GET /old/compared/legacy", "GET /new/compared/legacy"),
        ("PUT", "/compared/legacy", "legacy", "PUT /old/compared/legacy", "PUT /new/compared/legacy"),
        ("GET", "/compared/rest/new", "new", "GET /old/compared/rest/new", "GET /new/items/new"),
        ("GET", "/compared/rest/legacy", "legacy", "GET /old/compared/rest/legacy", "GET /new/items/legacy"),
    ] {
        let body: &[u8] = if method == "PUT" { b"{}" } else { b"" };
        let answer = http::send(edge.port(), method, path, &headers, body).await;
        assert_eq!((answer.status, answer.header("x-cutover-arm").as_deref()), (200, Some(arm)), "{path}");
        let by = if arm == "new" { "new" } else { "old" };
        let location = answer.header("location");
        assert_eq!(location, Some(format!("http://api.example.com/made?by={by}")), "{method} {path}");
        let (to_old, to_new) = (
            old.receives(at_old, "new", Some(OWN_TRACE)).await,
            new.receives(at_new, "old", Some(OWN_TRACE)).await,
        );
        let is_shadow = |head: &str| line(head.as_bytes(), "x-cutover-shadow").is_some();
        assert_eq!((is_shadow(&to_old), is_shadow(&to_new)), (by == "new", by == "old"), "{method} {path}");
    }
    old.receives_nothing_more().await;
    new.receives_nothing_more().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fallback_gets_what_legacy_asks_for_and_its_answer_names_the_clients_host() {
    let mut old = Watched::start("old", 302).await;
    let sick = Watched::start("new", 503).await;
    let refused = format!("http://127.0.0.1:{}", cutover_tests::process::free_port());
    // An adapter turns a status of its backend into one of its own.
    let answered: &[_] = &[("GET", "/plain/1"), ("GET", "/compared/new")];
    let unanswered: &[_] = &[
        ("GET", "/plain/1"),
        ("PUT", "/plain/2"),
        ("GET", "/rest/3"),
        ("GET", "/graphql/4"),
        ("GET", "/compared/rest/new"),
    ];
    for (new, requests) in [(sick.origin.url(), answered), (refused, unanswered)] {
        let (edge, _ingest) = between(&old.origin.url(), &new, &SECRETS).await;
        for (method, path) in requests {
            let body: &[u8] = if *method == "PUT" { b"{}" } else { b"" };
            let answer = http::send(edge.port(), method, path, &CLIENT, body).await;
            assert_eq!(answer.header("x-cutover-reason").as_deref(), Some("FALLBACK"), "{method} {path}");
            assert_eq!(answer.status, 302, "{method} {path}");
            let location = answer.header("location");
            assert_eq!(location.as_deref(), Some("http://api.example.com/made?by=old"), "{path}");
            assert_eq!(answer.all("set-cookie"), ["a=1; Path=/"], "{path}");
            let head = old.receives(&format!("{method} /old{path}"), "new", None).await;
            assert_eq!(line(head.as_bytes(), "x-cutover-shadow"), None, "{path}");
        }
        // The last request is one that would have been compared.
        old.receives_nothing_more().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn testers_with_a_signature_choose_their_arm_and_nobody_else_does() {
    let (legacy, new) = (
        telling(|_| "200 OK\r\nx-backend: legacy\r\n".to_owned()).await,
        telling(|_| "200 OK\r\nx-backend: new\r\n".to_owned()).await,
    );
    let text = format!(
        "feature_flags: {{ f: {{ enabled: true, rollout_percentage: 0 }}, all: {{ enabled: true, rollout_percentage: 100 }}, \
         off: {{ enabled: false }} }}\n\
         origins: {{ old: {{ url: \"{}\" }}, new: {{ url: \"{}\" }} }}\n\
         routes:\n  - {{ id: f, match: {{ path: \"/f\" }}, flag: f, legacy: old, new: new }}\n  \
         - {{ id: all, match: {{ path: \"/all\" }}, flag: all, legacy: old, new: new }}\n  \
         - {{ id: off, match: {{ path: \"/off\" }}, flag: off, legacy: old, new: new }}\n",
        legacy.url(),
        new.url()
    );
    let store = KvServer::configured(&text).await;
    let edge = |name| Worker::edge(name, store.port()).with("DECISION_HEADERS", "arm,reason");
    let workerd =
        Workerd::start(&[edge("edge").with("CUTOVER_FORCE_SECRET", "of the testers"), edge("closed")]);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let signed = |text: &str, secret: &str| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let mac = hmac::sign(&key, text.as_bytes());
        let digits: String = mac.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{text}.{digits}")
    };
    let get = async |worker: &str, path: &str, force: &str| {
        let answer = http::get(workerd.port(worker), path, &[USER, ("x-cutover-force", force)]).await;
        assert_eq!(line(&answer.body, "x-cutover-force"), None, "no backend sees it");
        (answer.header("x-backend").unwrap(), answer.header("x-cutover-reason").unwrap())
    };
    let is = |arm: &str, reason: &str| (arm.to_owned(), reason.to_owned());
    let (to_new, to_legacy) = (
        signed(&format!("new.{}", now + 60), "of the testers"),
        signed(&format!("legacy.{}", now + 60), "of the testers"),
    );
    assert_eq!(get("edge", "/f", &to_new).await, is("new", "WHITELISTED"));
    assert_eq!(get("edge", "/all", &to_legacy).await, is("legacy", "BLACKLISTED"));
    assert_eq!(get("edge", "/off", &to_new).await, is("legacy", "DISABLED"), "a disabled flag is disabled");
    let forged = [
        signed(&format!("new.{}", now + 60), "another secret"),
        signed(&format!("new.{}", now - 1), "of the testers"),
        to_legacy.replacen("legacy", "new", 1),
        to_new.to_uppercase(),
        "new".to_owned(),
        String::new(),
    ];
    for force in &forged {
        assert_eq!(get("edge", "/f", force).await, is("legacy", "ROLLOUT"), "{force}");
    }
    assert_eq!(get("closed", "/f", &to_new).await, is("legacy", "ROLLOUT"), "without a secret nobody may");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_signs_in_can_keep_the_arm() {
    let (legacy, new) = (
        telling(|_| "200 OK\r\nx-backend: legacy\r\n".to_owned()).await,
        telling(|_| "200 OK\r\nx-backend: new\r\n".to_owned()).await,
    );
    let text = format!(
        "feature_flags: {{ f: {{ enabled: true, rollout_percentage: 50 }} }}\n\
         origins: {{ old: {{ url: \"{}\" }}, new: {{ url: \"{}\" }} }}\n\
         routes: [{{ id: all, match: {{ path: \"/{{*rest}}\" }}, flag: f, legacy: old, new: new, \
         identity: [\"cookie:cutover_uid\", \"header:x-user-id\", anonymous] }}]\n",
        legacy.url(),
        new.url()
    );
    let store = KvServer::configured(&text).await;
    let workerd = Workerd::start(&[Worker::edge("edge", store.port())]);
    for user in 0..20 {
        let first = http::get(workerd.port("edge"), "/x", &[]).await;
        let cookie = first.header("set-cookie").unwrap();
        let cookie = cookie.split(';').next().unwrap();
        let name = format!("user-{user}");
        let signed_in =
            http::get(workerd.port("edge"), "/x", &[("cookie", cookie), ("x-user-id", &name)]).await;
        assert_eq!(first.header("x-backend"), signed_in.header("x-backend"), "{user}");
        assert_eq!(signed_in.header("set-cookie"), None);
    }
}
