//! Responses of a backend that do not fit its adapter.

use super::*;

const USER: (&str, &str) = ("x-user-id", "u1");

/// A backend that answers every request with JSON, and keeps the heads of the requests. It gives a reason of its own for
/// being unfit, which is not its to give.
struct JsonBackend {
    origin: RawOrigin,
    heads: Arc<Mutex<Vec<String>>>,
}

impl JsonBackend {
    async fn start(content: &'static str) -> Self {
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&heads);
        let origin = RawOrigin::start(move |mut received: ReceivedRequest| {
            seen.lock().unwrap().push(received.text().to_lowercase());
            async move {
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-kept: 1\r\n\
                     content-length: {}\r\nconnection: close\r\n\r\n{content}",
                    content.len()
                );
                let _ = received.socket.write_all(answer.as_bytes()).await;
            }
        })
        .await;
        Self { origin, heads }
    }

    /// Returns true if a request had the text in its head.
    fn saw(&self, text: &str) -> bool {
        let heads = self.heads.lock().unwrap();
        assert!(!heads.is_empty(), "no request arrived");
        heads.iter().any(|head| head.contains(text))
    }
}

/// A client's mistake, which an adapter answers without its backend, is no sign that the backend is well again.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_adapter_answers_itself_does_not_end_a_row_of_failures() {
    let legacy = JsonBackend::start("{}").await;
    let yaml = format!(
        "feature_flags: {{ all: {{ enabled: true, rollout_percentage: 100 }} }}\n\
         origins: {{ old: {{ url: \"{}\" }}, new: {{ url: \"http://127.0.0.1:9\" }} }}\n\
         adapters:\n  a:\n    routes:\n      - match: {{ method: GET, path: /r }}\n        \
         backend: {{ method: GET, path: /r }}\n        variables: {{ page: {{ from: query.page, type: int }} }}\n\
         routes: [{{ id: r, match: {{ path: /r }}, flag: all, legacy: old, new: new, adapt: [a] }}]\n",
        legacy.origin.url()
    );
    let edge = SingleRouteWorker::configured(&yaml, &[("DECISION_HEADERS", "arm,reason")]).await;
    for (query, status, reason) in [
        ("page=1", 200, "FALLBACK"),
        ("page=1", 200, "FALLBACK"),
        ("page=1", 200, "FALLBACK"),
        ("page=1", 200, "FALLBACK"),
        ("page=x", 400, "ROLLOUT"),
        ("page=1", 200, "FALLBACK"),
        ("page=1", 200, "DIVERTED"),
    ] {
        let answer = http::get(edge.port(), &format!("/r?{query}"), &[USER]).await;
        assert_eq!(
            (answer.status, answer.header("x-cutover-reason").as_deref()),
            (status, Some(reason)),
            "{query}"
        );
    }
}

/// The responses of legacy and of the new backend. The second id of the new one is not a string of digits.
const PAGES: [&str; 2] =
    [r#"{"results":[{"id":1},{"id":2}]}"#, r#"{"results":[{"id":"1"},{"id":true}],"version":7}"#];

/// Routes through adapters that the new backend's response does not fit. One of them calls that 404, another one leaves it
/// at 502, for which legacy answers instead.
const UNFIT: &str = r#"
feature_flags:
  all: { enabled: true, rollout_percentage: 100 }
  none: { enabled: true, rollout_percentage: 0 }
origins: { old: { url: "OLD" }, new: { url: "NEW" } }
adapters:
  mapped:
    shapes: { page: { object: { results: { from: results, each: { object: { id: { from: id, as: number } } } } } } }
    errors: { unfit: { status: 404, code: gone } }
    routes:
      - { match: { method: GET, path: "/mapped/{id}" }, backend: { method: GET, path: /v2 }, response: { shape: page } }
      - { match: { method: GET, path: "/shadow/{id}" }, backend: { method: GET, path: /v2 }, response: { shape: page } }
      - { match: { method: GET, path: "/fits/{id}" }, backend: { method: GET, path: /v2 } }
  usual:
    shapes: { page: { object: { results: { from: results, each: { object: { id: { from: id, as: number } } } } } } }
    routes:
      - { match: { method: GET, path: "/usual/{id}" }, backend: { method: GET, path: /v2 }, response: { shape: page } }
routes:
  - { id: mapped, match: { path: "/mapped/{id}" }, flag: all, legacy: old, new: new, adapt: [mapped], COMPARE }
  - { id: usual, match: { path: "/usual/{id}" }, flag: all, legacy: old, new: new, adapt: [usual], COMPARE }
  - { id: shadow, match: { path: "/shadow/{id}" }, flag: none, legacy: old, new: new, adapt: [mapped], COMPARE }
  - { id: fits, match: { path: "/fits/{id}" }, flag: all, legacy: old, new: new, adapt: [mapped] }
  - { id: plain, match: { path: "/plain/{id}" }, flag: all, legacy: old, new: new }
"#;

fn unfit([old, new]: &[JsonBackend; 2], compare: &str) -> String {
    UNFIT.replace("OLD", &old.origin.url()).replace("NEW", &new.origin.url()).replace(", COMPARE", compare)
}

async fn backends() -> [JsonBackend; 2] {
    [JsonBackend::start(PAGES[0]).await, JsonBackend::start(PAGES[1]).await]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unfit_answer_is_an_error_of_its_backend_and_holders_of_the_token_see_why() {
    let backends = backends().await;
    // Without decision headers, which is how it is deployed.
    let edge = SingleRouteWorker::configured(&unfit(&backends, ""), &[]).await;
    let get = async |path: &str, token: Option<&str>| {
        let mut headers = vec![USER];
        headers.extend(token.map(|token| ("x-cutover-debug", token)));
        let answer = http::get(edge.port(), path, &headers).await;
        (answer.status, answer.header("x-cutover-unfit"))
    };
    let reason = |path: &str| {
        format!("GET {path}: results[].id: expected a number, or a string that holds one, found true")
    };
    for token in [None, Some("wrong"), Some("")] {
        assert_eq!(get("/mapped/7", token).await, (404, None), "{token:?}");
    }
    assert_eq!(get("/mapped/7", Some(EDGE_TOKEN)).await, (404, Some(reason("/mapped/{id}"))));
    // A response that fits has no reason, and no backend sees the token.
    for path in ["/fits/7", "/plain/7"] {
        for token in [None, Some(EDGE_TOKEN)] {
            assert_eq!(get(path, token).await, (200, None), "{path} {token:?}");
        }
    }
    assert_eq!(get("/usual/7", None).await, (200, None), "legacy answers");
    assert_eq!(get("/usual/7", Some(EDGE_TOKEN)).await, (200, Some(reason("/usual/{id}"))));
    for backend in &backends {
        assert!(!backend.saw("x-cutover-debug") && !backend.saw(EDGE_TOKEN));
    }
    let health = edge.health().await;
    let new = ["requests", "errors"].map(|name| health["outcomes"]["new"][name].as_u64());
    assert_eq!(new, [Some(10), Some(6)], "{health:#}");
    // The log names each route, once in ten seconds.
    let deadline = Instant::now() + Duration::from_secs(60);
    let logged = |route: &str| {
        let output = edge.workerd.output();
        let lines = output.lines().filter(|line| line.contains(r#""event":"adapter_unfit""#));
        lines.filter(|line| line.contains(&format!(r#""route":"GET {route}","path":"results[].id""#))).count()
    };
    while logged("/mapped/{id}") == 0 || logged("/usual/{id}") == 0 {
        assert!(Instant::now() < deadline, "{}", edge.workerd.output());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(logged("/mapped/{id}") < 4, "one line for each answer:\n{}", edge.workerd.output());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unfit_answer_is_an_error_in_the_metrics_and_comparisons_name_its_place() {
    let worker_variables = BTreeMap::from([
        ("SNAPSHOT_SOFT_TTL_MS", "200".to_owned()),
        ("REPORT_INTERVAL_MS", "300".to_owned()),
    ]);
    let stack = Stack::start(Options { worker_variables, ..Options::default() }).await;
    let backends = backends().await;
    let text = unfit(&backends, ", compare: { sample: 100, noise: 0, per_minute: 1000 }");
    let applied = stack.management().apply(&text).await.expect(200);
    stack.edge_holds(applied.body["revision"].as_u64().unwrap()).await;
    for (path, status) in [("/mapped/7", 404), ("/usual/7", 200), ("/shadow/7", 200)] {
        assert_eq!(http::get(stack.edge.port(), path, &[USER]).await.status, status, "{path}");
    }
    let deadline = Instant::now() + Duration::from_secs(90);
    let told = loop {
        stack.tick().await;
        let told = stack.management().get("/comparisons").await.expect(200).body;
        let compared = told["comparisons"].as_array().unwrap().iter().map(|held| held["compared"].as_u64());
        if compared.map(Option::unwrap_or_default).sum::<u64>() == 3 {
            break told;
        }
        assert!(Instant::now() < deadline, "{told:#}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    for compared in told["comparisons"].as_array().unwrap() {
        let differences = compared["differences"].as_array().unwrap();
        // The other one is the status.
        assert_eq!(differences.len(), 2, "{compared:#}");
        let named = differences.iter().find(|found| found["path"] == "(adapter) results[].id");
        let named = named.unwrap_or_else(|| panic!("{compared:#}"));
        let example = serde_json::json!({ "old": "a number, or a string that holds one", "new": "true" });
        assert_eq!((&named["kind"], &named["example"]), (&"type".into(), &example));
    }
    // The comparison of legacy's own response counts nothing.
    let metrics = stack.management().get("/metrics").await.expect(200).body;
    let series =
        metrics["flags"].as_array().unwrap().iter().flat_map(|flag| flag["series"].as_array().unwrap());
    let errors: Vec<(&str, u64)> = series
        .filter(|series| series["counts"]["server_errors"].as_u64() > Some(0))
        .map(|series| (series["arm"].as_str().unwrap(), series["counts"]["server_errors"].as_u64().unwrap()))
        .collect();
    assert!(errors.iter().all(|(arm, _)| *arm == "new"), "{metrics:#}");
    assert_eq!(errors.iter().map(|(_, count)| count).sum::<u64>(), 2, "{metrics:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_the_client_holds_is_not_sent_again() {
    let [old, new] = backends().await;
    let text = format!(
        "feature_flags: {{ f: {{ enabled: true, rollout_percentage: 100 }} }}\n\
         origins: {{ old: {{ url: \"{}\" }}, new: {{ url: \"{}\" }} }}\n\
         adapters: {{ a: {{ etag: true, keep_headers: [x-kept], routes: [{{ match: {{ method: GET, path: /r }}, \
         backend: {{ method: GET, path: /v2 }}, response: {{ object: {{ version: version }} }} }}] }} }}\n\
         routes: [{{ id: r, match: {{ path: /r }}, flag: f, legacy: old, new: new, adapt: [a] }}]\n",
        old.origin.url(),
        new.origin.url()
    );
    let edge = SingleRouteWorker::configured(&text, &[]).await;
    let ask = async |method: &str, held: Option<&str>| {
        let mut headers = vec![USER];
        headers.extend(held.map(|held| ("if-none-match", held)));
        let answer = send(edge.port(), method, "/r", &headers, b"").await;
        assert_eq!(answer.header("x-kept").as_deref(), Some("1"), "{method} {held:?}");
        let [tag, kind] = ["etag", "content-type"].map(|name| answer.header(name));
        (answer.status, tag.expect("a tag"), kind, String::from_utf8(answer.body).unwrap())
    };
    let (status, tag, kind, content) = ask("GET", None).await;
    assert_eq!(
        (status, kind.as_deref(), content.as_str()),
        (200, Some("application/json"), r#"{"version":7}"#)
    );
    assert!(tag.len() == 34 && tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    let list = format!("\"another\", W/{tag}");
    for held in [tag.as_str(), list.as_str(), "*"] {
        for method in ["GET", "HEAD"] {
            assert_eq!(
                ask(method, Some(held)).await,
                (304, tag.clone(), None, String::new()),
                "{method} {held}"
            );
        }
    }
    assert_eq!(ask("GET", Some("\"another\"")).await, (200, tag.clone(), kind.clone(), content));
    assert_eq!(ask("HEAD", None).await, (200, tag, kind, String::new()));
    assert!(!new.saw("if-none-match"), "the tags are not the backend's");
    let health = edge.health().await;
    let counted = ["requests", "errors"].map(|name| health["outcomes"]["new"][name].as_u64());
    assert_eq!(counted, [Some(9), Some(0)], "{health:#}");
}
