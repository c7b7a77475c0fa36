//! The state on both sides of the boundary between JavaScript and WebAssembly: whatever is published while requests wait,
//! each request is decided by one snapshot and sent to a backend of its own route, by the route's own adapter if it has one.

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Uri},
    response::IntoResponse,
    routing::post,
};
use cutover_core::{
    Ruleset, Snapshot, config::Config, measurement::answer::Answer, statistics::split_mix::SplitMix64,
    vocabulary::revision::Revision,
};
use cutover_tests::{
    gzip::plain_body,
    http::Connection,
    is_deep,
    kv_server::KvServer,
    workerd::{Worker, Workerd},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

const ROUTES: usize = 6;

const COMPARE: &str = ", compare: { sample: 20, noise: 0, per_minute: 1000000, concurrency: 50 }";

/// Pseudorandom numbers, so that a run can be repeated.
struct Draws(SplitMix64);

impl Draws {
    fn new(seed: u64) -> Self {
        Self(SplitMix64::new(seed))
    }

    fn next(&mut self, below: u64) -> u64 {
        self.0.draw() % below
    }
}

/// True for each route that has an adapter in a snapshot.
type Adapted = [bool; ROUTES];

/// Returns the header that the adapter of a route forwards in a snapshot, beside that of the user.
fn forwarded(route: usize, revision: u64) -> String {
    format!("x-own-{}", (route as u64 + revision) % ROUTES as u64)
}

/// A snapshot in which every route has backends of its own and the same flag, but the order of the routes, the routes
/// beside them, their adapters and the inputs that have to be read are drawn. Paths of backends and responses of adapters name
/// the route and the revision.
fn snapshot(origin: &str, revision: u64, draws: &mut Draws) -> (Snapshot, Adapted) {
    let mut present: Vec<usize> = (0..ROUTES).collect();
    for index in (1..ROUTES).rev() {
        present.swap(index, draws.next(index as u64 + 1) as usize);
    }
    let mut text =
        String::from("feature_flags:\n  f: { enabled: true, rollout_percentage: 50, conditions: [");
    for name in 0..draws.next(4) {
        text.push_str(&format!(
            "{{ type: attribute, name: \"header:x-in-{name}\", op: equals, values: [\"yes\"] }},"
        ));
    }
    text.push_str("] }\norigins:\n");
    for route in 0..ROUTES {
        for arm in ["legacy", "new"] {
            text.push_str(&format!("  {arm}{route}: {{ url: \"{origin}/{arm}/{route}/v{revision}\" }}\n"));
        }
    }
    let adapters: Vec<Option<String>> = (0..ROUTES)
        .map(|route| {
            // The position of an adapter follows from its name.
            let letter = char::from(b'a' + draws.next(20) as u8);
            (draws.next(2) == 0).then(|| format!("{letter}{route}"))
        })
        .collect();
    text.push_str("adapters:\n  zero: { routes: [{ match: { method: GET, path: /zero }, backend: { method: GET, path: /zero } }] }\n");
    for (route, name) in adapters.iter().enumerate().filter_map(|(route, name)| Some((route, name.as_ref()?)))
    {
        // A header is one more input of all requests; an adapter that reads claims begins after the decision.
        let variables = ["", "variables: { note: header.x-note }, ", "variables: { note: jwt.sub }, "];
        let variables = variables[draws.next(3) as usize];
        text.push_str(&format!(
            "  {name}:\n    forward_headers: [x-user-id, x-request, {}]\n    keep_headers: [x-asked, x-user, x-own]\n    \
             routes: [{{ match: {{ method: GET, path: \"/r{route}/{{id}}\" }}, {variables}\
             backend: {{ method: GET, path: \"/a{route}/v{revision}/{{path.id}}\" }}, \
             response: {{ object: {{ adapter: {{ const: \"a{route} v{revision}\" }} }} }} }}]\n",
            forwarded(route, revision)
        ));
    }
    text.push_str("routes:\n");
    for route in present {
        let jwt = if draws.next(3) == 0 { "jwt, " } else { "" };
        let mut more: Vec<String> = (0..draws.next(9)).map(|name| format!("\"header:a-{name}\"")).collect();
        more.push("\"header:x-user-id\"".to_owned());
        let adapt = adapters[route].as_ref().map(|name| format!(", adapt: [{name}]")).unwrap_or_default();
        let compare = if draws.next(3) == 0 { COMPARE } else { "" };
        text.push_str(&format!(
            "  - {{ id: r{route}, match: {{ path: \"/r{route}/{{*rest}}\" }}, flag: f, legacy: legacy{route}, \
             new: new{route}, identity: [{jwt}{}]{adapt}{compare} }}\n",
            more.join(", ")
        ));
    }
    for extra in 0..draws.next(5) {
        text.push_str(&format!(
            "  - {{ id: x{extra}, match: {{ path: \"/x{extra}\" }}, flag: f, legacy: legacy0, new: new0 }}\n"
        ));
    }
    let config = Config::from_yaml(&text).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
    (config.snapshot(Revision(revision), None), std::array::from_fn(|route| adapters[route].is_some()))
}

struct Control {
    revision: AtomicU64,
    document: std::sync::Mutex<String>,
    draws: std::sync::Mutex<Draws>,
    questions: AtomicU64,
    /// The routes with an adapter, by revision.
    adapted: std::sync::Mutex<BTreeMap<u64, Adapted>>,
    /// Number of second requests for comparisons.
    shadows: AtomicU64,
    origins: std::sync::Mutex<Asked>,
}

/// The requests that the backends received.
#[derive(Default)]
struct Asked {
    /// The revision that each request of a client was sent by.
    revisions: BTreeMap<String, String>,
    /// Requests that belong to more than one route or snapshot.
    mixed: Vec<String>,
}

impl Asked {
    /// Notes the path of a backend's request, and the number of the client's request that it was sent for. A comparison
    /// sends a second one with the same number, by the same snapshot.
    fn note(&mut self, path: &str, request: &str) {
        let is_of_one_snapshot = revision_of(path).is_some_and(|revision| {
            let first = self.revisions.entry(request.to_owned()).or_insert_with(|| revision.to_owned());
            first.as_str() == revision
        });
        if request.is_empty() || !is_of_one_snapshot {
            let first = self.revisions.get(request);
            self.mixed.push(format!("{path} for the request {request:?}, first sent by {first:?}"));
        }
    }
}

impl Control {
    /// Makes a snapshot the newest one. Returns its document.
    fn publish(&self, revision: u64, (snapshot, adapted): (Snapshot, Adapted)) -> String {
        let document = snapshot.encode().unwrap();
        self.adapted.lock().unwrap().insert(revision, adapted);
        *self.document.lock().unwrap() = document.clone();
        self.revision.store(revision, Ordering::SeqCst);
        document
    }

    /// Returns true if an adapter serves the new arm of a route in a snapshot.
    fn is_adapted(&self, revision: u64, route: usize) -> bool {
        self.adapted.lock().unwrap().get(&revision).is_some_and(|adapted| adapted[route])
    }
}

/// The control plane: it answers late, and with the newest snapshot.
async fn ingest(State(control): State<Arc<Control>>, headers: HeaderMap, body: Bytes) -> Json<Answer> {
    let sent: Value = serde_json::from_slice(&plain_body(&headers, &body)).unwrap();
    control.questions.fetch_add(1, Ordering::SeqCst);
    let wait = control.draws.lock().unwrap().next(40);
    tokio::time::sleep(Duration::from_millis(wait)).await;
    let revision = control.revision.load(Ordering::SeqCst);
    let is_older = sent["revision"].as_u64().unwrap_or_default() < revision;
    let snapshot = is_older.then(|| control.document.lock().unwrap().clone());
    Json(Answer { snapshot, ..Answer::at(Revision(revision)) })
}

/// Returns the revision in a path that belongs to one route of one snapshot: `/ARM/ROUTE/REVISION` of the origin, and then
/// the path of the route or of its adapter.
fn revision_of(path: &str) -> Option<&str> {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    match parts[..] {
        ["legacy" | "new", route, revision, sent, "1"] => {
            (sent.strip_prefix('r') == Some(route)).then_some(revision)
        }
        ["new", route, revision, adapter, adapted, "1"] => {
            (adapter.strip_prefix('a') == Some(route) && adapted == revision).then_some(revision)
        }
        _ => None,
    }
}

#[test]
fn requests_by_more_than_one_snapshot_are_noticed() {
    let mixed = |requests: &[(&str, &str)]| {
        let mut asked = Asked::default();
        requests.iter().for_each(|(path, request)| asked.note(path, request));
        asked.mixed.len()
    };
    let one = ("/new/3/v7/r3/1", "a");
    assert_eq!(mixed(&[one, ("/legacy/3/v7/r3/1", "a"), ("/legacy/3/v8/r3/1", "b")]), 0);
    assert_eq!(mixed(&[("/new/3/v7/a3/v7/1", "a"), ("/legacy/3/v7/r3/1", "a")]), 0);
    for other in [
        ("/legacy/3/v8/r3/1", "a"),
        ("/new/3/v8/a3/v8/1", "a"),
        ("/new/3/v7/a3/v8/1", "b"),
        ("/new/2/v7/r3/1", "b"),
        ("/unrouted/r3/1", "b"),
        ("/new/3/v7/r3/1", ""),
    ] {
        assert_eq!(mixed(&[one, other]), 1, "{other:?}");
    }
}

/// A backend: says which one was asked, for which path, and which of the clients' own headers arrived.
async fn backend(State(control): State<Arc<Control>>, uri: Uri, headers: HeaderMap) -> impl IntoResponse {
    let request = headers.get("x-request").map(|request| request.to_str().unwrap()).unwrap_or_default();
    control.origins.lock().unwrap().note(uri.path(), request);
    if headers.contains_key("x-cutover-shadow") {
        control.shadows.fetch_add(1, Ordering::SeqCst);
    }
    let user = headers.get("x-user-id").map(|user| user.to_str().unwrap().to_owned());
    let mut own: Vec<&str> =
        headers.keys().map(|name| name.as_str()).filter(|name| name.starts_with("x-own-")).collect();
    own.sort_unstable();
    let told =
        [("x-asked", uri.path().to_owned()), ("x-user", user.unwrap_or_default()), ("x-own", own.join(" "))];
    (told, Json(serde_json::json!({ "ok": true })))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_is_decided_by_one_snapshot_and_sent_to_its_own_route() {
    let total: u64 = if is_deep() { 40_000 } else { 10_000 };
    let control = Arc::new(Control {
        revision: AtomicU64::new(1),
        document: std::sync::Mutex::default(),
        draws: std::sync::Mutex::new(Draws::new(7)),
        questions: AtomicU64::new(0),
        adapted: std::sync::Mutex::default(),
        shadows: AtomicU64::new(0),
        origins: std::sync::Mutex::default(),
    });
    let app = Router::new()
        .route("/v1/batches", post(ingest))
        .route("/v1/questions", post(ingest))
        .fallback(backend)
        .with_state(Arc::clone(&control));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });

    let mut draws = Draws::new(1);
    let first = snapshot(&origin, 1, &mut draws);
    let rules = Ruleset::compile(&first.0).unwrap();
    let flag = rules.flag("f").unwrap();
    let half = cutover_core::PartsPerMillion::from_percent(50.0).unwrap();
    let expected: Vec<bool> = (0..200).map(|user| flag.bucket(&format!("user-{user}")).is_in(half)).collect();
    let store = KvServer::start().await;
    store.put("snapshot", control.publish(1, first));
    let worker = Worker::edge("edge", store.port())
        .with("LEGACY_ORIGIN", format!("{origin}/unrouted"))
        .with("DECISION_HEADERS", "arm,reason,revision")
        .with("INGEST_URL", origin.clone())
        .with("CUTOVER_INGEST_SECRET", "secret-of-the-boundary-test")
        .with("REPORT_INTERVAL_MS", "50")
        .with("CONTROL_LEASE_MS", "15")
        .with("SNAPSHOT_SOFT_TTL_MS", "30");
    let workerd = Workerd::start(&[worker]);
    let port = workerd.port("edge");

    let done = Arc::new(AtomicBool::new(false));
    let publishing = {
        let (control, origin, done) = (Arc::clone(&control), origin.clone(), Arc::clone(&done));
        tokio::spawn(async move {
            let mut draws = Draws::new(99);
            for revision in 2.. {
                if done.load(Ordering::SeqCst) {
                    return revision;
                }
                let document = control.publish(revision, snapshot(&origin, revision, &mut draws));
                if draws.next(2) == 0 {
                    store.put("snapshot", document);
                }
                tokio::time::sleep(Duration::from_millis(5 + draws.next(30))).await;
            }
            0
        })
    };
    let clients = (0..16_u64).map(|client| {
        let (expected, control) = (expected.clone(), Arc::clone(&control));
        tokio::spawn(async move {
            let mut draws = Draws::new(1_000 + client);
            let mut connection = Connection::open(port).await;
            let mut wrong = Vec::new();
            let mut reasons = BTreeMap::new();
            let mut adapted = 0;
            let all: Vec<String> = (0..ROUTES).map(|number| format!("x-own-{number}")).collect();
            for number in 0..total / 16 {
                let request = format!("{client}-{number}");
                let user = draws.next(200) as usize;
                let route = draws.next(ROUTES as u64) as usize;
                let name = format!("user-{user}");
                let mut headers = vec![
                    ("x-user-id", name.as_str()),
                    ("x-request", request.as_str()),
                    ("x-note", "noted"),
                    ("x-in-0", "yes"),
                    ("x-in-1", "yes"),
                    ("x-in-2", "yes"),
                    ("x-in-3", "yes"),
                ];
                headers.extend(all.iter().map(|own| (own.as_str(), "1")));
                if draws.next(200) == 0 {
                    tokio::time::sleep(Duration::from_millis(30)).await;
                }
                let answer = connection.get(&format!("/r{route}/1"), &headers).await;
                let asked = answer.header("x-asked").unwrap_or_default();
                let reason = answer.header("x-cutover-reason").unwrap_or_default();
                let arm = if expected[user] { "new" } else { "legacy" };
                let revision = answer.header("x-cutover-revision").and_then(|revision| revision.parse().ok());
                let revision: u64 = revision.unwrap_or_default();
                let is_adapted = arm == "new" && control.is_adapted(revision, route);
                let (path, own, body) = if is_adapted {
                    adapted += 1;
                    let adapter = serde_json::json!({ "adapter": format!("a{route} v{revision}") });
                    (format!("a{route}/v{revision}/1"), forwarded(route, revision), adapter)
                } else {
                    (format!("r{route}/1"), all.join(" "), serde_json::json!({ "ok": true }))
                };
                let is_right = asked == format!("/{arm}/{route}/v{revision}/{path}")
                    && answer.header("x-user").as_deref() == Some(name.as_str())
                    && answer.header("x-own") == Some(own)
                    && serde_json::from_slice::<Value>(&answer.body).is_ok_and(|held| held == body)
                    && reason == "ROLLOUT";
                if !is_right {
                    wrong.push(format!(
                        "{user} on r{route} by {revision}: asked {asked}, {reason}, status {}",
                        answer.status
                    ));
                }
                *reasons.entry(reason).or_insert(0) += 1;
            }
            (wrong, reasons, adapted)
        })
    });
    let (mut wrong, mut adapted) = (Vec::new(), 0);
    for client in clients.collect::<Vec<_>>() {
        let (more, reasons, through_adapters) = client.await.unwrap();
        wrong.extend(more);
        adapted += through_adapters;
        println!("{reasons:?}");
    }
    done.store(true, Ordering::SeqCst);
    let published = publishing.await.unwrap();
    server.abort();
    let questions = control.questions.load(Ordering::SeqCst);
    let shadows = control.shadows.load(Ordering::SeqCst);
    println!(
        "{published} snapshots, {questions} questions and batches, {adapted} adapted, {shadows} compared"
    );
    assert!(adapted > total / 10 && shadows > 10, "{adapted} adapted, {shadows} compared");
    let origins = control.origins.lock().unwrap();
    let mixed = &origins.mixed;
    assert!(
        mixed.is_empty(),
        "{} requests by several snapshots: {:#?}",
        mixed.len(),
        &mixed[..mixed.len().min(10)]
    );
    assert!(published > 20 && questions > 20, "{published} {questions}");
    assert!(wrong.is_empty(), "{} of {total} were wrong: {:#?}", wrong.len(), &wrong[..wrong.len().min(10)]);
}
