//! Clients of the old REST interface on the new GraphQL backend: they get what the old backend gives. Nothing here
//! shares code with the adapter; the old backend itself says what is right.

use cutover_origins::{Backend, Data, Origin};
use cutover_tests::{
    command::cutover,
    http::{self, Answer, EDGE_TOKEN, send},
    paths,
    proxied::SingleRouteWorker,
    raw_origin::{RawOrigin, ReceivedRequest},
    stack::{Options, ROOT_TOKEN, Stack},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::io::AsyncWriteExt;

/// A stack that sends everybody through the adapter to a GraphQL backend with data of its own.
async fn started(new: &Origin, more: &str) -> Stack {
    let variables = BTreeMap::from([("SNAPSHOT_SOFT_TTL_MS", "200".to_owned())]);
    let stack = Stack::start(Options { worker_variables: variables, ..Options::default() }).await;
    let folder = paths::root().join("tests/reviews");
    let file = stack.state().join("cutover.yaml");
    let text = format!(
        "feature_flags: {{ graphql: {{ enabled: true, rollout_percentage: 100 }} }}\n\
         origins: {{ rest: {{ url: \"{}\", timeout_ms: 1000 }}, graphql: {{ url: \"{}\", timeout_ms: 1000 }} }}\n\
         adapters: {{ reviews: \"{}/adapter.yaml\" }}\n\
         routes:\n  - {{ id: reviews, match: {{ path: \"/api/v1/{{*rest}}\" }}, flag: graphql, legacy: rest, \
         new: graphql, adapt: [reviews]{more} }}\n",
        stack.legacy.url(),
        new.url(),
        folder.display(),
    );
    std::fs::write(&file, text).unwrap();
    let done = cutover(&stack, ROOT_TOKEN, &["apply", "-f", file.to_str().unwrap()], "").await;
    assert_eq!((done.code, done.err.as_str()), (0, ""), "{}{}", done.out, done.err);
    stack.edge_holds(1).await;
    stack
}

/// One request, what it is an example of, and the status that it must have.
type Case = (&'static str, &'static str, &'static str, Option<&'static str>, u16);

const NEW_REVIEW: &str =
    r#"{"offer_id": 7, "author_id": "user-77", "rating": 4, "text": "Très bien \"ça\" \u00e9 😀"}"#;

/// In this order: what is written by one is read by the next.
const CASES: &[(&str, &[Case])] = &[
    (
        "GET /api/v1/reviews",
        &[
            ("success", "GET", "/api/v1/reviews", None, 200),
            ("second page", "GET", "/api/v1/reviews?page=2&limit=7", None, 200),
            ("last page", "GET", "/api/v1/reviews?limit=7&page=6", None, 200),
            ("largest page", "GET", "/api/v1/reviews?limit=1000", None, 200),
            ("empty", "GET", "/api/v1/reviews?page=99", None, 200),
            ("invalid", "GET", "/api/v1/reviews?page=0", None, 400),
            ("invalid", "GET", "/api/v1/reviews?page=first", None, 400),
            ("invalid", "GET", "/api/v1/reviews?limit=%F0%9F%98%80", None, 400),
        ],
    ),
    (
        "GET /api/v1/offers/{id}/reviews",
        &[
            ("success", "GET", "/api/v1/offers/3/reviews", None, 200),
            ("second page", "GET", "/api/v1/offers/3/reviews?page=2&limit=2", None, 200),
            ("empty", "GET", "/api/v1/offers/999/reviews", None, 200),
            ("not found", "GET", "/api/v1/offers/1000000/reviews", None, 404),
            ("invalid", "GET", "/api/v1/offers/three/reviews", None, 400),
        ],
    ),
    (
        "GET /api/v1/users/{id}/reviews",
        &[
            ("success", "GET", "/api/v1/users/user-3/reviews", None, 200),
            ("second page", "GET", "/api/v1/users/user-3/reviews?page=2&limit=1", None, 200),
            ("fourth page", "GET", "/api/v1/users/user-3/reviews?page=4&limit=1", None, 200),
            ("empty", "GET", "/api/v1/users/user-3/reviews?page=9", None, 200),
            ("empty", "GET", "/api/v1/users/user-99/reviews", None, 200),
            ("not found", "GET", "/api/v1/users/nobody%20here/reviews", None, 404),
            ("invalid", "GET", "/api/v1/users/user-3/reviews?limit=x", None, 400),
        ],
    ),
    (
        "POST /api/v1/reviews",
        &[
            ("success", "POST", "/api/v1/reviews", Some(NEW_REVIEW), 201),
            ("conflict", "POST", "/api/v1/reviews", Some(NEW_REVIEW), 409),
            ("empty", "POST", "/api/v1/reviews", Some("{}"), 400),
            ("invalid", "POST", "/api/v1/reviews", Some("{"), 400),
            ("invalid", "POST", "/api/v1/reviews", Some(r#"{"offer_id":"x","author_id":"a"}"#), 400),
            (
                "invalid",
                "POST",
                "/api/v1/reviews",
                Some(r#"{"offer_id":8,"author_id":"user-78","rating":6,"text":""}"#),
                422,
            ),
            (
                "invalid",
                "POST",
                "/api/v1/reviews",
                Some(r#"{"offer_id":8,"author_id":"user-78","rating":2}"#),
                400,
            ),
        ],
    ),
    (
        "GET /api/v1/reviews/{id}",
        &[
            ("success", "GET", "/api/v1/reviews/7", None, 200),
            ("success", "GET", "/api/v1/reviews/41", None, 200),
            ("not found", "GET", "/api/v1/reviews/4711", None, 404),
            ("invalid", "GET", "/api/v1/reviews/seven", None, 400),
        ],
    ),
    (
        "PUT /api/v1/reviews/{id}",
        &[
            ("success", "PUT", "/api/v1/reviews/7", Some(r#"{"rating":2,"text":"Changed my mind."}"#), 200),
            ("empty", "PUT", "/api/v1/reviews/7", Some("{}"), 200),
            ("not found", "PUT", "/api/v1/reviews/4711", Some(r#"{"rating":2}"#), 404),
            ("conflict", "PUT", "/api/v1/reviews/9", Some(r#"{"rating":2}"#), 409),
            ("invalid", "PUT", "/api/v1/reviews/7", Some(r#"{"rating":0}"#), 422),
            ("invalid", "PUT", "/api/v1/reviews/7", Some(r#"{"text":1}"#), 400),
            ("invalid", "PUT", "/api/v1/reviews/x", Some("{}"), 400),
            ("invalid", "PUT", "/api/v1/reviews/7", Some("not json"), 400),
        ],
    ),
    (
        "DELETE /api/v1/reviews/{id}",
        &[
            ("success", "DELETE", "/api/v1/reviews/8", None, 204),
            ("not found", "DELETE", "/api/v1/reviews/8", None, 404),
            ("conflict", "DELETE", "/api/v1/reviews/9", None, 409),
            ("invalid", "DELETE", "/api/v1/reviews/x", None, 400),
        ],
    ),
];

/// Requests that any endpoint refuses, or that no backend answers; the body of a write goes along.
const SAMPLES: &[(&str, &str, Option<&str>)] = &[
    ("GET", "/api/v1/reviews", None),
    ("GET", "/api/v1/offers/3/reviews", None),
    ("GET", "/api/v1/users/user-3/reviews", None),
    ("POST", "/api/v1/reviews", Some(NEW_REVIEW)),
    ("GET", "/api/v1/reviews/7", None),
    ("PUT", "/api/v1/reviews/7", Some("{}")),
    ("DELETE", "/api/v1/reviews/7", None),
];

/// Headers that are each server's own, or the edge's.
pub(crate) fn compared(answer: &Answer) -> BTreeMap<String, String> {
    const OWN: [&str; 6] =
        ["date", "x-backend", "connection", "content-length", "transfer-encoding", "set-cookie"];
    let named = answer.headers.iter().filter(|(name, _)| !OWN.contains(&name.as_str()));
    let named = named.filter(|(name, _)| !name.starts_with("x-cutover-"));
    named.map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned())).collect()
}

/// The body without the moments that differ because the two were asked one after the other.
fn body(answer: &Answer) -> Value {
    fn forget(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for name in ["timestamp", "updated_at", "created_at"] {
                    if let Some(Value::String(text)) = fields.get_mut(name) {
                        // Those of this year are of this test; the others were there before.
                        if !text.starts_with("2024-") {
                            *text = "now".to_owned();
                        }
                    }
                }
                fields.values_mut().for_each(forget);
            }
            Value::Array(items) => items.iter_mut().for_each(forget),
            _ => {}
        }
    }
    if answer.body.is_empty() {
        return Value::Null;
    }
    let mut body = answer.json();
    forget(&mut body);
    body
}

async fn parity(
    edge: u16,
    legacy: u16,
    case: &str,
    request: (&str, &str, Option<&str>),
    token: Option<&str>,
) -> u16 {
    let (method, target, content) = request;
    let mut headers = vec![("x-user-id", "u1"), ("accept", "application/json")];
    headers.extend(content.map(|_| ("content-type", "application/json")));
    headers.extend(token.map(|token| ("authorization", token)));
    let content = content.unwrap_or_default().as_bytes();
    let wanted = send(legacy, method, target, &headers, content).await;
    let got = send(edge, method, target, &headers, content).await;
    let label = format!("{case}: {method} {target}");
    assert_eq!(got.header("x-cutover-arm").as_deref(), Some("new"), "{label}");
    assert_eq!(got.status, wanted.status, "{label}: {}", String::from_utf8_lossy(&got.body));
    assert_eq!(compared(&got), compared(&wanted), "{label}");
    assert_eq!(body(&got), body(&wanted), "{label}");
    got.status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rest_client_gets_from_the_graphql_backend_what_the_old_one_gives() {
    let new = Origin::start(Backend::New, Arc::new(Data::default())).await;
    let old = Origin::start(Backend::Legacy, Arc::new(Data::default())).await;
    let stack = started(&new, "").await;
    let (edge, legacy) = (stack.edge.port(), old.port());
    let mut checked = 0;
    for (endpoint, cases) in CASES {
        for (case, method, target, content, status) in *cases {
            let seen = parity(edge, legacy, case, (method, target, *content), None).await;
            assert_eq!(seen, *status, "{endpoint}, {case}");
            checked += 1;
        }
    }
    for sample in SAMPLES {
        let expired = Some("Bearer expired");
        assert_eq!(parity(edge, legacy, "unauthorised", *sample, expired).await, 401);
        checked += 1;
    }
    let failing = cutover_origins::Faults { error_rate: 1.0, ..Default::default() };
    old.control().set(failing);
    new.control().set(failing);
    for sample in SAMPLES {
        assert_eq!(parity(edge, legacy, "backend failure", *sample, None).await, 500);
        checked += 1;
    }
    println!("{checked} requests answered alike by the old backend and through the adapter");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_version_1_keeps_it_while_the_backend_speaks_version_2() {
    let stack = Stack::start(Options::default()).await;
    let text = format!(
        r#"
feature_flags: {{ second: {{ enabled: true, rollout_percentage: 100 }} }}
origins: {{ rest: {{ url: "{}" }}, second: {{ url: "{}" }} }}
adapters:
  version_1:
    version: {{ header: X-API-Version, values: ["1"] }}
    shapes:
      review:
        object:
          id: {{ from: review.reviewId, as: number }}
          rating: review.stars
          text: review.text.plain
          created_at: {{ from: review.createdAt, date: {{ from: epoch_ms, to: rfc3339 }} }}
    errors:
      envelope: {{ object: {{ error: code, message: message }} }}
      read: {{ object: {{ code: problem.name, message: problem.text }} }}
      statuses: {{ 404: {{ status: 404, code: "", message: "{{message}}" }}, 409: {{ status: 409, code: locked, message: "it is moderated" }} }}
    routes:
      - match: {{ method: GET, path: "/api/reviews/{{id}}" }}
        backend: {{ method: GET, path: "/api/reviews/{{path.id}}" }}
        response: {{ shape: review }}
      - match: {{ method: PUT, path: "/api/reviews/{{id}}" }}
        backend: {{ method: PUT, path: "/api/reviews/{{path.id}}", body_inverse_of: {{ shape: review }} }}
        response: {{ shape: review }}
routes:
  - {{ id: reviews, match: {{ path: "/api/reviews/{{id}}" }}, flag: second, legacy: rest, new: second, adapt: [version_1] }}
"#,
        stack.legacy.url(),
        stack.new.url()
    );
    let applied = stack.management().apply(&text).await.expect(200);
    stack.edge_holds(applied.body["revision"].as_u64().unwrap()).await;
    let port = stack.edge.port();
    let ask = async |method: &str, path: &str, version: &str, body: &str| {
        let mut headers = vec![("x-user-id", "u1"), ("content-type", "application/json")];
        if !version.is_empty() {
            headers.push(("x-api-version", version));
        }
        let answer = send(port, method, path, &headers, body.as_bytes()).await;
        (answer.status, answer.header("x-cutover-reason").unwrap(), answer.json())
    };
    let first = serde_json::json!({
        "id": 7, "rating": 3, "text": "Would buy again.", "created_at": "2024-01-08T12:00:00Z",
    });
    let second = serde_json::json!({
        "review": {
            "reviewId": "7", "stars": 3, "text": { "plain": "Would buy again." }, "createdAt": 1_704_715_200_000_u64,
        }
    });
    let rollout = || "ROLLOUT".to_owned();
    assert_eq!(ask("GET", "/api/reviews/7", "1", "").await, (200, rollout(), first.clone()));
    assert_eq!(ask("GET", "/api/reviews/7", "", "").await, (200, rollout(), first));
    assert_eq!(ask("GET", "/api/reviews/7", "2", "").await, (200, rollout(), second));

    // What a client of version 1 writes arrives in version 2, field by field.
    let (status, _, written) = ask("PUT", "/api/reviews/7", "1", r#"{"rating": 5, "text": "Better."}"#).await;
    assert_eq!((status, &written["rating"], &written["text"]), (200, &5.into(), &"Better.".into()));
    let (_, _, now) = ask("GET", "/api/reviews/7", "2", "").await;
    assert_eq!((&now["review"]["stars"], &now["review"]["text"]["plain"]), (&5.into(), &"Better.".into()));

    let unknown = serde_json::json!({ "error": "unknown_review", "message": "look at the id" });
    assert_eq!(ask("GET", "/api/reviews/4711", "1", "").await, (404, rollout(), unknown));
    let locked = serde_json::json!({ "error": "locked", "message": "it is moderated" });
    assert_eq!(ask("PUT", "/api/reviews/9", "1", "{}").await, (409, rollout(), locked));

    // Nothing is adapted that the adapter does not know: legacy answers, and it is said why.
    let (status, reason, _) = ask("DELETE", "/api/reviews/7", "1", "").await;
    assert_eq!((status, reason.as_str()), (404, "UNADAPTED"));

    // What cannot be turned back is refused when it is applied.
    let lossy = text.replace("rating: review.stars", "rating: { from: review.stars, default: 1 }");
    let refused = stack.management().apply(&lossy).await.expect(422);
    let error = &refused.body["errors"][0];
    assert_eq!(
        error["message"], "rating cannot be inverted: a default cannot be distinguished from a real value",
        "{error:#}"
    );
    assert!(error["hint"].as_str().unwrap().contains("lossy: [rating]"), "{error:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_an_adapter_are_on_its_answers_and_another_adapter_has_the_other_routes() {
    let stack = Stack::start(Options::default()).await;
    let text = format!(
        r#"
feature_flags: {{ second: {{ enabled: true, rollout_percentage: 100 }} }}
origins: {{ rest: {{ url: "{}" }}, second: {{ url: "{}" }} }}
adapters:
  main:
    content_type: application/json; charset=utf-8
    headers: {{ access-control-allow-origin: "*", x-echo: "{{header.x-echo}}" }}
    keep_headers: [x-backend]
    errors: {{ headers: {{ cache-control: no-store }}, statuses: {{ 404: {{ status: 404, code: unknown }} }} }}
    routes:
      - match: {{ method: GET, path: "/api/reviews/{{id}}", where: {{ id: digits }} }}
        backend: {{ method: GET, path: "/api/reviews/{{path.id}}" }}
        response: {{ object: {{ id: review.reviewId }} }}
      - match: {{ method: GET, path: "/api/reviews/{{ids}}", where: {{ ids: list }} }}
        backend: {{ method: GET, path: /api/reviews/7 }}
        headers: {{ access-control-allow-origin: "https://a.example", content-type: application/vnd.list+json }}
        response: {{ object: {{ list: {{ request: path.ids }} }} }}
  more:
    routes:
      - match: {{ method: GET, path: "/api/same/{{id}}" }}
        backend: {{ method: GET, path: "/api/reviews/{{path.id}}" }}
        response: {{ object: {{ id: review.reviewId }} }}
routes:
  - {{ id: api, match: {{ path: "/api/{{*rest}}" }}, flag: second, legacy: rest, new: second, adapt: [main, more] }}
"#,
        stack.legacy.url(),
        stack.new.url()
    );
    let applied = stack.management().apply(&text).await.expect(200);
    stack.edge_holds(applied.body["revision"].as_u64().unwrap()).await;
    let port = stack.edge.port();
    let ask = async |method: &str, path: &str, headers: &[(&str, &str)]| {
        let headers = [[("x-user-id", "u1")].as_slice(), headers].concat();
        let answer = send(port, method, path, &headers, b"").await;
        let names =
            ["x-cutover-reason", "content-type", "access-control-allow-origin", "cache-control", "x-echo"];
        let headers = names.map(|name| answer.header(name).unwrap_or_default());
        (answer.status, headers, String::from_utf8_lossy(&answer.body).into_owned())
    };
    let with = |kind: &str, origin: &str, cache: &str, echo: &str| {
        ["ROLLOUT", kind, origin, cache, echo].map(str::to_owned)
    };
    let json = "application/json; charset=utf-8";
    // Twice, because they are built for the first answer and copied for the next.
    for _ in 0..2 {
        let (status, headers, body) = ask("GET", "/api/reviews/7", &[("x-echo", "a/b")]).await;
        assert_eq!((status, headers, body.as_str()), (200, with(json, "*", "", "a/b"), r#"{"id":"7"}"#));
        let (status, headers, _) = ask("HEAD", "/api/reviews/7", &[]).await;
        assert_eq!((status, headers), (200, with(json, "*", "", "")));
        let (status, headers, _) = ask("GET", "/api/reviews/4711", &[]).await;
        assert_eq!((status, headers), (404, with(json, "*", "no-store", "")));
        // A route's own headers win, and its condition is another one.
        let (status, headers, body) = ask("GET", "/api/reviews/7,8", &[]).await;
        let own = with("application/vnd.list+json", "https://a.example", "", "");
        assert_eq!((status, headers, body.as_str()), (200, own, r#"{"list":"7,8"}"#));
        // The second adapter has headers of its own: none.
        let (status, headers, body) = ask("GET", "/api/same/7", &[("x-echo", "a/b")]).await;
        assert_eq!(
            (status, headers, body.as_str()),
            (200, with("application/json", "", "", ""), r#"{"id":"7"}"#)
        );
    }
    // Neither condition holds, and no other adapter has a route.
    let (_, headers, _) = ask("GET", "/api/reviews/seven", &[]).await;
    assert_eq!(headers[0], "UNADAPTED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_is_gone_slow_or_talks_nonsense_is_answered_for() {
    let new = Origin::start(Backend::New, Arc::new(Data::default())).await;
    let stack = started(&new, "").await;
    let port = stack.edge.port();
    let post = async |content: &[u8]| {
        let headers = [("x-user-id", "u1"), ("content-type", "application/json")];
        send(port, "POST", "/api/v1/reviews", &headers, content).await
    };
    // Reading can be done by legacy instead, and is.
    new.control().set(cutover_origins::Faults { latency_ms: 3_000, ..Default::default() });
    let read = send(port, "GET", "/api/v1/reviews/7", &[("x-user-id", "u1")], b"").await;
    assert_eq!((read.status, read.header("x-cutover-reason").as_deref()), (200, Some("FALLBACK")));
    assert_eq!(read.header("x-backend").as_deref(), Some("legacy"));
    // Writing cannot be done twice: the old envelope says what happened.
    let late = post(NEW_REVIEW.as_bytes()).await;
    assert_eq!((late.status, late.json()["error"]["code"].as_str()), (504, Some("timeout")));
    new.control().set(cutover_origins::Faults { cut_rate: 1.0, ..Default::default() });
    let cut = post(NEW_REVIEW.as_bytes()).await;
    assert_eq!((cut.status, cut.json()["error"]["code"].as_str()), (502, Some("unreachable")));
    new.control().set(cutover_origins::Faults::default());
    // A body that is larger than is read never reaches the backend.
    let before = new.control().counts().requests;
    let large = post(format!("{{\"text\":\"{}\"}}", "x".repeat(1_100_000)).as_bytes()).await;
    assert_eq!((large.status, large.json()["error"]["code"].as_str()), (413, Some("too_large")));
    assert_eq!(new.control().counts().requests, before);
    let head = send(port, "HEAD", "/api/v1/reviews/7", &[("x-user-id", "u1")], b"").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("x-cutover-arm").as_deref(), Some("new"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_comes_from_the_backend_and_what_is_exported_can_be_applied() {
    let stack = Stack::start(Options::default()).await;
    let example = paths::root().join("tests/reviews");
    let folder = stack.state().join("configuration");
    std::fs::create_dir_all(folder.join("adapters")).unwrap();
    let url = format!("{}/graphql", stack.new.url());
    let adapter = std::fs::read_to_string(example.join("adapter.yaml")).unwrap();
    let write = |schema: &str| {
        let text = adapter.replace("schema: schema.graphql", &format!("schema: {schema}"));
        std::fs::write(folder.join("adapters/reviews.yaml"), text).unwrap();
    };
    std::fs::copy(example.join("operations.graphql"), folder.join("adapters/operations.graphql")).unwrap();
    let file = folder.join("cutover.yaml");
    std::fs::write(&file, "adapters: { reviews: adapters/reviews.yaml }\n").unwrap();
    let apply = async |file: &std::path::Path| {
        cutover(&stack, ROOT_TOKEN, &["apply", "-f", file.to_str().unwrap()], "").await
    };

    write(&url.replace("/graphql", "/nothing-here"));
    let refused = apply(&file).await;
    assert_eq!(refused.code, 3, "{refused:?}");
    for part in
        ["adapters/reviews.yaml:2:9: ", "/nothing-here: ", "error: 1 mistake in adapters/reviews.yaml"]
    {
        assert!(refused.err.contains(part), "{part}: {}", refused.err);
    }
    assert_eq!(refused.err.matches("hint: ").count(), 1, "{}", refused.err);

    write(&url);
    let done = apply(&file).await;
    assert_eq!((done.code, done.err.as_str()), (0, ""), "{done:?}");
    let again = apply(&file).await;
    assert!(again.out.contains("no change"), "{again:?}");

    let exported = cutover(&stack, ROOT_TOKEN, &["export"], "").await;
    assert!(exported.out.contains("type Review") && !exported.out.contains("compiled"), "{}", exported.out);
    let copy = folder.join("exported.yaml");
    std::fs::write(&copy, &exported.out).unwrap();
    let unchanged = apply(&copy).await;
    assert!(unchanged.code == 0 && unchanged.out.contains("no change"), "{unchanged:?}");

    let printed = cutover(&stack, ROOT_TOKEN, &["adapter", "schema", &url], "").await;
    assert!(printed.code == 0 && printed.out.contains("reviews(offerId: ID, authorId: ID"), "{printed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_schema_is_the_backends_own() {
    let text = std::fs::read_to_string(paths::root().join("tests/reviews/schema.graphql")).unwrap();
    assert_eq!(text, cutover_origins::sdl(), "run `cargo run -p cutover-origins --example schema`");
}

/// The Worker that the bench measures against was written by hand and shares nothing with the adapter.
#[tokio::test]
async fn an_adapter_does_what_a_worker_written_by_hand_does_whatever_comes_of_asking() {
    cutover_tests::bench::adapter::check().await;
}

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
    let deadline = Instant::now() + Duration::from_secs(15);
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
