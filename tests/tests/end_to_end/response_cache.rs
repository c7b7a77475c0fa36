//! Cached routes: a response is given again to whoever the backend could not tell from the one it answered, and to nobody
//! else. The platform's cache runs on no local machine; `tests/vectors/cache.js` stands in for it.

use super::teardown::Ingest;
use axum::{
    Router,
    extract::{Query, State},
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use cutover_core::{
    config::Config,
    measurement::label::CanaryLabel,
    vocabulary::{revision::Revision, share::PartsPerMillion},
};
use cutover_tests::{
    http::{self, Answer, EDGE_TOKEN},
    proxied::{SingleRouteWorker, single_route},
    server::Server,
};
use futures_util::{StreamExt, stream};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(30);

const FRESH: &str = "cache-control=max-age%3D600";

/// A request as a backend got it.
#[derive(Debug, Clone)]
struct Got {
    method: Method,
    headers: HeaderMap,
}

type Log = Arc<Mutex<Vec<Got>>>;

/// A backend that answers with the headers that its query names, the status in `status`, and a body that tells its name, the
/// target and a number.
struct Backend {
    server: Server,
    log: Log,
}

impl Backend {
    async fn start(name: &'static str) -> Self {
        let log = Log::default();
        let app = Router::new().fallback(answer).with_state((name, Arc::clone(&log)));
        Self { server: Server::start(app).await, log }
    }

    fn got(&self) -> Vec<Got> {
        self.log.lock().unwrap().clone()
    }

    fn requests(&self) -> usize {
        self.log.lock().unwrap().len()
    }
}

async fn answer(
    State((name, log)): State<(&'static str, Log)>,
    Query(query): Query<Vec<(String, String)>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let number = {
        let mut log = log.lock().unwrap();
        log.push(Got { method, headers: headers.clone() });
        log.len()
    };
    let mut status = StatusCode::OK;
    let mut answered = HeaderMap::new();
    let mut delay = 0;
    for (key, value) in query {
        match key.as_str() {
            "status" => status = value.parse().unwrap(),
            "delay" => delay = value.parse().unwrap(),
            "page" => {}
            name => {
                let name: axum::http::HeaderName = name.parse().unwrap();
                answered.append(name, value.parse().unwrap());
            }
        }
    }
    tokio::time::sleep(Duration::from_millis(delay)).await;
    let held = headers.get("if-none-match").is_some() && headers.get("if-none-match") == answered.get("etag");
    if held {
        return (StatusCode::NOT_MODIFIED, answered).into_response();
    }
    (status, answered, format!("{name} {uri} {number}")).into_response()
}

/// The Worker with a cached route between two backends.
struct Cached {
    edge: SingleRouteWorker,
    legacy: Backend,
    new: Backend,
}

impl Cached {
    /// Everybody is on the new backend.
    async fn start(cache: &str) -> Self {
        Self::with("enabled: true, rollout_percentage: 100", cache, &[]).await
    }

    async fn with(flag: &str, cache: &str, variables: &[(&str, &str)]) -> Self {
        let (legacy, new) = (Backend::start("legacy").await, Backend::start("new").await);
        let route = format!(", cache: {cache}");
        let yaml = single_route(&legacy.server.url(), &new.server.url(), 5_000, flag, &route);
        let mut all = vec![("DECISION_HEADERS", "arm,reason")];
        all.extend(variables);
        Self { edge: SingleRouteWorker::cached(&yaml, &all).await, legacy, new }
    }

    async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
        let mut all = vec![("x-user-id", "u1")];
        all.extend(headers);
        http::send(self.edge.port(), method, target, &all, b"").await
    }

    async fn get(&self, target: &str, headers: &[(&str, &str)]) -> Answer {
        self.send("GET", target, headers).await
    }
}

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

fn is_cached(answer: &Answer) -> bool {
    answer.header("cache-status").as_deref() == Some("cutover; hit")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_is_given_again_without_the_backend() {
    let cached = Cached::start("{}").await;
    let target = format!(
        "/a?{FRESH}&etag=%22one%22&x-of-backend=yes&x-cutover-event=order&page=1&cf-cache-status=HIT"
    );
    let first = cached.get(&target, &[]).await;
    assert_eq!((first.status, is_cached(&first)), (200, false), "{}", text(&first));
    assert_eq!(first.header("x-cutover-reason").as_deref(), Some("CACHED"), "no evidence, hit or miss");
    assert_eq!(first.header("cache-status").as_deref(), Some("cutover; fwd=miss"));
    let second = cached.get(&target, &[("x-user-id", "u2"), ("accept-language", "fr")]).await;
    assert_eq!((second.status, text(&second)), (200, text(&first)));
    assert!(is_cached(&second), "{:?}", second.headers);
    assert_eq!(second.header("x-cutover-arm").as_deref(), Some("new"));
    assert_eq!(second.header("cache-status").as_deref(), Some("cutover; hit"));
    assert_eq!(second.header("cache-control").as_deref(), Some("max-age=600"), "as the backend sent it");
    assert_eq!(second.header("x-of-backend").as_deref(), Some("yes"));
    assert!(second.header("age").is_some(), "a browser must know how old it is");
    for hidden in ["cf-cache-status", "cloudflare-cdn-cache-control", "cache-tag", "x-cutover-event"] {
        assert_eq!((first.header(hidden), second.header(hidden)), (None, None), "{hidden}");
    }
    assert_eq!(cached.new.requests(), 1);
    // HEAD is answered from the same response.
    let head = cached.send("HEAD", &target, &[]).await;
    assert_eq!((head.status, head.body.len(), is_cached(&head)), (200, 0, true));
    // Another page is another response.
    assert!(!is_cached(&cached.get(&target.replace("page=1", "page=2"), &[]).await));
    assert_eq!((cached.new.requests(), cached.legacy.requests()), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_gets_nothing_that_the_key_does_not_have() {
    let cached = Cached::start("{ headers: [accept-language, X-Tenant] }").await;
    let target = format!("/a?{FRESH}");
    let hostile =
        [("x-forwarded-host", "evil.example"), ("cookie", "session=1"), ("x-other", "1"), ("accept", "*/*")];
    let mut headers = vec![("accept-language", "de"), ("x-tenant", "a")];
    headers.extend(hostile);
    assert!(!is_cached(&cached.get(&target, &headers).await));
    let got = cached.new.got().pop().unwrap();
    assert_eq!(
        (got.headers["accept-language"].as_bytes(), got.headers["x-tenant"].as_bytes()),
        (&b"de"[..], &b"a"[..])
    );
    for name in ["x-forwarded-host", "cookie", "x-other", "x-user-id", "x-cutover-wanted"] {
        assert!(!got.headers.contains_key(name), "{name} arrived: {:?}", got.headers);
    }
    assert!(is_cached(&cached.get(&target, &headers[..2]).await));
    for others in [
        vec![("accept-language", "de")],
        vec![("accept-language", "de"), ("x-tenant", "")],
        vec![("accept-language", "de"), ("x-tenant", "b")],
        vec![("accept-language", "fr"), ("x-tenant", "a")],
        vec![("accept-language", "de"), ("x-tenant", "a"), ("host", "other.example")],
    ] {
        let answer = http::send(cached.edge.port(), "GET", &target, &others, b"").await;
        assert!(!is_cached(&answer), "{others:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_one_users_or_a_failure_is_asked_for_each_time() {
    let cached = Cached::start("{ ttl_seconds: 600 }").await;
    for query in [
        "cache-control=private%2C%20max-age%3D60",
        "cache-control=no-store",
        "cache-control=no-cache",
        "cache-control=max-age%3D0",
        "set-cookie=a%3Db&cache-control=max-age%3D60",
        "vary=*",
        "status=500",
        "status=401",
        "status=404",
        "cdn-cache-control=no-store&cache-control=max-age%3D60",
        "cloudflare-cdn-cache-control=no-store&cache-control=max-age%3D60",
    ] {
        let target = format!("/a?{query}");
        let (first, second) = (cached.get(&target, &[]).await, cached.get(&target, &[]).await);
        assert!(!is_cached(&first) && !is_cached(&second), "{query}");
        assert_ne!(text(&first), text(&second), "{query}");
    }
    let target = format!("/b?{FRESH}");
    cached.get(&target, &[]).await;
    assert!(is_cached(&cached.get(&target, &[]).await));
    for headers in [[("authorization", "Bearer a")], [("range", "bytes=0-3")]] {
        assert!(!is_cached(&cached.get(&target, &headers).await), "{headers:?}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        assert!(!is_cached(&cached.send(method, &target, &[]).await), "{method}");
        assert_eq!(cached.new.got().pop().unwrap().method.as_str(), method);
    }
    // Without a word of the backend the route says how long.
    cached.get("/c", &[]).await;
    assert!(is_cached(&cached.get("/c", &[]).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_sent_and_kept_apart_if_the_route_names_them() {
    let cached = Cached::start("{ headers: [authorization] }").await;
    let target = format!("/a?{FRESH}");
    for token in ["a", "b"] {
        let bearer = format!("Bearer {token}");
        assert!(!is_cached(&cached.get(&target, &[("authorization", &bearer)]).await));
        assert_eq!(cached.new.got().pop().unwrap().headers["authorization"], bearer);
        assert!(is_cached(&cached.get(&target, &[("authorization", &bearer)]).await));
    }
    assert!(!is_cached(&cached.get(&target, &[]).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_holds_the_response_gets_no_body() {
    let cached = Cached::start("{}").await;
    let target =
        format!("/a?{FRESH}&etag=%22one%22&last-modified=Thu%2C%2001%20Jan%202026%2000%3A00%3A00%20GMT");
    cached.get(&target, &[]).await;
    for (name, value, status) in [
        ("if-none-match", "\"one\"", 304),
        ("if-none-match", "W/\"zero\", W/\"one\"", 304),
        ("if-none-match", "*", 304),
        ("if-none-match", "\"two\"", 200),
        ("if-modified-since", "Thu, 01 Jan 2026 00:00:00 GMT", 304),
        ("if-modified-since", "Wed, 31 Dec 2025 00:00:00 GMT", 200),
        ("if-modified-since", "yesterday", 200),
    ] {
        let answer = cached.get(&target, &[(name, value)]).await;
        assert_eq!((answer.status, is_cached(&answer)), (status, true), "{name}: {value}");
        assert_eq!(answer.header("etag").as_deref(), Some("\"one\""), "{name}: {value}");
        assert_eq!(answer.body.is_empty(), status == 304, "{name}: {value}");
    }
    assert_eq!(cached.new.requests(), 1, "a condition of a client is none for the backend");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_response_is_given_while_a_new_one_is_fetched() {
    let cached = Cached::start("{ ttl_seconds: 1, stale_seconds: 600 }").await;
    let first = text(&cached.get("/a", &[]).await);
    let since = Instant::now();
    loop {
        let answer = cached.get("/a", &[]).await;
        assert!(is_cached(&answer), "nobody waits for the backend");
        if text(&answer) != first {
            break;
        }
        assert!(since.elapsed() < PATIENCE, "the response stays {first}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_is_still_the_same_is_kept_on_and_one_of_no_standard_passes() {
    let cached = Cached::start("{ ttl_seconds: 1 }").await;
    let target = "/a?etag=%22one%22&connection=x-hop&x-hop=1";
    let first = cached.get(target, &[]).await;
    assert_eq!(first.header("x-hop"), None, "a header of the connection to the backend");
    let since = Instant::now();
    while cached.new.requests() == 1 {
        assert_eq!(text(&cached.get(target, &[]).await), text(&first));
        assert!(since.elapsed() < PATIENCE, "it never expires");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(cached.new.got()[1].headers["if-none-match"], "\"one\"");
    let again = cached.get(target, &[]).await;
    assert_eq!((is_cached(&again), text(&again)), (true, text(&first)), "kept on for another second");
    for _ in 0..2 {
        assert_eq!(cached.get("/b?status=999", &[]).await.status, 999);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_that_miss_at_once_are_one_request_for_the_backend() {
    let cached = Cached::start("{}").await;
    let target = format!("/a?{FRESH}&delay=1000");
    let clients = (0..50).map(|_| cached.get(&target, &[]));
    let answers: Vec<Answer> = futures_util::future::join_all(clients).await;
    assert!(answers.iter().all(|answer| answer.status == 200 && text(answer).ends_with(" 1")));
    assert_eq!(cached.new.requests(), 1);
    assert_eq!(answers.iter().filter(|answer| is_cached(answer)).count(), 49);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_fails_leaves_clients_with_the_backend() {
    let cached = Cached::start("{}").await;
    let target = format!("/a?{FRESH}");
    cached.get(&target, &[]).await;
    cached.edge.steer_cache("fail").await;
    for number in 2..5 {
        let answer = cached.get(&target, &[("x-other", "kept"), ("accept", "text/plain")]).await;
        assert_eq!((answer.status, is_cached(&answer)), (200, false));
        assert!(text(&answer).ends_with(&format!(" {number}")), "{}", text(&answer));
        assert_eq!(cached.new.got().pop().unwrap().headers["x-other"], "kept", "as if there were no cache");
    }
    cached.edge.steer_cache("heal").await;
    let since = Instant::now();
    while !is_cached(&cached.get(&target, &[]).await) {
        assert!(since.elapsed() < PATIENCE, "the cache is never asked again");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// The backend has its time limit behind the cache, so a question without an answer is not its fault.
#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_hangs_is_no_failure_of_the_backend() {
    let legacy = Backend::start("legacy").await;
    let new = Backend::start("new").await;
    let flag = "enabled: true, rollout_percentage: 100";
    let route = ", cache: { ttl_seconds: 600 }, fallback: never";
    let yaml = single_route(&legacy.server.url(), &new.server.url(), 500, flag, route);
    let edge = SingleRouteWorker::cached(&yaml, &[("DECISION_HEADERS", "arm,reason")]).await;
    edge.steer_cache("hang").await;
    let clients = (0..8).map(|_| http::get(edge.port(), "/a", &[("x-user-id", "u1")]));
    for answer in futures_util::future::join_all(clients).await {
        assert_eq!((answer.status, answer.json()["code"].as_str()), (504, Some("origin_timeout")));
    }
    // Five failures would have turned everybody to legacy.
    let next = http::get(edge.port(), "/a", &[("x-user-id", "u1")]).await;
    assert_eq!((next.status, next.header("x-cutover-arm").as_deref()), (200, Some("new")), "{}", text(&next));
    assert!(edge.health().await["origins"].is_null());
}

/// Without a platform cache, as with an older `wrangler.toml`.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_cache_each_request_is_a_miss() {
    let (legacy, new) = (Backend::start("legacy").await, Backend::start("new").await);
    let flag = "enabled: true, rollout_percentage: 100";
    let route = ", cache: { ttl_seconds: 600, headers: [accept-language] }";
    let yaml = single_route(&legacy.server.url(), &new.server.url(), 5_000, flag, route);
    let edge = SingleRouteWorker::configured(&yaml, &[("DECISION_HEADERS", "arm,reason")]).await;
    for number in 1..4 {
        let headers = [("x-user-id", "u1"), ("accept-language", "de"), ("x-other", "1")];
        let answer = http::get(edge.port(), "/a?cf-cache-status=HIT&cache-tag=one", &headers).await;
        assert_eq!((answer.status, is_cached(&answer)), (200, false));
        assert!(text(&answer).ends_with(&format!(" {number}")), "{}", text(&answer));
        let hidden = ["cloudflare-cdn-cache-control", "cache-tag", "cf-cache-status"];
        assert!(hidden.iter().all(|name| answer.header(name).is_none()), "{:?}", answer.headers);
        let got = new.got().pop().unwrap();
        assert_eq!(
            (got.headers["accept-language"].as_bytes(), got.headers.get("x-other")),
            (&b"de"[..], None)
        );
        assert_eq!(got.headers["accept-encoding"], "identity", "what is kept is given to every client");
    }
    let bearer = format!("Bearer {EDGE_TOKEN}");
    let body = br#"{"tags":["one"]}"#;
    let refused =
        http::send(edge.port(), "POST", "/_cutover/purge", &[("authorization", &bearer)], body).await;
    assert_eq!((refused.status, refused.json()["code"].as_str()), (503, Some("purge_refused")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_fails_behind_the_cache_is_treated_as_without_one() {
    let legacy = Backend::start("legacy").await;
    let flag = "enabled: true, rollout_percentage: 100";
    let yaml = single_route(
        &legacy.server.url(),
        "http://127.0.0.1:9",
        5_000,
        flag,
        ", cache: { ttl_seconds: 600 }",
    );
    let edge = SingleRouteWorker::cached(&yaml, &[("DECISION_HEADERS", "arm,reason")]).await;
    let first = http::get(edge.port(), "/a", &[("x-user-id", "u1")]).await;
    assert_eq!((first.status, first.header("x-cutover-reason").as_deref()), (200, Some("FALLBACK")));
    assert!(text(&first).starts_with("legacy "), "{}", text(&first));
    // What legacy answered in the place of the new backend is kept for nobody.
    http::get(edge.port(), "/a", &[("x-user-id", "u1")]).await;
    assert_eq!(legacy.requests(), 2);

    let yaml = single_route(
        "http://127.0.0.1:9",
        &legacy.server.url(),
        5_000,
        "enabled: false",
        ", cache: { ttl_seconds: 600 }",
    );
    let edge = SingleRouteWorker::cached(&yaml, &[("DECISION_HEADERS", "arm,reason")]).await;
    let failed = http::get(edge.port(), "/a", &[("x-user-id", "u1")]).await;
    assert_eq!((failed.status, failed.json()["code"].as_str()), (502, Some("origin_unreachable")));
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_are_removed_by_their_tags() {
    let cached = Cached::start("{ ttl_seconds: 600, tags: [all] }").await;
    let [first, second] = ["/a?cache-tag=Review-1%2Creviews", "/a?cache-tag=review-2"];
    for target in [first, second] {
        cached.get(target, &[]).await;
        assert!(is_cached(&cached.get(target, &[]).await), "{target}");
    }
    let bearer = format!("Bearer {EDGE_TOKEN}");
    let purge = async |method: &str, token: &str, body: &str| {
        let headers = [("authorization", token), ("content-type", "application/json")];
        http::send(cached.edge.port(), method, "/_cutover/purge", &headers, body.as_bytes()).await
    };
    let good = r#"{"tags":["review-1"]}"#;
    for (method, token, body, status, code) in [
        ("POST", "Bearer wrong", good, 401, "token_invalid"),
        ("GET", bearer.as_str(), "", 405, "method_not_allowed"),
        ("POST", &bearer, "", 422, "tags_invalid"),
        ("POST", &bearer, r#"{"tags":[]}"#, 422, "tags_invalid"),
        ("POST", &bearer, r#"{"tags":["a b"]}"#, 422, "tags_invalid"),
        ("POST", &bearer, r#"{"tags":["a,b"]}"#, 422, "tags_invalid"),
        ("POST", &bearer, r#"{"tags":[1]}"#, 422, "tags_invalid"),
    ] {
        let refused = purge(method, token, body).await;
        assert_eq!(
            (refused.status, refused.json()["code"].as_str()),
            (status, Some(code)),
            "{method} {body}"
        );
        assert!(is_cached(&cached.get(first, &[]).await), "{method} {body}");
    }
    let purged = purge("POST", &bearer, good).await;
    assert_eq!((purged.status, purged.json()["purged"][0].as_str()), (200, Some("review-1")));
    assert!(!is_cached(&cached.get(first, &[]).await));
    assert!(is_cached(&cached.get(second, &[]).await), "another tag");
    assert_eq!(purge("POST", &bearer, r#"{"tags":["all"]}"#).await.status, 200);
    for target in [first, second] {
        assert!(!is_cached(&cached.get(target, &[]).await), "{target} has the tag of the route");
    }
    cached.edge.steer_cache("fail").await;
    let refused = purge("POST", &bearer, good).await;
    assert_eq!((refused.status, refused.json()["code"].as_str()), (503, Some("purge_refused")));
}

/// In the suite 3,000 requests, deep 100,000.
#[tokio::test(flavor = "multi_thread")]
async fn no_arm_gets_a_response_of_the_other_and_hot_reads_are_hits() {
    let flag = "enabled: true, rollout_percentage: 1";
    let cached = Cached::with(flag, "{ ttl_seconds: 600 }", &[]).await;
    let requests: u32 = if std::env::var("CUTOVER_DEEP").is_ok() { 100_000 } else { 3_000 };
    // Four of five requests are for the fifth of 200 objects that is hot; one of four for an object of its own arm alone.
    let seen = stream::iter(0..requests)
        .map(|number| {
            let cached = &cached;
            async move {
                let draw = u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
                let page = if draw % 5 < 4 { draw / 5 % 40 } else { 40 + draw / 5 % 160 };
                let user = format!("user-{}", draw / 1_000 % 2_000);
                let target = format!("/page/{page}");
                let answer = http::get(cached.edge.port(), &target, &[("x-user-id", &user)]).await;
                let arm = answer.header("x-cutover-arm").unwrap();
                assert!(text(&answer).starts_with(&format!("{arm} {target} ")), "{arm}: {}", text(&answer));
                (arm, is_cached(&answer))
            }
        })
        .buffer_unordered(32)
        .fold(BTreeMap::<String, [u32; 2]>::new(), |mut seen, (arm, is_hit)| async move {
            let [all, hits] = seen.entry(arm).or_default();
            *all += 1;
            *hits += u32::from(is_hit);
            seen
        })
        .await;
    let [all, hits] = seen["legacy"];
    println!("{seen:?}");
    assert!(seen["new"][0] > 0, "nobody was on the new backend: {seen:?}");
    assert!(f64::from(hits) / f64::from(all) > 0.8, "{hits} of {all} were hits");
    let misses = |arm: &str| seen[arm][0] - seen[arm][1];
    assert_eq!(cached.legacy.requests(), usize::try_from(misses("legacy")).unwrap());
    assert_eq!(cached.new.requests(), usize::try_from(misses("new")).unwrap());
}

/// A share of the users goes past the cache, in both arms the same one, and they alone are evidence: the contents of a cache depend
/// on the share of its arm.
#[tokio::test(flavor = "multi_thread")]
async fn evidence_is_what_went_past_the_cache() {
    let ingest = Ingest::start().await;
    let variables = [
        ("INGEST_URL", ingest.url()),
        ("CUTOVER_INGEST_SECRET", "secret".to_owned()),
        ("REPORT_INTERVAL_MS", "200".to_owned()),
        ("DECISION_HEADERS", "arm,reason".to_owned()),
    ];
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (legacy, new) = (Backend::start("legacy").await, Backend::start("new").await);
    let flag = "enabled: true, rollout_percentage: 50";
    let route = ", cache: { ttl_seconds: 600, bypass_percent: 40 }";
    let yaml = single_route(&legacy.server.url(), &new.server.url(), 5_000, flag, route);
    let mut snapshot = Config::from_yaml(&yaml).unwrap().snapshot(Revision(1), None);
    let label = CanaryLabel {
        run: "r1".parse().unwrap(),
        step: 0,
        slow_success_ms: 100,
        slow_rollback_ms: 200,
        routes: BTreeMap::new(),
        key: Some("000102030405060708090a0b0c0d0e0f".to_owned()),
        share: PartsPerMillion::of_percent(50),
    };
    snapshot.canaries.insert("everything".parse().unwrap(), label);
    let edge = SingleRouteWorker::cached_holding(&snapshot, &variables).await;
    let mut seen = BTreeMap::<(String, String), u64>::new();
    let mut misses = 0;
    for number in 0..400 {
        let user = format!("user-{}", number % 200);
        let answer = http::get(edge.port(), &format!("/{}", number % 7), &[("x-user-id", &user)]).await;
        assert_eq!(answer.status, 200);
        let [arm, reason] = ["x-cutover-arm", "x-cutover-reason"].map(|name| answer.header(name).unwrap());
        misses += u64::from(reason == "CACHED" && !is_cached(&answer));
        assert!(reason == "CACHED" || !is_cached(&answer), "evidence from a cache");
        *seen.entry((arm, reason)).or_default() += 1;
    }
    let count =
        |arm: &str, reason: &str| seen.get(&(arm.to_owned(), reason.to_owned())).copied().unwrap_or_default();
    let evidence = count("legacy", "ROLLOUT") + count("new", "ROLLOUT");
    for arm in ["legacy", "new"] {
        let share = 100 * count(arm, "ROLLOUT") / (count(arm, "ROLLOUT") + count(arm, "CACHED"));
        assert!((20..=60).contains(&share), "{share} % of {arm} went past the cache: {seen:?}");
    }
    assert!((2..=14).contains(&misses), "{misses} misses of seven pages and two arms");
    let asked = u64::try_from(legacy.requests() + new.requests()).unwrap();
    assert_eq!(asked, evidence + misses);
    let since = Instant::now();
    loop {
        let reported = [ingest.decided("ROLLOUT")[0], ingest.decided("CACHED")[0]];
        assert!(reported[0] <= evidence, "{reported:?}: of {evidence}");
        if reported[0] == evidence {
            break;
        }
        assert!(since.elapsed() < PATIENCE, "{reported:?} of {evidence}");
        // Gives the reports a turn. A request of a user who is in the cache's part is no evidence.
        http::get(edge.port(), "/_cutover/health", &[]).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
