//! The state on both sides of the boundary between JavaScript and WebAssembly: whatever is published while requests wait,
//! each request is decided by one snapshot and sent to a backend of its own route.

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Uri},
    response::IntoResponse,
    routing::{any, post},
};
use cutover_core::{
    Ruleset, Snapshot, config::Config, measurement::batch::Receipt, vocabulary::revision::Revision,
};
use cutover_tests::{
    http::Connection,
    is_deep,
    kv_server::KvServer,
    workerd::{Worker, Workerd},
};
use serde_json::Value;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

const ROUTES: usize = 6;

/// A small generator of pseudorandom numbers (SplitMix64), so that a run can be repeated.
#[derive(Clone)]
struct Draws(u64);

impl Draws {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }
}

/// A snapshot in which every route has backends of its own and the same flag, but the order of the routes, the routes
/// beside them and the inputs that have to be read are drawn.
fn snapshot(origin: &str, revision: u64, draws: &mut Draws) -> Snapshot {
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
            text.push_str(&format!("  {arm}{route}: {{ url: \"{origin}/{arm}/{route}\" }}\n"));
        }
    }
    text.push_str("routes:\n");
    for route in present {
        let jwt = if draws.next(3) == 0 { "jwt, " } else { "" };
        let mut more: Vec<String> = (0..draws.next(9)).map(|name| format!("\"header:a-{name}\"")).collect();
        more.push("\"header:x-user-id\"".to_owned());
        text.push_str(&format!(
            "  - {{ id: r{route}, match: {{ path: \"/r{route}/{{*rest}}\" }}, flag: f, legacy: legacy{route}, \
             new: new{route}, identity: [{jwt}{}] }}\n",
            more.join(", ")
        ));
    }
    for extra in 0..draws.next(5) {
        text.push_str(&format!(
            "  - {{ id: x{extra}, match: {{ path: \"/x{extra}\" }}, flag: f, legacy: legacy0, new: new0 }}\n"
        ));
    }
    Config::from_yaml(&text)
        .unwrap_or_else(|problems| panic!("{problems:?}\n{text}"))
        .snapshot(Revision(revision), None)
}

struct Control {
    revision: AtomicU64,
    document: std::sync::Mutex<String>,
    draws: std::sync::Mutex<Draws>,
    questions: AtomicU64,
}

/// The control plane: it answers late, and with the newest snapshot.
async fn ingest(State(control): State<Arc<Control>>, body: Bytes) -> Json<Receipt> {
    let batch: Value = serde_json::from_slice(&body).unwrap();
    control.questions.fetch_add(1, Ordering::SeqCst);
    let wait = control.draws.lock().unwrap().next(40);
    tokio::time::sleep(Duration::from_millis(wait)).await;
    let revision = control.revision.load(Ordering::SeqCst);
    let is_older = batch["revision"].as_u64().unwrap_or_default() < revision;
    Json(Receipt {
        revision: Revision(revision),
        emergency: None,
        snapshot: is_older.then(|| control.document.lock().unwrap().clone()),
        duplicate: false,
    })
}

/// A backend: says which one was asked, and for which path.
async fn backend(uri: Uri, headers: HeaderMap) -> impl IntoResponse {
    let user = headers.get("x-user-id").map(|user| user.to_str().unwrap().to_owned());
    ([("x-asked", uri.path().to_owned()), ("x-user", user.unwrap_or_default())], "ok")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_is_decided_by_one_snapshot_and_sent_to_its_own_route() {
    let total: u64 = if is_deep() { 40_000 } else { 10_000 };
    let control = Arc::new(Control {
        revision: AtomicU64::new(1),
        document: std::sync::Mutex::default(),
        draws: std::sync::Mutex::new(Draws(7)),
        questions: AtomicU64::new(0),
    });
    let app = Router::new()
        .route("/v1/batches", post(ingest))
        .with_state(Arc::clone(&control))
        .fallback(any(backend));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });

    let mut draws = Draws(1);
    let first = snapshot(&origin, 1, &mut draws);
    let rules = Ruleset::compile(&first).unwrap();
    let flag = rules.flag("f").unwrap();
    let half = cutover_core::PartsPerMillion::from_percent(50.0).unwrap();
    let expected: Vec<bool> = (0..200).map(|user| flag.bucket(&format!("user-{user}")).is_in(half)).collect();
    let store = KvServer::start().await;
    store.put("snapshot", first.encode().unwrap());
    *control.document.lock().unwrap() = first.encode().unwrap();
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
            let mut draws = Draws(99);
            for revision in 2.. {
                if done.load(Ordering::SeqCst) {
                    return revision;
                }
                let document = snapshot(&origin, revision, &mut draws).encode().unwrap();
                *control.document.lock().unwrap() = document.clone();
                control.revision.store(revision, Ordering::SeqCst);
                if draws.next(2) == 0 {
                    store.put("snapshot", document);
                }
                tokio::time::sleep(Duration::from_millis(5 + draws.next(30))).await;
            }
            0
        })
    };
    let clients = (0..16_u64).map(|client| {
        let expected = expected.clone();
        tokio::spawn(async move {
            let mut draws = Draws(1_000 + client);
            let mut connection = Connection::open(port).await;
            let mut wrong = Vec::new();
            let mut reasons = std::collections::BTreeMap::new();
            for _ in 0..total / 16 {
                let user = draws.next(200) as usize;
                let route = draws.next(ROUTES as u64);
                let name = format!("user-{user}");
                let headers = [
                    ("x-user-id", name.as_str()),
                    ("x-in-0", "yes"),
                    ("x-in-1", "yes"),
                    ("x-in-2", "yes"),
                    ("x-in-3", "yes"),
                ];
                if draws.next(200) == 0 {
                    tokio::time::sleep(Duration::from_millis(30)).await;
                }
                let answer = connection.get(&format!("/r{route}/1"), &headers).await;
                let asked = answer.header("x-asked").unwrap_or_default();
                let reason = answer.header("x-cutover-reason").unwrap_or_default();
                let arm = if expected[user] { "new" } else { "legacy" };
                let is_right = asked == format!("/{arm}/{route}/r{route}/1")
                    && answer.header("x-user") == Some(name)
                    && reason == "ROLLOUT";
                if !is_right {
                    wrong.push(format!(
                        "{user} on r{route}: asked {asked}, {reason}, status {}",
                        answer.status
                    ));
                }
                *reasons.entry(reason).or_insert(0) += 1;
            }
            (wrong, reasons)
        })
    });
    let mut wrong = Vec::new();
    for client in clients.collect::<Vec<_>>() {
        let (more, reasons) = client.await.unwrap();
        wrong.extend(more);
        println!("{reasons:?}");
    }
    done.store(true, Ordering::SeqCst);
    let published = publishing.await.unwrap();
    server.abort();
    let questions = control.questions.load(Ordering::SeqCst);
    println!("{published} snapshots, {questions} questions and batches");
    assert!(published > 20 && questions > 20, "{published} {questions}");
    assert!(wrong.is_empty(), "{} of {total} were wrong: {:#?}", wrong.len(), &wrong[..wrong.len().min(10)]);
}
