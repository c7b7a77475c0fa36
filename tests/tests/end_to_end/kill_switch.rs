//! The kill switch while Workers KV cannot be written: from the command to the last request on the new arm.

use axum::body::Bytes;
use cutover_core::statistics::split_mix::SplitMix64;
use cutover_tests::{
    dynamodb::DynamoDb,
    fault_proxy::Fault,
    functions::{ManagementServer, connected, platform},
    http, is_deep,
    isolates::Isolates,
    stack::{Options, Stack},
    steady::Steady,
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    fmt::Write,
    time::{Duration, Instant},
};

/// Flags that are pulled back one by one in a round: as many trials.
const FLAGS: usize = 10;
const ISOLATES: usize = 4;

pub(crate) fn configuration(stack: &Stack) -> String {
    let (mut flags, mut routes) = (String::new(), String::new());
    for at in 0..FLAGS {
        writeln!(flags, "  flag_{at}: {{ enabled: true, rollout_percentage: 100 }}").unwrap();
        writeln!(
            routes,
            "  - {{ id: route-{at}, match: {{ path: \"/api/v1/offers/{at}/reviews\" }}, flag: flag_{at}, legacy: old, new: new }}"
        )
        .unwrap();
    }
    let (old, new) = (stack.legacy.url(), stack.new.url());
    format!(
        "feature_flags:\n{flags}origins:\n  old: {{ url: \"{old}\" }}\n  new: {{ url: \"{new}\" }}\nroutes:\n{routes}"
    )
}

/// Waits until every path was last answered by this arm, at every isolate.
async fn wait_for(traffic: &Steady, what: &str, new: bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let recent: Vec<_> = traffic.seen().into_iter().rev().take(150).collect();
        if recent.len() == 150 && recent.iter().all(|seen| seen.new == new) {
            return;
        }
        assert!(Instant::now() < deadline, "not {what}");
    }
}

/// An isolate that slept has heard nothing of an emergency. It asks before it sends anybody to the new arm.
#[tokio::test(flavor = "multi_thread")]
async fn an_isolate_that_slept_asks_before_it_sends_anybody_to_the_new_arm() {
    let stack = Stack::start(Options::default()).await;
    let management = stack.management();
    management.apply(&configuration(&stack)).await.expect(200);
    let ask = async || {
        let answer = cutover_tests::http::get(stack.edge.port(), "/api/v1/offers/0/reviews", &[]).await;
        (answer.header("x-cutover-arm").unwrap(), answer.header("x-cutover-reason").unwrap())
    };
    assert_eq!(ask().await.0, "new");
    // It asks for 15 s after its last request, and what it is told then holds for six.
    let asleep = Duration::from_secs(23);
    tokio::time::sleep(asleep).await;
    stack.edge.kv().on_writes(Some(Fault::Answer(429, "application/json", Bytes::from_static(b"{}"))));
    management.post("/emergency/rollback", &json!({ "reason": "while it slept" })).await.expect(200);
    assert_eq!(ask().await, ("legacy".to_owned(), "EMERGENCY".to_owned()));
    // A snapshot ends the emergency. While KV is frozen an answer brings it.
    management.post("/emergency/clear", &json!({ "reason": "over" })).await.expect(200);
    until_decided(&stack, "/api/v1/offers/0/reviews", ("new", "ROLLOUT")).await;
    // A control plane that hangs holds nobody up for long, and takes nobody back.
    tokio::time::sleep(asleep).await;
    for proxy in [&stack.ask, &stack.ingest] {
        proxy.on_writes(Some(Fault::Hang));
    }
    let started = Instant::now();
    assert_eq!(ask().await.0, "new");
    let waited = started.elapsed();
    // It waits up to 1 s; without that limit it would wait for as long as the control plane hangs.
    assert!(waited < Duration::from_secs(5), "held up for {waited:?}");
    let started = Instant::now();
    assert_eq!(ask().await.0, "new");
    // That would take a second.
    assert!(started.elapsed() < Duration::from_millis(950), "the next request waits as well");
}

/// Options of a stack whose isolates report once a minute, so that only questions bring them news.
pub(crate) fn without_reports() -> Options {
    let worker_variables = BTreeMap::from([("REPORT_INTERVAL_MS", "60000".to_owned())]);
    Options { worker_variables, ..Options::default() }
}

/// Freezes Workers KV, so that isolates learn nothing from it.
pub(crate) fn freeze_kv(stack: &Stack) {
    stack.edge.kv().on_writes(Some(Fault::Answer(429, "application/json", Bytes::from_static(b"{}"))));
}

/// Requests a path until a response has this arm and reason. Returns the time that it took.
pub(crate) async fn until_decided(stack: &Stack, path: &str, expected: (&str, &str)) -> Duration {
    let started = Instant::now();
    loop {
        let answer = http::get(stack.edge.port(), path, &[("x-user-id", "u1")]).await;
        assert_eq!(answer.status, 200);
        let decided = (answer.header("x-cutover-arm"), answer.header("x-cutover-reason"));
        if (decided.0.as_deref(), decided.1.as_deref()) == (Some(expected.0), Some(expected.1)) {
            return started.elapsed();
        }
        // While KV is frozen an answer brings the snapshot, in up to a minute or so.
        assert!(started.elapsed() < Duration::from_secs(90), "{path}: {decided:?} instead of {expected:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Returns the time within which news reach an isolate: a question each 4.8 s, and the way. A busy machine takes longer.
pub(crate) fn news() -> Duration {
    Duration::from_secs(if is_deep() { 6 } else { 12 })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kill_switch_works_while_ingest_is_down() {
    let stack = Stack::start(without_reports()).await;
    let management = stack.management();
    management.apply(&configuration(&stack)).await.expect(200);
    let path = "/api/v1/offers/0/reviews";
    until_decided(&stack, path, ("new", "ROLLOUT")).await;
    freeze_kv(&stack);
    stack.ingest.on_writes(Some(Fault::Answer(503, "text/plain", Bytes::from_static(b"down"))));
    management.post("/emergency/rollback", &json!({ "reason": "ingest is down" })).await.expect(200);
    let took = until_decided(&stack, path, ("legacy", "EMERGENCY")).await;
    assert!(took <= news(), "{took:?}");
}

/// Returns a configuration whose snapshot is too large for answers.
pub(crate) fn with_ballast(configuration: &str) -> String {
    let mut random = SplitMix64::new(1);
    let users: Vec<String> =
        (0..3_000).map(|_| format!("\"{:016x}{:016x}\"", random.draw(), random.draw())).collect();
    let ballast =
        format!("feature_flags:\n  ballast: {{ enabled: true, user_whitelist: [{}] }}\n", users.join(", "));
    configuration.replace("feature_flags:\n", &ballast)
}

/// The snapshot is too large for answers: isolates have the brake alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_brake_reaches_an_isolate_while_kv_is_frozen() {
    let stack = Stack::start(without_reports()).await;
    let management = stack.management();
    let text = with_ballast(&configuration(&stack));
    let applied = management.apply(&text).await.expect(200).body["revision"].as_u64().unwrap();
    let path = "/api/v1/offers/0/reviews";
    until_decided(&stack, path, ("new", "ROLLOUT")).await;
    freeze_kv(&stack);
    management.put("/flags/flag_0/rollout", &json!({ "percentage": 0 })).await.expect(200);
    let took = until_decided(&stack, path, ("legacy", "BRAKED")).await;
    assert!(took <= news(), "{took:?}");
    let health = http::edge_health(stack.edge.port()).await;
    assert_eq!(health["revision"].as_u64(), Some(applied), "it was not the snapshot that brought the news");
    // Other flags are as they were, and the snapshot releases the brake.
    until_decided(&stack, "/api/v1/offers/1/reviews", ("new", "ROLLOUT")).await;
    stack.edge.kv().on_writes(None);
    management.put("/flags/flag_0/rollout", &json!({ "percentage": 100 })).await.expect(200);
    until_decided(&stack, path, ("new", "ROLLOUT")).await;
}

/// The end of the emergency lowers more flags than answers have brakes for, and the configuration cannot be read, so that no
/// answer has the snapshot. The brakes of the first flags are those that are missing.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_on_the_new_arm_between_an_emergency_and_the_snapshot_of_its_end() {
    let stack = Stack::start(without_reports()).await;
    let management = stack.management();
    let more = |number: usize| format!("  more_{number}: {{ enabled: true, rollout_percentage: 100 }}\n");
    let flags: String = (0..60).map(more).collect();
    let text = configuration(&stack).replace("feature_flags:\n", &format!("feature_flags:\n{flags}"));
    management.apply(&text).await.expect(200);
    let path = "/api/v1/offers/0/reviews";
    until_decided(&stack, path, ("new", "ROLLOUT")).await;
    management.post("/emergency/rollback", &json!({ "reason": "errors" })).await.expect(200);
    until_decided(&stack, path, ("legacy", "EMERGENCY")).await;
    freeze_kv(&stack);
    let at_zero = json!({ "reason": "fixed", "percentage": 0 });
    management.post("/emergency/clear", &at_zero).await.expect(200);
    stack.dynamodb.throttle("Query", 5_000);
    // Longer than an isolate takes to hear of the end.
    let heard = Instant::now() + news();
    while Instant::now() < heard {
        let answer = http::get(stack.edge.port(), path, &[("x-user-id", "u1")]).await;
        assert_eq!(answer.header("x-cutover-arm").as_deref(), Some("legacy"));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stack.dynamodb.proxy.forget_next();
    until_decided(&stack, path, ("legacy", "ROLLOUT")).await;
}

/// A function that is over its concurrency answers 429 to everybody: no word of the control plane comes.
#[tokio::test(flavor = "multi_thread")]
async fn questions_that_are_all_throttled_are_a_loss_of_control() {
    let mut options = without_reports();
    options.worker_variables.insert("CONTROL_LOSS_MS", "2000".to_owned());
    let stack = Stack::start(options).await;
    let text = configuration(&stack).replace(
        "flag_1: { enabled: true, rollout_percentage: 100 }",
        "flag_1: { enabled: true, rollout_percentage: 100, on_control_loss: legacy }",
    );
    stack.management().apply(&text).await.expect(200);
    let [held, left] = ["/api/v1/offers/0/reviews", "/api/v1/offers/1/reviews"];
    until_decided(&stack, left, ("new", "ROLLOUT")).await;
    stack.ask.on_writes(Some(Fault::Answer(429, "text/plain", Bytes::from_static(b"slow down"))));
    until_decided(&stack, left, ("legacy", "EMERGENCY")).await;
    until_decided(&stack, held, ("new", "ROLLOUT")).await;
    stack.ask.on_writes(None);
    let took = until_decided(&stack, left, ("new", "ROLLOUT")).await;
    assert!(took <= news(), "{took:?}");
}

mod alone {
    use super::*;

    /// Processes of `ask`. Each has a head of its own, and more of them than this machine can run would measure the machine.
    const PROCESSES: usize = 4;

    /// Nothing listens where Workers KV should be.
    #[tokio::test(flavor = "multi_thread")]
    async fn the_last_of_hundreds_of_isolates_hears_of_an_emergency_in_seconds() {
        let (isolates, emergencies) = if is_deep() { (500, 8) } else { (50, 1) };
        let dynamodb = DynamoDb::start().await;
        let server = ManagementServer::start(platform(&dynamodb, &[]).await).await;
        let flags = "feature_flags: { one: { enabled: true, rollout_percentage: 100 } }\n";
        server.client.apply(flags).await.expect(200);
        let processes = (0..PROCESSES).map(|_| connected(&dynamodb.url(), &[])).collect();
        let asking = Isolates::start(processes, isolates, 7).await;
        let (mut each, mut last): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
        for emergency in 0..emergencies {
            // Anywhere inside the intervals.
            tokio::time::sleep(Duration::from_millis(631 * emergency % 4_400)).await;
            let commanded = Instant::now();
            let body = json!({ "reason": format!("trial {emergency}") });
            let declared = server.client.post("/emergency/rollback", &body).await.expect(200).body;
            assert_eq!(declared["published"], false, "KV was to be frozen");
            let heard = asking.heard(declared["revision"].as_u64().unwrap(), Duration::from_secs(30)).await;
            assert!(heard.iter().all(|news| news.is_stop), "the answer has no emergency");
            let mut delays: Vec<f64> =
                heard.iter().map(|news| (news.answered - commanded).as_secs_f64()).collect();
            delays.sort_by(f64::total_cmp);
            last.extend(delays.last());
            each.extend(delays);
            server.client.post("/emergency/clear", &json!({ "reason": "next trial" })).await.expect(200);
        }
        each.sort_by(f64::total_cmp);
        let at = |share: f64| each[((each.len() - 1) as f64 * share).round() as usize];
        let slowest = last.iter().copied().fold(0.0, f64::max);
        println!(
            "{emergencies} emergencies, {isolates} isolates, KV frozen: command to the answer: median {:.2} s, p99 {:.2} s, \
             the last isolate {slowest:.2} s",
            at(0.5),
            at(0.99),
        );
        let bound = if is_deep() { 6.0 } else { 8.0 };
        assert!(at(0.99) <= bound && slowest <= bound, "{last:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn everybody_is_back_in_seconds_while_kv_is_frozen() {
        // The intervals are those that are deployed; reports do not help.
        let stack = Stack::start(Options { isolates: ISOLATES, ..without_reports() }).await;
        let rounds = if is_deep() { 5 } else { 1 };
        let management = stack.management();
        management.apply(&configuration(&stack)).await.expect(200);
        stack.edge.kv().on_writes(Some(Fault::Answer(429, "application/json", Bytes::from_static(b"{}"))));
        let paths: Vec<String> = (0..FLAGS).map(|at| format!("/api/v1/offers/{at}/reviews")).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let traffic = Steady::start(&stack.edge.ports(), &paths, 400.0);
        let mut delays: Vec<f64> = Vec::new();
        for round in 0..rounds {
            wait_for(&traffic, "everybody on the new arm", true).await;
            let mut commands = Vec::new();
            for at in 0..FLAGS {
                // Anywhere inside an isolate's interval.
                tokio::time::sleep(Duration::from_millis(97 + 61 * ((at * 7 + round * 3) % 11) as u64)).await;
                let commanded = Instant::now();
                let body =
                    json!({ "reason": format!("trial {round}.{at}"), "flags": [format!("flag_{at}")] });
                let answer = management.post("/emergency/rollback", &body).await.expect(200);
                assert_eq!(answer.body["published"], false, "KV was to be frozen");
                commands.push(commanded);
            }
            tokio::time::sleep(Duration::from_secs(7)).await;
            let seen = traffic.seen();
            for (path, commanded) in commands.iter().enumerate() {
                let after: Vec<_> =
                    seen.iter().filter(|seen| seen.path == path && seen.sent >= *commanded).collect();
                assert!(after.len() > 50, "there was traffic");
                let last = after.iter().filter(|seen| seen.new).map(|seen| seen.sent - *commanded).max();
                delays.push(last.unwrap_or_default().as_secs_f64());
            }
            management.post("/emergency/clear", &json!({ "reason": "next round" })).await.expect(200);
        }
        let seen = traffic.stop().await;
        assert!(seen.iter().all(|seen| seen.status == 200), "somebody noticed");
        delays.sort_by(f64::total_cmp);
        let at = |share: f64| delays[((delays.len() - 1) as f64 * share).round() as usize];
        println!(
            "{} trials, {ISOLATES} isolates, KV frozen: command to last request on the new arm: \
             min {:.2} s, median {:.2} s, p90 {:.2} s, p99 {:.2} s, max {:.2} s",
            delays.len(),
            delays[0],
            at(0.5),
            at(0.9),
            at(0.99),
            delays[delays.len() - 1]
        );
        // A question each 4.8 s, a head of a quarter of a second, and the way; a busy machine stretches the few trials of
        // a short run.
        assert!(at(0.99) <= if is_deep() { 6.0 } else { 8.0 }, "{delays:?}");
    }
}
