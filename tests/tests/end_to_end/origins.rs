//! Origins that ask for more than their path appended: headers, forwarded names, rewritten redirects, traces, bindings; and
//! testers who ask for an arm.

use aws_lc_rs::hmac;
use cutover_core::{config::Config, vocabulary::revision::Revision};
use cutover_tests::{
    http,
    kv_server::KvServer,
    paths,
    raw_origin::{RawOrigin, ReceivedRequest},
    workerd::{Worker, Workerd},
};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::io::AsyncWriteExt;

const USER: (&str, &str) = ("x-user-id", "u1");

/// An origin that tells which headers arrived, and sends the given head.
async fn telling(head: impl Fn(u16) -> String + Send + Sync + 'static) -> RawOrigin {
    let port = std::sync::Arc::new(std::sync::atomic::AtomicU16::new(0));
    let known = std::sync::Arc::clone(&port);
    let head = std::sync::Arc::new(head);
    let origin = RawOrigin::start(move |mut received: ReceivedRequest| {
        let (head, port) = (std::sync::Arc::clone(&head), known.load(std::sync::atomic::Ordering::SeqCst));
        async move {
            received.body().await;
            let body = received.text();
            let head = head(port);
            let answer =
                format!("HTTP/1.1 {head}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
            let _ = received.socket.write_all(answer.as_bytes()).await;
        }
    })
    .await;
    let number = origin.url().rsplit(':').next().unwrap().parse().unwrap();
    port.store(number, std::sync::atomic::Ordering::SeqCst);
    origin
}

async fn started(origin: &str, options: &str, more: &[(&str, &str)]) -> (Workerd, KvServer) {
    let text = format!(
        "feature_flags: {{ f: {{ enabled: true, rollout_percentage: 100 }} }}\n\
         origins: {{ old: {{ url: \"http://127.0.0.1:9\" }}, new: {{ url: \"{origin}/base\", {options} }} }}\n\
         routes: [{{ id: all, match: {{ path: \"/{{*rest}}\" }}, flag: f, legacy: old, new: new, fallback: never }}]\n"
    );
    let config = Config::from_yaml(&text).unwrap_or_else(|problems| panic!("{problems:?}"));
    let store = KvServer::start().await;
    store.put("snapshot", config.snapshot(Revision(1), None).encode().unwrap());
    let worker = Worker::edge("edge", store.port());
    let worker = more.iter().fold(worker, |worker, (name, value)| worker.with(name, *value));
    (Workerd::start(&[worker]), store)
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
    let (edge, _store) = started(&origin.url(), options, &[("ORIGIN_TOKEN", "s3cret")]).await;
    let headers = [USER, ("x-origin-auth", "forged"), ("x-forwarded-host", "forged")];
    for method in ["GET", "POST"] {
        let answer = http::send(
            edge.port("edge"),
            method,
            "/x?y=1",
            &headers,
            if method == "POST" { b"body" } else { b"" },
        )
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
    let own = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let answer = http::get(edge.port("edge"), "/x", &[USER, ("traceparent", own)]).await;
    assert_eq!(line(&answer.body, "traceparent").as_deref(), Some(own));
    // A secret that is not set must not turn into a request without it.
    let (edge, _store) = started(&origin.url(), options, &[]).await;
    assert_eq!(http::get(edge.port("edge"), "/x", &[USER]).await.status, 502);
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
        let (edge, _store) = started(&origin.url(), "rewrite: true", &[]).await;
        let answer = http::get(edge.port("edge"), "/x", &[USER]).await;
        let port = origin.url().rsplit(':').next().unwrap().to_owned();
        assert_eq!(answer.header("location"), Some(expected.replace("PORT", &port)), "{location}");
        let cookies =
            ["a=1; Path=/; HttpOnly", "b=2; Domain=example.com; Expires=Wed, 21 Oct 2026 07:28:00 GMT"];
        assert_eq!(answer.all("set-cookie"), cookies);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_binding_takes_the_requests_of_its_origin() {
    let store = KvServer::start().await;
    let text = "feature_flags: { f: { enabled: true, rollout_percentage: 100 } }\n\
                origins: { old: { url: \"http://127.0.0.1:9\" }, new: { url: \"http://service/base\", binding: ORIGIN_BACKEND } }\n\
                routes: [{ id: all, match: { path: \"/{*rest}\" }, flag: f, legacy: old, new: new }]\n";
    let config = Config::from_yaml(text).unwrap_or_else(|problems| panic!("{problems:?}"));
    store.put("snapshot", config.snapshot(Revision(1), None).encode().unwrap());
    let service = Worker::javascript("service", &paths::root().join("tests/vectors/service.js"));
    let workerd =
        Workerd::start(&[Worker::edge("edge", store.port()).bound_to("ORIGIN_BACKEND", "service"), service]);
    let answer = http::send(workerd.port("edge"), "POST", "/x?y=1", &[USER], b"hello").await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"POST /base/x?y=1 hello"[..]));
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
    let config = Config::from_yaml(&text).unwrap_or_else(|problems| panic!("{problems:?}"));
    let store = KvServer::start().await;
    store.put("snapshot", config.snapshot(Revision(1), None).encode().unwrap());
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
    let config = Config::from_yaml(&text).unwrap_or_else(|problems| panic!("{problems:?}"));
    let store = KvServer::start().await;
    store.put("snapshot", config.snapshot(Revision(1), None).encode().unwrap());
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
