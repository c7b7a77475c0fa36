//! Comparison on the real stack: both backends are asked, what differs is named, and no client waits for it.

mod inspected;

use super::teardown::Ingest;
use crate::transcripts::{shape, transcripts};
use cutover_origins::Faults;
use cutover_tests::{
    command::cutover,
    gzip,
    http::{self, Connection},
    is_deep,
    proxied::{SingleRouteWorker, single_route},
    raw_origin::{RawOrigin, ReceivedRequest},
    stack::{Options, ROOT_TOKEN, Stack},
    steady::Steady,
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{io::AsyncWriteExt, sync::watch};

const FLAG: &str = "offers";
const LIST: &str = "/api/v1/offers/3/reviews";

/// The configuration of one route between two origins. `compare` is the rest of the route, `more` of the file.
fn configuration([legacy, new]: [&str; 2], rollout: f64, compare: &str, more: &str) -> String {
    format!(
        "feature_flags: {{ {FLAG}: {{ enabled: true, rollout_percentage: {rollout} }} }}\n\
         origins: {{ rest: {{ url: \"{legacy}\", timeout_ms: 3000 }}, graphql: {{ url: \"{new}\", timeout_ms: 3000 }} }}\n\
         routes:\n  - id: offers\n    match: {{ path: \"/api/v1/{{*rest}}\" }}\n    flag: {FLAG}\n    \
         legacy: rest\n    new: graphql\n    {compare}\n{more}",
    )
}

async fn started(rollout: f64, compare: &str, more: &str) -> Stack {
    let worker_variables = BTreeMap::from([
        ("SNAPSHOT_SOFT_TTL_MS", "200".to_owned()),
        ("REPORT_INTERVAL_MS", "300".to_owned()),
    ]);
    let stack = Stack::start(Options { worker_variables, ..Options::default() }).await;
    let text = configuration([&stack.legacy.url(), &stack.new.url()], rollout, compare, more);
    let applied = stack.management().apply(&text).await;
    assert_eq!(applied.status, 200, "{:#}", applied.body);
    stack.edge_holds(applied.body["revision"].as_u64().unwrap()).await;
    stack
}

/// Everything that was compared is in the report.
async fn report(stack: &Stack, enough: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(180);
    loop {
        stack.tick().await;
        let answer = stack.management().get("/comparisons").await.expect(200).body;
        let held = answer["comparisons"][0].clone();
        if enough(&held) {
            return held;
        }
        assert!(Instant::now() < deadline, "{answer:#}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// What is reported to differ, by path and kind, with its rate.
fn found(report: &Value, noise: bool) -> BTreeMap<(String, String), f64> {
    let differences = report["differences"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    differences
        .filter(|difference| difference["is_noise"] == noise)
        .map(|difference| {
            ((text(&difference["path"]), text(&difference["kind"])), difference["rate"].as_f64().unwrap())
        })
        .collect()
}

const EVERYTHING: &str = "compare: { sample: 100, noise: 10, per_minute: 100000, concurrency: 100 }";

#[tokio::test(flavor = "multi_thread")]
async fn exactly_what_differs_is_reported_and_the_canary_holds() {
    let plan = "canary_deployments:\n  offers:\n    initial_percentage: 50\n    promotion_steps: [50, 100]\n    \
                step_duration_minutes: 0.03\n    bake_minutes: 0.02\n    \
                success_criteria: { max_error_rate: 0.05, max_response_time_p95: 1000, max_mismatch_rate: 0.01 }\n    \
                rollback_criteria: { max_error_rate: 0.1, max_response_time_p95: 2000 }\n";
    // One of them is misspelt.
    let rules = "rules: [{ path: \"data[].tagz\", unordered: true }, { path: success, exact: true }] }";
    let compare = EVERYTHING.replace('}', &format!(", {rules}"));
    let stack = started(0.0, &compare, plan).await;
    stack.legacy.control().set(Faults { request_ids: true, ..Faults::default() });
    let worse =
        Faults { request_ids: true, change_rate: 0.005, reverse: true, add_field: true, ..Faults::default() };
    stack.new.control().set(worse);
    let begun = stack.management().send("POST", "/canary/offers/start", &[], None).await.expect(201);
    stack.edge_holds(begun.body["revision"].as_u64().unwrap()).await;
    let traffic = Steady::start(&stack.edge.ports(), &[LIST], 150.0);
    let told = report(&stack, |held| held["compared"].as_u64().unwrap_or_default() >= 4_000).await;
    let status = stack.management().get("/canary/offers").await.expect(200).body;
    let seen = traffic.stop().await;
    assert!(seen.iter().all(|seen| seen.status == 200));

    let differs = found(&told, false);
    let named: Vec<(&str, &str)> =
        differs.keys().map(|(path, kind)| (path.as_str(), kind.as_str())).collect();
    assert_eq!(
        named,
        [("data", "order"), ("data[].badge", "extra"), ("data[].rating", "number")],
        "{told:#}"
    );
    let rate = |path: &str, kind: &str| differs[&(path.to_owned(), kind.to_owned())];
    assert_eq!((rate("data", "order"), rate("data[].badge", "extra")), (1.0, 1.0));
    // 4 000 at 0.5 %: 20, plus or minus four standard deviations.
    let changed = rate("data[].rating", "number");
    assert!((0.000_5..0.009_5).contains(&changed), "{changed}");
    let noise = found(&told, true);
    let named: Vec<(&str, &str)> = noise.keys().map(|(path, kind)| (path.as_str(), kind.as_str())).collect();
    assert_eq!(named, [("request_id", "value"), ("timestamp", "value")]);
    assert_eq!(told["mismatched"], told["compared"], "{told:#}");
    assert_eq!(told["skipped"], serde_json::json!({}), "{told:#}");
    let unmatched = serde_json::json!([{ "path": "data[].tagz", "compared": told["compared"] }]);
    assert_eq!(told["unmatched_rules"], unmatched, "{told:#}");

    // Its step has long lasted, errors and times are proven; differences are not.
    assert_eq!((status["state"].as_str(), status["step"].as_u64()), (Some("running"), Some(0)), "{status:#}");
    let done = cutover(&stack, ROOT_TOKEN, &["compare", "report"], "").await;
    println!("{}", done.out);
    assert!(done.out.contains("data[].badge") && !done.out.contains("request_id"), "{}", done.out);
    assert!(done.out.contains("2 more differences are noise, which legacy has with itself"), "{}", done.out);
    let sentence = "the rule \"data[].tagz\" has matched nothing in ";
    assert!(done.out.contains(sentence) && !done.out.contains("success"), "{}", done.out);
    let printed: Vec<String> = done.out.lines().map(shape).collect();
    let documented = transcripts("docs/comparison.md").remove(0);
    let expected: Vec<String> = documented.printed.iter().map(|line| shape(line)).collect();
    assert_eq!(printed, expected, "{}", done.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn backends_that_agree_are_proven_to_and_ones_that_do_not_are_taken_back() {
    let plan = "canary_deployments:\n  offers:\n    initial_percentage: 50\n    promotion_steps: [50, 60, 100]\n    \
                step_duration_minutes: 0.03\n    bake_minutes: 0.02\n    \
                success_criteria: { max_error_rate: 0.05, max_response_time_p95: 1000, max_mismatch_rate: 0.05 }\n    \
                rollback_criteria: { max_error_rate: 0.1, max_response_time_p95: 2000, max_mismatch_rate: 0.1 }\n";
    let stack = started(0.0, EVERYTHING, plan).await;
    let begun = stack.management().send("POST", "/canary/offers/start", &[], None).await.expect(201);
    stack.edge_holds(begun.body["revision"].as_u64().unwrap()).await;
    let traffic = Steady::start(&stack.edge.ports(), &[LIST], 150.0);
    let wait = async |what: &str, wanted: &dyn Fn(&Value) -> bool| {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            stack.tick().await;
            let status = stack.management().get("/canary/offers").await.expect(200).body;
            if wanted(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "not {what}: {status:#}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    wait("promoted", &|status| status["step"] == 1).await;
    stack.new.control().set(Faults { change_rate: 0.5, ..Faults::default() });
    let back = wait("taken back", &|status| status["state"] == "rolled_back").await;
    assert_eq!(back["breach"]["test"], "mismatch_above", "{back:#}");
    traffic.stop().await;
}

/// A path that is not compared.
const PLAIN: &str = "/api/v1/offers/4/reviews";

/// Longer than what goes on behind a request takes, so that it is in the way of no other one.
const PAUSE: Duration = Duration::from_millis(35);

/// Milliseconds that each request took.
async fn times(connection: &mut Connection, path: &str, user: &str) -> f64 {
    let begun = Instant::now();
    let answer = connection.get(path, &[("x-user-id", user)]).await;
    assert_eq!(answer.status, 200);
    begun.elapsed().as_secs_f64() * 1_000.0
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn into_the_minute() -> Duration {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Duration::from_millis(u64::try_from(now.as_millis() % 60_000).unwrap())
}

fn the_next_minute() -> Duration {
    Duration::from_millis(60_050) - into_the_minute()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_backend_slows_nobody_and_the_budget_is_kept() {
    // Sixty requests take less than this time limit, also on a busy machine.
    let compare = "compare: { sample: 100, noise: 0, per_minute: 20, concurrency: 3, timeout_ms: 10000 }";
    let stack = started(0.0, compare, "").await;
    let mut connection = Connection::open(stack.edge.port()).await;
    let ask = async |connection: &mut Connection| {
        let mut all = Vec::new();
        for at in 0..60 {
            all.push(times(connection, LIST, &format!("user-{at}")).await);
        }
        all
    };
    // Budgets are those of a minute by the clock: all of this belongs to one.
    if into_the_minute() > Duration::from_secs(40) {
        tokio::time::sleep(the_next_minute()).await;
    }
    let mut before = Vec::new();
    while stack.new.control().counts().requests < 20 {
        assert!(before.len() < 2000, "the budget is not used");
        before.extend(ask(&mut connection).await);
    }
    before.extend(ask(&mut connection).await);
    stack.new.control().set(Faults { latency_ms: 20_000, ..Faults::default() });
    tokio::time::sleep(the_next_minute()).await;
    let begun = stack.new.control().counts().requests;
    let mut connection = Connection::open(stack.edge.port()).await;
    let mut hanging = ask(&mut connection).await;
    let reached = stack.new.control().counts().requests - begun;
    let longest = hanging.iter().copied().fold(0.0, f64::max);
    let asked = u64::try_from(before.len() + hanging.len()).unwrap();
    let ratio = median(&mut hanging) / median(&mut before);
    println!(
        "behind a hanging backend a request takes {ratio:.3} of before, the longest {longest:.1} ms; it was asked {reached} times"
    );
    // Whoever waits for a comparison waits until its time limit.
    assert!(longest < 5_000.0, "somebody waited: {hanging:?}");
    assert!(reached <= 3, "more were under way than allowed: {reached}");
    let told = report(&stack, |held| {
        let skipped = |name: &str| held["skipped"][name].as_u64().unwrap_or_default();
        let all = ["budget", "concurrency", "timeout"].map(skipped).iter().sum::<u64>();
        all + held["compared"].as_u64().unwrap_or_default() == asked
    })
    .await;
    println!("{told:#}");
    assert_eq!(told["compared"], 20, "the budget of the first minute");
    assert_eq!(told["skipped"]["timeout"], 3);
    assert!(
        told["skipped"]["budget"].as_u64() > Some(0) && told["skipped"]["concurrency"].as_u64() > Some(0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_something_is_sent_once_unless_it_carries_a_key() {
    let compare = "compare: { sample: 100, noise: 0, per_minute: 1000, mirror: { methods: [PUT], key_header: Idempotency-Key }, \
                   rules: [{ path: timestamp, ignore: true }, { path: data.updated_at, normalise: number, ignore: true }] }";
    let stack = started(0.0, compare, "").await;
    let port = stack.edge.port();
    let before = stack.new.control().counts().requests;
    let put = async |headers: &[(&str, &str)], text: &str| {
        let mut all = vec![("x-user-id", "u"), ("content-type", "application/json")];
        all.extend(headers);
        let answer = cutover_tests::http::send(port, "PUT", "/api/v1/reviews/7", &all, text.as_bytes()).await;
        assert_eq!(answer.status, 200);
    };
    put(&[], "{\"rating\":1}").await;
    let post =
        cutover_tests::http::send(port, "POST", "/api/v1/reviews", &[("idempotency-key", "1")], b"{}").await;
    assert_eq!(post.status, 400);
    put(&[("idempotency-key", "2")], "{\"rating\":3}").await;
    let told = report(&stack, |held| held["compared"] == 1).await;
    assert_eq!(told["skipped"], serde_json::json!({ "unsafe": 1 }), "{told:#}");
    assert_eq!(stack.new.control().counts().requests - before, 1, "the new backend saw what it must not see");
    assert_eq!(found(&told, false).len(), 0, "{told:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conditional_request_is_not_compared() {
    // Each backend has tags of its own, so one of them may answer 304, and the other one 200.
    let requests = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&requests);
    let origin = RawOrigin::start(move |mut received: ReceivedRequest| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move {
            let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 7\r\n\
                          connection: close\r\n\r\n{\"a\":1}";
            let _ = received.socket.write_all(answer.as_bytes()).await;
        }
    })
    .await;
    let ingest = Ingest::start().await;
    let ingest_url = ingest.url();
    let variables = [
        ("INGEST_URL", ingest_url.as_str()),
        ("CUTOVER_INGEST_SECRET", "secret-of-the-comparison-test"),
        ("REPORT_INTERVAL_MS", "200"),
    ];
    let flag = "enabled: true, rollout_percentage: 100";
    let route = ", compare: { sample: 100, noise: 0, per_minute: 1000 }";
    let text = single_route(&origin.url(), &origin.url(), 10_000, flag, route);
    let edge = SingleRouteWorker::configured(&text, &variables).await;
    let date = "Wed, 21 Oct 2026 07:28:00 GMT";
    let conditions = [
        ("if-none-match", "\"1\""),
        ("if-modified-since", date),
        ("if-match", "\"1\""),
        ("if-unmodified-since", date),
        ("if-range", "\"1\""),
        ("range", "bytes=0-1"),
    ];
    for condition in conditions {
        let answer = http::get(edge.port(), "/x", &[("x-user-id", "u1"), condition]).await;
        assert_eq!(answer.status, 200, "{condition:?}");
    }
    assert_eq!(http::get(edge.port(), "/x", &[("x-user-id", "u1")]).await.status, 200);
    let deadline = Instant::now() + Duration::from_secs(30);
    while (ingest.compared(), ingest.skipped("conditional")) != (1, 6) {
        assert!(Instant::now() < deadline, "{} {}", ingest.compared(), ingest.skipped("conditional"));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(requests.load(Ordering::Relaxed), 8, "the other backend gets one request");
}

mod alone {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_client_does_not_wait_for_a_comparison() {
        let other = "  - { id: plain, match: { path: \"/api/v1/offers/4/{*rest}\" }, flag: offers, legacy: rest, new: graphql }";
        let stack = started(50.0, EVERYTHING, other).await;
        let mut connection = Connection::open(stack.edge.port()).await;
        let mut found = Vec::new();
        let blocks = if is_deep() { 12 } else { 3 };
        // Backends that answer at once, and ones that take as long as backends do.
        for latency_ms in [0, 10] {
            stack.legacy.control().set(Faults { latency_ms, ..Faults::default() });
            stack.new.control().set(Faults { latency_ms, ..Faults::default() });
            let mut ratios = Vec::new();
            for block in 0..blocks {
                let (mut compared, mut plain) = (Vec::new(), Vec::new());
                for at in 0..25 {
                    let user = format!("user-{block}-{at}");
                    // In turn; each after a pause in which what goes on behind a request ends, and then another request, so
                    // that both find the machine awake.
                    for (path, taken) in [(LIST, &mut compared), (PLAIN, &mut plain)] {
                        tokio::time::sleep(PAUSE).await;
                        times(&mut connection, PLAIN, &user).await;
                        taken.push(times(&mut connection, path, &user).await);
                    }
                }
                ratios.push(median(&mut compared) / median(&mut plain));
            }
            let middle = median(&mut ratios);
            println!(
                "at 100 % sampling and {latency_ms} ms of backend a request takes {middle:.3} of one that is not compared; \
                 quartiles {:.3} to {:.3}",
                ratios[blocks / 4],
                ratios[blocks * 3 / 4]
            );
            found.push(middle);
        }
        // A short run has too few requests for a fine limit; a client that waited would take twice as long.
        let limits = if is_deep() { [1.2, 1.04] } else { [1.6, 1.3] };
        assert!(found[0] < limits[0] && found[1] < limits[1], "{found:?}");
        let compared = 2 * 25 * blocks as u64;
        report(&stack, |held| held["compared"].as_u64().unwrap_or_default() == compared).await;
    }
}
