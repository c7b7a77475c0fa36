//! Clients of the old REST interface on the new GraphQL backend: they get what the old backend gives. Nothing here
//! shares code with the adapter; the old backend itself says what is right.

mod parity;
mod unfit;

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
         origins: {{ rest: {{ url: \"{}\", timeout_ms: 2500 }}, graphql: {{ url: \"{}\", timeout_ms: 2500 }} }}\n\
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

const NEW_REVIEW: &str =
    r#"{"offer_id": 7, "author_id": "user-77", "rating": 4, "text": "Très bien \"ça\" \u00e9 😀"}"#;

/// Headers that are each server's own, or the edge's.
pub(crate) fn compared(answer: &Answer) -> BTreeMap<String, String> {
    const OWN: [&str; 6] =
        ["date", "x-backend", "connection", "content-length", "transfer-encoding", "set-cookie"];
    let named = answer.headers.iter().filter(|(name, _)| !OWN.contains(&name.as_str()));
    let named = named.filter(|(name, _)| !name.starts_with("x-cutover-"));
    named.map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned())).collect()
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
    new.control().set(cutover_origins::Faults { latency_ms: 6_000, ..Default::default() });
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
