//! The kill switch while Workers KV cannot be written: from the command to the last request on the new arm.

use axum::body::Bytes;
use cutover_tests::{
    fault_proxy::Fault,
    is_deep,
    stack::{Options, Stack},
    steady::Steady,
};
use serde_json::json;
use std::{
    fmt::Write,
    time::{Duration, Instant},
};

/// Flags that are pulled back one by one in a round: as many trials.
const FLAGS: usize = 10;
const ISOLATES: usize = 4;

fn configuration(stack: &Stack) -> String {
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
    // It says that it rests after ten seconds, and what it is told then holds for five and a half.
    let asleep = Duration::from_secs(17);
    tokio::time::sleep(asleep).await;
    stack.edge.kv().on_writes(Some(Fault::Answer(429, "application/json", Bytes::from_static(b"{}"))));
    management.post("/emergency/rollback", &json!({ "reason": "while it slept" })).await.expect(200);
    assert_eq!(ask().await, ("legacy".to_owned(), "EMERGENCY".to_owned()));
    // An ingest that hangs holds nobody up for long, and takes nobody back.
    management.post("/emergency/clear", &json!({ "reason": "over" })).await.expect(200);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(ask().await.0, "new");
    tokio::time::sleep(asleep).await;
    stack.ingest.on_writes(Some(Fault::Hang));
    let started = Instant::now();
    assert_eq!(ask().await.0, "new");
    let waited = started.elapsed();
    // It waits up to 1 s; without that limit it would wait for as long as ingest hangs.
    assert!(waited < Duration::from_millis(2_500), "held up for {waited:?}");
    let started = Instant::now();
    assert_eq!(ask().await.0, "new");
    assert!(started.elapsed() < Duration::from_millis(700), "the next request waits as well");
}

mod alone {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn everybody_is_back_in_seconds_while_kv_is_frozen() {
        // The intervals are those that are deployed.
        let stack = Stack::start(Options { isolates: ISOLATES, ..Options::default() }).await;
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
        // An interval of 5.5 s at most and the way; a busy machine stretches the few trials of a short run.
        assert!(at(0.99) <= if is_deep() { 6.0 } else { 8.0 }, "{delays:?}");
    }
}
