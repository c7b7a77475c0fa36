//! The users of an experiment as the Worker reports them, while every second report is refused and others are delivered twice.

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::post,
};
use cutover_core::{
    Revision, Ruleset, Snapshot,
    config::Config,
    measurement::{answer::Answer, batch::Batch, experiments::ExperimentKey, label::ExperimentLabel},
};
use cutover_tests::{
    gzip::plain_body, http::Connection, is_deep, proxied::SingleRouteWorker, server::Server,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Orders have a route that no experiment decides. `quiet` has no label, so nobody counts its users.
const CONFIGURATION: &str = r#"
feature_flags: { reviews: { enabled: true }, orders: { enabled: true } }
origins: { old: { url: "LEGACY_URL", timeout_ms: 2000 }, new: { url: "NEW_URL", timeout_ms: 2000 } }
routes:
  - { id: reviews, match: { path: "/reviews/{id}" }, flag: reviews, legacy: old, new: new, identity: ["header:x-user-id"] }
  - { id: orders, match: { path: /orders }, flag: orders, legacy: old, new: new, identity: ["header:x-user-id"] }
experiments:
  arms:
    name: Arms
    flag: reviews
    traffic_percentage: 50
    variants: { control: { name: REST, arm: legacy }, treatment: { name: GraphQL, arm: new } }
    metrics:
      - { name: ordered, role: primary, on: { response: { route: orders } } }
      - { name: errors, role: guardrail, direction: decrease, on: error }
  quiet: { name: Quiet, variants: { red: Red, blue: Blue } }
"#;

const KEY: &str = "000102030405060708090a0b0c0d0e0f";

/// Positions of the metrics.
const ORDERED: u8 = 0;
const ERRORS: u8 = 1;

/// Clients that send requests at once.
const CLIENTS: usize = 8;

/// The reports that arrived, and the number of attempts to deliver one.
#[derive(Default)]
struct Arrived {
    attempts: u64,
    /// Bodies by isolate and number, as often as they were delivered.
    delivered: BTreeMap<(String, u64), Vec<Vec<u8>>>,
}

type Ingest = Arc<Mutex<Arrived>>;

/// Refuses a report, or stores it, with an answer or without one that helps.
async fn store(State(ingest): State<Ingest>, headers: HeaderMap, body: Bytes) -> Response {
    let mut arrived = ingest.lock().unwrap();
    arrived.attempts += 1;
    let turn = arrived.attempts % 4;
    // Every second one is refused; of the others, every second answer is lost.
    if turn % 2 == 1 {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let plain = plain_body(&headers, &body);
    let batch: Batch = serde_json::from_slice(&plain).unwrap();
    arrived.delivered.entry((batch.isolate, batch.sequence)).or_default().push(plain);
    if turn == 2 {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    Json(Answer::at(Revision(1))).into_response()
}

/// A backend, whose orders succeed unless they are declined. The new one has a page that is broken.
async fn backend(is_new: bool) -> Server {
    let answer = move |uri: Uri| async move {
        match (uri.path(), uri.query()) {
            ("/reviews/broken", _) if is_new => StatusCode::INTERNAL_SERVER_ERROR,
            ("/orders", Some("declined")) => StatusCode::PAYMENT_REQUIRED,
            _ => StatusCode::OK,
        }
    };
    Server::start(Router::new().fallback(answer)).await
}

/// Truth about the users, or what the reports say of them: hashes with variants, and hashes with metrics.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Users {
    exposed: BTreeSet<(u64, u8)>,
    outcomes: BTreeSet<(u64, u8)>,
}

fn user(number: usize) -> String {
    format!("user-{number}")
}

/// Sends the requests of a user and notes what became of them. `takes_part` is true for a user of the experiment.
async fn visit(connection: &mut Connection, number: usize, key: ExperimentKey, takes_part: bool) -> Users {
    let user = user(number);
    let hash = key.hash(&user);
    let mut truth = Users::default();
    let mut paths = Vec::new();
    if !number.is_multiple_of(4) {
        paths.push("/reviews/7");
    }
    if number.is_multiple_of(5) {
        paths.push("/reviews/broken");
    }
    for path in paths {
        let answer = connection.get(path, &[("x-user-id", &user)]).await;
        if answer.header("x-cutover-reason").as_deref() == Some("EXPERIMENT") {
            let is_new = answer.header("x-cutover-arm").as_deref() == Some("new");
            truth.exposed.insert((hash, u8::from(is_new)));
            if answer.status == 500 {
                assert!(is_new);
                truth.outcomes.insert((hash, ERRORS));
            }
        }
    }
    let target = if number.is_multiple_of(3) { "/orders" } else { "/orders?declined" };
    let ordered = connection.get(target, &[("x-user-id", &user)]).await;
    // Also of users whom nothing has exposed: another isolate may have.
    if ordered.status == 200 && takes_part {
        truth.outcomes.insert((hash, ORDERED));
    }
    truth
}

/// Returns what the reports say, each report once, and the number of their entries.
fn reported(ingest: &Ingest) -> (Users, usize) {
    let mut users = Users::default();
    let mut entries = 0;
    for deliveries in ingest.lock().unwrap().delivered.values() {
        assert!(deliveries.iter().all(|body| body == &deliveries[0]), "a report is sent again as it was");
        let batch: Batch = serde_json::from_slice(&deliveries[0]).unwrap();
        for part in batch.experiments {
            assert_eq!((part.experiment.as_str(), part.phase, part.theta), ("arms", 1, u64::MAX));
            entries += part.exposures.len() + part.outcomes.len();
            users.exposed.extend(part.exposures.iter().map(|held| (held.user, held.variant)));
            users.outcomes.extend(part.outcomes.iter().map(|held| (held.user, held.metric)));
        }
    }
    (users, entries)
}

fn snapshot(legacy: &Server, new: &Server) -> Snapshot {
    let text = CONFIGURATION.replace("LEGACY_URL", &legacy.url()).replace("NEW_URL", &new.url());
    let mut snapshot = Config::from_yaml(&text).unwrap().snapshot(Revision(1), None);
    let label = ExperimentLabel { phase: 1, key: KEY.to_owned() };
    snapshot.experiment_labels.insert("arms".parse().unwrap(), label);
    snapshot
}

#[tokio::test(flavor = "multi_thread")]
async fn the_users_of_an_experiment_are_reported_exactly_whatever_becomes_of_the_reports() {
    let total = if is_deep() { 1_800 } else { 600 };
    let (legacy, new) = (backend(false).await, backend(true).await);
    let snapshot = snapshot(&legacy, &new);
    let rules = Ruleset::compile(&snapshot).unwrap();
    let arms = rules.experiment("arms").unwrap();
    let taking_part: Arc<[bool]> = (0..total).map(|number| arms.admits(&user(number))).collect();
    let ingest = Ingest::default();
    let control = Router::new()
        .route("/v1/batches", post(store))
        .route("/v1/questions", post(|| async { Json(Answer::at(Revision(1))) }))
        .with_state(Arc::clone(&ingest));
    let control = Server::start(control).await;
    let url = control.url();
    let variables = [
        ("DECISION_HEADERS", "arm,reason"),
        ("INGEST_URL", url.as_str()),
        ("CUTOVER_INGEST_SECRET", "secret-of-the-experiments-test"),
        ("REPORT_INTERVAL_MS", "300"),
    ];
    let edge = SingleRouteWorker::holding(&snapshot, &variables).await;
    let key = ExperimentKey::parse(KEY).unwrap();
    let port = edge.port();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let taking_part = Arc::clone(&taking_part);
            tokio::spawn(async move {
                let mut connection = Connection::open(port).await;
                let mut truth = Users::default();
                for number in (client..total).step_by(CLIENTS) {
                    let seen = visit(&mut connection, number, key, taking_part[number]).await;
                    truth.exposed.extend(seen.exposed);
                    truth.outcomes.extend(seen.outcomes);
                }
                truth
            })
        })
        .collect();
    let mut truth = Users::default();
    for client in clients {
        let seen = client.await.unwrap();
        truth.exposed.extend(seen.exposed);
        truth.outcomes.extend(seen.outcomes);
    }
    let variant = |position: u8| truth.exposed.iter().filter(|(_, held)| *held == position).count();
    assert!(variant(0) > total / 8 && variant(1) > total / 8, "{} and {}", variant(0), variant(1));
    assert!(truth.outcomes.iter().any(|(_, metric)| *metric == ERRORS));

    // An event window of ten seconds, the time limit of the origins, and reports that are sent again.
    let deadline = Instant::now() + Duration::from_secs(120);
    while reported(&ingest).0 != truth && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let (users, entries) = reported(&ingest);
    assert_eq!(users.exposed, truth.exposed);
    assert_eq!(users.outcomes, truth.outcomes);
    let known = truth.exposed.len() + truth.outcomes.len();
    assert_eq!(entries, known, "each is reported once");
    let arrived = ingest.lock().unwrap();
    let twice = arrived.delivered.values().filter(|deliveries| deliveries.len() > 1).count();
    assert!(twice > 0, "no report was delivered twice in {} attempts", arrived.attempts);
}
