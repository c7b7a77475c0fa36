//! Events and conversions on their way to a batch: whose they are, whoever answered, and those that are nobody's.

use super::conversions::{ALL_NEW, assert_taken, assert_without_events, time, track};
use axum::{Json, Router, body::Bytes, http::HeaderMap, routing::post};
use cutover_core::{
    Revision, Snapshot,
    config::Config,
    measurement::{answer::Answer as Word, batch::Batch, experiments::ExperimentKey, label::ExperimentLabel},
};
use cutover_tests::{
    gzip::plain_body,
    http::{self, EDGE_TOKEN},
    identity_provider::{AUDIENCE, ISSUER, IdentityProvider, Key, claims},
    proxied::{SingleRouteWorker, single_route},
    raw_origin::{RawOrigin, ReceivedRequest},
    server::Server,
    stack::INGEST_SECRET,
};
use jsonwebtoken::Algorithm;
use serde_json::json;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{io::AsyncWriteExt, sync::Notify};

const COUNTED: &str = r#"
experiments:
  colours:
    name: Colours
    metrics:
      - { name: spent, kind: value, cap: 1000, on: { event: purchase } }
      - { name: reached, on: { response: { route: all, status: { from: 207, to: 207 } } } }
    success_metrics: [purchase]
    variants: { red: { name: Red, traffic_percentage: 100 }, blue: { name: Blue, traffic_percentage: 0 } }
"#;

const KEY: &str = "000102030405060708090a0b0c0d0e0f";

/// Positions of the metrics of [`COUNTED`].
const SPENT: u8 = 0;
const REACHED: u8 = 1;
const PURCHASE: u8 = 2;

/// An outcome in a batch: hash of the user, position of the metric, value, and true if it has an id.
type Found = (u64, u8, Option<u64>, bool);

type Batches = Arc<Mutex<Vec<Batch>>>;

/// Returns the outcomes of a purchase by a user.
fn purchase(user: &str, has_id: bool) -> [Found; 2] {
    let user = ExperimentKey::parse(KEY).unwrap().hash(user);
    [(user, SPENT, Some(12_500), has_id), (user, PURCHASE, None, false)]
}

/// Returns the outcome of a response with status 207 to a user.
fn reached(user: &str) -> Found {
    (ExperimentKey::parse(KEY).unwrap().hash(user), REACHED, None, false)
}

/// Starts an ingest that stores every batch.
async fn ingest(batches: Batches) -> Server {
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

/// Starts a Worker that counts the experiment. The experiment of the configuration gets its key.
async fn counting(yaml: &str, ingest: &Server, more: &[(&str, &str)]) -> SingleRouteWorker {
    let config =
        Config::from_yaml(&format!("{yaml}{COUNTED}")).unwrap_or_else(|problems| panic!("{problems:?}"));
    let mut snapshot: Snapshot = config.snapshot(Revision(1), None);
    let label = ExperimentLabel { phase: 1, key: KEY.to_owned() };
    snapshot.experiment_labels.insert("colours".parse().unwrap(), label);
    let url = ingest.url();
    let mut variables = vec![
        ("INGEST_URL", url.as_str()),
        ("CUTOVER_INGEST_SECRET", INGEST_SECRET),
        ("REPORT_INTERVAL_MS", "500"),
    ];
    variables.extend(more);
    SingleRouteWorker::holding(&snapshot, &variables).await
}

fn found(batches: &Batches) -> BTreeSet<Found> {
    let batches = batches.lock().unwrap();
    let parts = batches.iter().flat_map(|batch| &batch.experiments);
    let outcomes = parts.flat_map(|part| &part.outcomes);
    outcomes.map(|held| (held.user, held.metric, held.value, held.id.is_some())).collect()
}

/// Waits until all of these outcomes were reported, which is when their window is over, and no others were.
async fn wait_for(batches: &Batches, all: &BTreeSet<Found>) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !found(batches).is_superset(all) {
        assert!(Instant::now() < deadline, "{all:?} in {:?}", found(batches));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(found(batches), *all, "nobody else has an event");
}

/// Answers a request with a purchase and further headers.
async fn answer(mut received: ReceivedRequest, status: u16, more: &str) {
    let head = format!(
        "HTTP/1.1 {status} Some\r\nX-Cutover-Event: purchase;value=12.5\r\n{more}content-length: 0\r\nconnection: close\r\n\r\n"
    );
    let _ = received.socket.write_all(head.as_bytes()).await;
}

/// Events of now are reported when their window is over, after 10 s at most.
#[tokio::test(flavor = "multi_thread")]
async fn reported_events_are_in_a_batch_under_the_hash_of_their_user() {
    let batches = Batches::default();
    let ingest = ingest(Arc::clone(&batches)).await;
    let new = RawOrigin::start(|received: ReceivedRequest| async move {
        let more = match received.target().as_str() {
            "/hit" => "cf-cache-status: HIT\r\n",
            "/stale" => "cf-cache-status: STALE\r\nage: 0\r\n",
            "/aged" => "age: 7\r\n",
            "/miss" => "cf-cache-status: MISS\r\nage: 0\r\n",
            _ => "",
        };
        answer(received, 200, more).await;
    })
    .await;
    let identity = ", identity: [\"header:x-user-id\"]";
    let yaml = single_route(&new.url(), &new.url(), 500, ALL_NEW, identity);
    let edge = counting(&yaml, &ingest, &[]).await;

    // The events were reported when the cache got the response. First, so that they would be reported with the others.
    for (user, target) in [("user-7", "/hit"), ("user-8", "/stale"), ("user-9", "/aged")] {
        let repeated = http::get(edge.port(), target, &[("x-user-id", user)]).await;
        assert_without_events(&repeated, target);
    }
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
    for (user, target) in [("user-3", "/"), ("user-4", "/miss")] {
        assert_eq!(http::get(edge.port(), target, &[("x-user-id", user)]).await.status, 200);
    }

    let of_now = ["user-2", "user-3", "user-4"].map(|user| purchase(user, false));
    let all: BTreeSet<Found> =
        purchase("user-1", true).into_iter().chain(of_now.into_iter().flatten()).collect();
    wait_for(&batches, &all).await;
}

/// Identities that an isolate remembers have about 2 MB, so this many tokens of 7 KB take the place of every other one.
const TOKENS: usize = 320;

/// Tasks that send tokens at once.
const CLIENTS: usize = 8;

/// Legacy answers after a failure, and a token is forgotten while its request is at the backend: the response counts for the
/// user whom the request was decided for.
#[tokio::test(flavor = "multi_thread")]
async fn a_response_counts_for_the_user_of_its_decision() {
    let batches = Batches::default();
    let ingest = ingest(Arc::clone(&batches)).await;
    let (arrived, released) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (signal, gate) = (Arc::clone(&arrived), Arc::clone(&released));
    let new = RawOrigin::start(move |received: ReceivedRequest| {
        let (signal, gate) = (Arc::clone(&signal), Arc::clone(&gate));
        async move {
            let is_slow = received.target() == "/slow";
            if is_slow {
                signal.notify_one();
                gate.notified().await;
            }
            answer(received, if is_slow { 200 } else { 503 }, "").await;
        }
    })
    .await;
    let legacy = RawOrigin::start(|received: ReceivedRequest| answer(received, 207, "")).await;
    let [ec, stranger] = ["ec", "ec"].map(|id| Key::new(id, Algorithm::ES256));
    let provider = IdentityProvider::start(&[&ec]).await;
    let identity = ", identity: [jwt, \"header:x-user-id\"]";
    let yaml = single_route(&legacy.url(), &new.url(), 20_000, ALL_NEW, identity);
    let jwks = provider.url();
    let variables = [("JWT_JWKS_URL", jwks.as_str()), ("JWT_ISSUER", ISSUER), ("JWT_AUDIENCE", AUDIENCE)];
    let edge = counting(&yaml, &ingest, &variables).await;
    let port = edge.port();
    let tokens: Arc<[String]> = (0..TOKENS)
        .map(|number| {
            let mut claims = claims("mallory", "-");
            claims["note"] = json!(format!("{number}{}", "x".repeat(5_000)));
            format!("Bearer {}", stranger.token(&claims))
        })
        .collect();
    // The rest has to be over within the time limit of the backend.
    let ann = format!("Bearer {}", ec.token(&claims("ann", "-")));
    let slow = tokio::spawn(async move { http::get(port, "/slow", &[("authorization", &ann)]).await });
    arrived.notified().await;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let tokens = Arc::clone(&tokens);
            tokio::spawn(async move {
                for token in tokens.iter().skip(client).step_by(CLIENTS) {
                    let headers = [("authorization", token.as_str())];
                    let sent = http::send(port, "POST", "/_cutover/track", &headers, br#"{"name":"none"}"#);
                    assert_taken(&sent.await, "a token that is refused");
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    released.notify_one();
    assert_eq!(slow.await.unwrap().status, 200);
    let failed = http::get(port, "/", &[("x-user-id", "bob")]).await;
    assert_eq!(failed.status, 207, "legacy answers");

    let purchases = [purchase("ann", false), purchase("bob", false)];
    let all: BTreeSet<Found> = purchases.into_iter().flatten().chain([reached("bob")]).collect();
    wait_for(&batches, &all).await;
}
