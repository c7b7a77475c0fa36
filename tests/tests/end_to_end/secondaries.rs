//! Origins with a secondary: no request is lost with the first one, none is sent twice that must not be, and the first
//! one gets its requests back step by step.

use cutover_tests::{
    http::{self, Answer},
    process::free_port,
    proxied::SingleRouteWorker,
    raw_origin::{RawOrigin, ReceivedRequest},
};
use futures_util::future::join_all;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::io::AsyncWriteExt;

const HEADERS: (&str, &str) = ("DECISION_HEADERS", "arm,reason");

/// A backend that can be well or not, and the requests that it received.
struct Backend {
    origin: RawOrigin,
    is_well: Arc<AtomicBool>,
    received: Arc<Mutex<Vec<(Instant, String)>>>,
}

impl Backend {
    /// Starts a backend that answers with its name while it is well, and with 503 otherwise.
    async fn start(name: &'static str, is_well: bool) -> Self {
        let is_well = Arc::new(AtomicBool::new(is_well));
        let received: Arc<Mutex<Vec<(Instant, String)>>> = Arc::default();
        let (health, seen) = (Arc::clone(&is_well), Arc::clone(&received));
        let origin = RawOrigin::start(move |mut request: ReceivedRequest| {
            let line = format!("{} {}", request.method(), request.target());
            seen.lock().unwrap().push((Instant::now(), line));
            let status = if health.load(Ordering::SeqCst) { "200 OK" } else { "503 Sorry" };
            async move {
                request.body().await;
                let body = if request.method() == "HEAD" { "" } else { name };
                let head =
                    format!("HTTP/1.1 {status}\r\nx-backend: {name}\r\ncontent-length: {}\r\n", name.len());
                let answer = format!("{head}connection: close\r\n\r\n{body}");
                let _ = request.socket.write_all(answer.as_bytes()).await;
            }
        })
        .await;
        Self { origin, is_well, received }
    }

    /// Returns the number of requests so far whose line begins like this.
    fn count(&self, beginning: &str) -> usize {
        let received = self.received.lock().unwrap();
        received.iter().filter(|(_, line)| line.starts_with(beginning)).count()
    }
}

/// The configuration of one route whose arms both have a secondary, without fallback.
fn yaml(arm: &str, primary: &str, secondary: &str, options: &str) -> String {
    let other = "http://127.0.0.1:9";
    let (share, old, new) = if arm == "new" { (100, other, primary) } else { (0, primary, other) };
    format!(
        "feature_flags: {{ f: {{ enabled: true, rollout_percentage: {share} }} }}\n\
         origins:\n  old: {{ url: \"{old}\", {} }}\n  new: {{ url: \"{new}\", {} }}\n  \
         second: {{ url: \"{secondary}\" }}\n\
         routes: [{{ id: all, match: {{ path: \"/{{*rest}}\" }}, flag: f, legacy: old, new: new, fallback: never }}]\n",
        if arm == "legacy" { options } else { "" },
        if arm == "new" { options } else { "" },
    )
}

async fn get(port: u16, user: usize) -> Answer {
    http::get(port, "/x", &[("x-user-id", &format!("u{user}"))]).await
}

fn backend(answer: &Answer) -> (u16, String) {
    (answer.status, answer.header("x-backend").unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_refuses_fails_no_idempotent_request_and_no_order_is_sent_twice() {
    for arm in ["legacy", "new"] {
        let second = Backend::start("second", true).await;
        let refused = format!("http://127.0.0.1:{}", free_port());
        let options = "secondary: second, timeout_ms: 10000";
        let edge =
            SingleRouteWorker::configured(&yaml(arm, &refused, &second.origin.url(), options), &[HEADERS])
                .await;
        let port = edge.port();
        let order = async || http::send(port, "POST", "/order", &[("x-user-id", "u1")], b"order").await;
        // Nobody knows if it arrived.
        assert_eq!(order().await.status, 502, "{arm}");
        for method in ["GET", "HEAD", "PUT", "DELETE"] {
            let body: &[u8] = if method == "PUT" { b"body" } else { b"" };
            let answer = http::send(port, method, "/x", &[("x-user-id", "u1")], body).await;
            assert_eq!(backend(&answer), (200, "second".to_owned()), "{arm} {method}");
            assert_eq!(answer.header("x-cutover-arm").as_deref(), Some(arm), "{method}");
            assert_eq!(answer.header("x-cutover-reason").as_deref(), Some("ROLLOUT"), "{method}");
        }
        // All at once, and far more than the budget of retries.
        for answer in join_all((0..40).map(|user| get(port, user))).await {
            assert_eq!(backend(&answer), (200, "second".to_owned()), "{arm}");
        }
        // The circuit is open, so that an order is not sent to the first one at all.
        assert_eq!(backend(&order().await), (200, "second".to_owned()), "{arm}");
        assert_eq!((second.count("POST"), second.count("PUT"), second.count("GET")), (1, 1, 41), "{arm}");
        let health = edge.health().await;
        assert_eq!(health["outcomes"][arm]["requests"], 46, "what clients got is counted: {health:#}");
        assert_eq!(health["outcomes"][arm]["errors"], 1, "{health:#}");
        let name = if arm == "new" { "new" } else { "old" };
        assert_eq!(health["origins"][0]["origin"], name, "{health:#}");
        assert_eq!(health["origins"][0]["circuit"], "open", "{health:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_at_once_in_front_of_a_circuit_that_is_still_closed() {
    let second = Backend::start("second", true).await;
    let refused = format!("http://127.0.0.1:{}", free_port());
    let options = "secondary: second, timeout_ms: 10000";
    let edge =
        SingleRouteWorker::configured(&yaml("legacy", &refused, &second.origin.url(), options), &[HEADERS])
            .await;
    for answer in join_all((0..40).map(|user| get(edge.port(), user))).await {
        assert_eq!(backend(&answer), (200, "second".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_hangs_is_left_after_its_first_timeouts() {
    let second = Backend::start("second", true).await;
    let arrived: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let seen = Arc::clone(&arrived);
    let hanging = RawOrigin::start(move |received: ReceivedRequest| {
        seen.lock().unwrap().push(Instant::now());
        async move {
            tokio::time::sleep(Duration::from_secs(120)).await;
            drop(received);
        }
    })
    .await;
    let options = "secondary: second, timeout_ms: 1000";
    let edge = SingleRouteWorker::configured(
        &yaml("legacy", &hanging.url(), &second.origin.url(), options),
        &[HEADERS],
    )
    .await;
    let (port, begun) = (edge.port(), Instant::now());
    let clients = (0..8).map(|client| async move {
        while begun.elapsed() < Duration::from_secs(5) {
            assert_eq!(backend(&get(port, client).await), (200, "second".to_owned()));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    join_all(clients).await;
    let arrived = arrived.lock().unwrap();
    // All began before the first timeout, but for the probes of an opening that lasts four seconds at least.
    let first = arrived[0];
    let late: Vec<Duration> =
        arrived.iter().map(|at| *at - first).filter(|at| *at > Duration::from_secs(3)).collect();
    assert!(late.len() <= 2, "probes alone: {late:?}");
    assert!(arrived.len() <= 8 + late.len() + 8, "{} requests hung", arrived.len());
    assert!(second.count("GET") > 8 * 10, "{} requests were served", second.count("GET"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_origin_gets_hardly_more_than_its_requests() {
    let dead = Backend::start("dead", false).await;
    let edge = SingleRouteWorker::configured(
        &yaml("legacy", &dead.origin.url(), "http://127.0.0.1:9", "retry: true"),
        &[HEADERS],
    )
    .await;
    for user in 0..100 {
        // Legacy has nobody else, so that each request is tried.
        assert_eq!(backend(&get(edge.port(), user).await), (503, "dead".to_owned()));
    }
    let count = dead.count("GET");
    assert!((101..=110).contains(&count), "{count} requests of 100 arrived");
}

/// Waits until the origin gets every request again. Returns the requests of clients that it got in the seconds since
/// the first one, and those that clients sent in these seconds.
async fn returned(edge: &SingleRouteWorker, primary: &Backend) -> Vec<(usize, usize)> {
    let deadline = Instant::now() + Duration::from_secs(90);
    let mut seconds: Vec<(usize, usize)> = Vec::new();
    let mut since = None;
    let mut in_a_row = 0;
    for user in 0.. {
        assert!(Instant::now() < deadline, "it does not get its requests back: {seconds:?}");
        let (status, name) = backend(&get(edge.port(), user).await);
        assert_eq!(status, 200, "no client sees any of it");
        let is_primary = name == "primary";
        in_a_row = if is_primary { in_a_row + 1 } else { 0 };
        if is_primary || since.is_some() {
            let second = usize::try_from(since.get_or_insert_with(Instant::now).elapsed().as_secs()).unwrap();
            seconds.resize(seconds.len().max(second + 1), (0, 0));
            seconds[second].0 += usize::from(is_primary);
            seconds[second].1 += 1;
        }
        if in_a_row == 100 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(primary.is_well.load(Ordering::SeqCst));
    seconds
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_is_well_again_gets_its_requests_back_step_by_step() {
    let trial = async |health: &str| {
        let (primary, second) =
            (Backend::start("primary", false).await, Backend::start("second", true).await);
        let options = format!("secondary: second{health}");
        let yaml = yaml("legacy", &primary.origin.url(), &second.origin.url(), &options);
        let edge = SingleRouteWorker::configured(&yaml, &[HEADERS]).await;
        for user in 0..20 {
            assert_eq!(backend(&get(edge.port(), user).await), (200, "second".to_owned()));
        }
        assert_eq!(primary.count("GET /x"), 5, "then it is left alone");
        let deadline = Instant::now() + Duration::from_secs(60);
        while primary.count("GET") == 5 {
            assert_eq!(backend(&get(edge.port(), 1).await), (200, "second".to_owned()));
            assert!(Instant::now() < deadline, "it is not probed");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        primary.is_well.store(true, Ordering::SeqCst);
        let probes = (primary.count("GET /x") - 5, primary.count("GET /healthz?deep=1"));
        let seconds = returned(&edge, &primary).await;
        (probes, seconds)
    };
    let (by_clients, by_path) = tokio::join!(trial(""), trial(", health: \"/healthz?deep=1\""));
    assert_eq!((by_clients.0, by_path.0), ((1, 0), (0, 1)), "one probe each");
    for (_, seconds) in [by_clients, by_path] {
        // A tenth of the users in the first five seconds, half of them in the next, and then all.
        let share = |from: usize, to: usize| {
            let part = seconds.iter().skip(from).take(to - from);
            let (primary, all) = part.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
            100 * primary / all.max(1)
        };
        // Few requests come on a busy machine; the shares themselves are pinned in the tests of the breaker.
        assert!(share(1, 4) <= 35, "{seconds:?}");
        assert!((15..=90).contains(&share(6, 9)), "{seconds:?}");
    }
}
