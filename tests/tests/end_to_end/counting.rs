//! What is counted is what happened: exactly, whatever becomes of the batches on their way.

use axum::body::Bytes;
use cutover_core::{signature, statistics::split_mix::SplitMix64};
use cutover_lambda::clock;
use cutover_tests::{
    canary::slow,
    crowd::{ask, users},
    fault_proxy::Fault,
    http, is_deep,
    stack::{INGEST_SECRET, Options, Stack},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

const PATH: &str = "/api/v1/reviews/7";

async fn started(isolates: usize) -> Stack {
    let stack = Stack::start(Options {
        isolates,
        worker_variables: BTreeMap::from([("REPORT_INTERVAL_MS", "1000".to_owned())]),
        function_variables: BTreeMap::from([("CUTOVER_ISOLATE_SILENCE_MS", "4000".to_owned())]),
        ..Options::default()
    })
    .await;
    stack.management().apply(&stack.dev_configuration()).await.expect(200);
    stack.edge_holds(1).await;
    stack
}

/// Requests per arm, as the ledgers in DynamoDB hold them.
async fn in_ledgers(stack: &Stack) -> (u64, u64) {
    let metrics = stack.management().get("/metrics").await.expect(200).body;
    let mut arms = (0, 0);
    for flag in metrics["flags"].as_array().unwrap() {
        for series in flag["series"].as_array().unwrap() {
            let requests = series["counts"]["requests"].as_u64().unwrap();
            if series["arm"] == "new" { arms.1 += requests } else { arms.0 += requests }
        }
    }
    arms
}

/// Requests per arm, as the backends saw them.
pub(crate) fn at_origins(stack: &Stack) -> (u64, u64) {
    (stack.legacy.control().counts().requests, stack.new.control().counts().requests)
}

/// Ticks until everything that was counted is in the ledgers, as it should be.
pub(crate) async fn settled(stack: &Stack, patience: Duration) -> (u64, u64) {
    let deadline = Instant::now() + patience;
    loop {
        stack.lambda.tick("evaluate").await.unwrap();
        let (counted, seen) = (in_ledgers(stack).await, at_origins(stack));
        if counted == seen || Instant::now() > deadline {
            return counted;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_is_counted_exactly_also_while_ingest_fails_half_the_time() {
    let requests = if is_deep() { 200_000 } else { 20_000 };
    let mut stack = started(3).await;
    // Refused before it is stored, stored with its answer lost, and overloaded: every second batch.
    stack.ingest.on_half_of_writes(vec![
        Fault::Answer(503, "application/json", Bytes::from_static(b"{}")),
        Fault::Lost,
        Fault::Answer(429, "text/plain", Bytes::from_static(b"slow down")),
    ]);
    let begun = Instant::now();
    let crowd = users("user", requests);
    let ports = stack.edge.ports();
    let parts: Vec<_> = crowd
        .chunks(crowd.len().div_ceil(ports.len()))
        .zip(ports)
        .map(|(users, port)| {
            let users = users.to_vec();
            tokio::spawn(async move { ask(port, PATH, &users).await.len() })
        })
        .collect();
    // The process of evaluation is killed now and then, whatever it is doing.
    let mut dice = SplitMix64::new(3);
    let mut killed = 0;
    while killed < 40 && parts.iter().any(|part| !part.is_finished()) {
        let patience = Duration::from_millis(if killed == 0 { 5 } else { dice.draw() % 200 });
        if tokio::time::timeout(patience, stack.lambda.tick("evaluate")).await.is_err() {
            stack.lambda.kill("evaluate");
            stack.lambda.start_again("evaluate");
            stack.dynamodb.lapse_lease();
            killed += 1;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert!(killed > 0, "no process was killed");
    let mut asked = 0;
    for part in parts {
        asked += part.await.unwrap();
    }
    assert_eq!(asked, requests);
    let took = begun.elapsed();
    // An isolate without requests tries for 24 s, some five times: one in thirty would wait for its next request.
    stack.ingest.on_half_of_writes(Vec::new());
    // What was given to a process that was killed is never answered.
    while tokio::time::timeout(Duration::from_secs(10), stack.lambda.tick("evaluate")).await.is_err() {}
    let counted = settled(&stack, Duration::from_secs(120)).await;
    let metrics = stack.management().get("/metrics").await.expect(200).body;
    println!(
        "{requests} requests in {took:.0?}, every second batch failing, evaluation killed {killed} times: legacy and \
         new {counted:?} in DynamoDB, {:?} at the origins; batches {}",
        at_origins(&stack),
        metrics["batches"]
    );
    assert_eq!(counted, at_origins(&stack));
    assert_eq!(counted.0 + counted.1, requests as u64);
    assert_eq!(metrics["outcomes_lost"], 0);
    // Taking everything in again changes nothing.
    for _ in 0..3 {
        stack.lambda.tick("evaluate").await.unwrap();
    }
    assert_eq!(in_ledgers(&stack).await, counted);
    let status = stack.management().get("/status").await.expect(200).body;
    assert_eq!(status["measurement"]["error_rate"], 0.0);
    assert!(status["measurement"]["avg_response_time_ms"].as_f64().unwrap() > 0.0);
    let share = status["migration_progress"]["traffic_distribution"]["graphql"].as_f64().unwrap();
    assert!((share - 25.0).abs() < 1.0, "{status:#}");
}

/// Lets every request take a while: an isolate promises another batch only while requests are open.
fn some_are_open(stack: &Stack) {
    for origin in [&stack.legacy, &stack.new] {
        origin.control().set(slow(200));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_isolate_that_is_killed_leaves_a_gap_that_is_reported_as_unknown() {
    let mut stack = started(1).await;
    some_are_open(&stack);
    let traffic = cutover_tests::steady::Steady::start(&stack.edge.ports(), &[PATH], 300.0);
    tokio::time::sleep(Duration::from_secs(2)).await;
    // The first of these batches may be on its way already; the others are an interval after it, and after each other.
    let reported = Instant::now();
    stack.dynamodb.stores_more_batches(3).await;
    let killed = Instant::now();
    stack = stack.restart_worker().await;
    let seen = traffic.stop().await;
    let answered = seen.iter().filter(|seen| seen.sent < killed).count() as u64;
    // All that was asked before those batches is counted.
    let certain = seen.iter().filter(|seen| seen.sent < reported).count();
    assert!(certain > 0, "nobody asked anything");
    let deadline = Instant::now() + Duration::from_secs(60);
    let lost = loop {
        let tick = stack.lambda.tick("evaluate").await.unwrap();
        if tick["isolates_lost"] == 1 {
            break in_ledgers(&stack).await;
        }
        assert!(Instant::now() < deadline, "nobody notices: {tick:#}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    let counted = lost.0 + lost.1;
    println!("killed under traffic: {counted} of {answered} requests are counted, {certain} had to be");
    assert!(counted >= certain as u64 && counted <= answered + 12, "{counted} of {answered}, {certain}");
    let batches = stack.dynamodb.batches();
    let stored: u64 = batches.iter().flat_map(|batch| &batch.cells).map(|cell| cell.counts.requests).sum();
    assert_eq!(counted, stored, "it is counted exactly up to its last batch");
    let status = stack.management().get("/status").await.expect(200).body;
    assert_eq!(status["measurement"]["unknown_isolates"], 1, "{status:#}");
    assert_eq!(status["measurement"]["error_rate"], 0.0, "unknown requests are no errors, and no successes");
    // It is reported once, with the event that the alarm counts.
    assert_eq!(stack.lambda.tick("evaluate").await.unwrap()["isolates_lost"], 0);
    let events = stack.lambda.output().matches("\"event\":\"isolates_lost\"").count();
    assert_eq!(events, 1, "{}", stack.lambda.output());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_isolate_that_could_not_report_for_a_while_has_no_gap_in_the_end() {
    let stack = started(1).await;
    some_are_open(&stack);
    let traffic = cutover_tests::steady::Steady::start(&stack.edge.ports(), &[PATH], 200.0);
    stack.dynamodb.stores_more_batches(1).await;
    stack.ingest.on_writes(Some(Fault::Answer(503, "text/plain", Bytes::from_static(b"down"))));
    let unknown = async || {
        stack.management().get("/status").await.expect(200).body["measurement"]["unknown_isolates"].clone()
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    while unknown().await != 1 {
        assert!(Instant::now() < deadline, "nobody notices that it is silent");
        stack.lambda.tick("evaluate").await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    stack.ingest.on_writes(None);
    traffic.stop().await;
    // After many failures it is tried again within a minute, or at the end of the last request's work.
    let counted = settled(&stack, Duration::from_secs(90)).await;
    assert_eq!(counted, at_origins(&stack), "what was counted while ingest was down came after it");
    assert_eq!(unknown().await, 0, "nothing was lost, so nothing is unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_isolate_that_has_nothing_more_to_tell_is_not_lost() {
    let stack = started(1).await;
    let crowd = users("user", 100);
    ask(stack.edge.port(), PATH, &crowd).await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(settled(&stack, Duration::from_secs(30)).await, at_origins(&stack));
    for _ in 0..3 {
        let tick = stack.lambda.tick("evaluate").await.unwrap();
        assert_eq!(tick["isolates_lost"], 0, "{tick:#}");
    }
    let health = http::edge_health(stack.edge.port()).await;
    assert_eq!((&health["reporting"]["cells"], &health["reporting"]["pending"]), (&json!(0), &json!(false)));
    let metrics = stack.management().get("/metrics").await.expect(200).body;
    assert_eq!(metrics["isolates_lost"], 0, "{metrics:#}");
}

/// Sends a batch as an isolate does.
async fn send(stack: &Stack, body: &str, at: i64, signature: &str) -> (u16, Value) {
    let answer = reqwest::Client::new()
        .post(format!("{}/v1/batches", stack.lambda.url("ingest")))
        .header(signature::TIMESTAMP, at.to_string())
        .header(signature::SIGNATURE, signature)
        .body(body.to_owned())
        .send()
        .await
        .unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_that_are_doubled_reordered_replayed_or_too_large_are_handled_and_counted() {
    let stack = started(1).await;
    let batch = |sequence: u64, requests: u64| {
        json!({
            "schema": 2, "isolate": "0123456789abcdef0123456789abcdef", "sequence": sequence, "revision": 1,
            "cells": [{
                "flag": "graphql_reviews_read", "route": "reviews.read", "arm": "new", "reason": "ROLLOUT",
                "revision": 1,
                "counts": { "requests": requests, "duration_ms": 10, "histogram": [[8, requests]] },
            }],
        })
        .to_string()
    };
    let now = clock::now().millis();
    let sign = |body: &str, at: i64| signature::sign(INGEST_SECRET, at, body.as_bytes());
    // Reordered: the second before the first. Doubled: the same once more, later.
    let (first, second, third) = (batch(1, 1), batch(2, 2), batch(3, 4));
    for (body, duplicate) in [(&second, false), (&first, false), (&third, false), (&second, true)] {
        let (status, answer) = send(&stack, body, now, &sign(body, now)).await;
        assert_eq!((status, answer["duplicate"] == true), (200, duplicate), "{answer:#}");
        assert_eq!(answer["revision"], 1);
    }
    // Replayed: signed well, long ago. Forged: another body under a good signature. Neither is stored.
    let old = now - signature::TOLERANCE_MS - 1_000;
    let fresh = batch(9, 100);
    let huge = "x".repeat(400_000);
    for (body, at, signed, status, code) in [
        (&fresh, old, sign(&fresh, old), 401, "signature_invalid"),
        (&fresh, now, sign(&first, now), 401, "signature_invalid"),
        (&fresh, now, String::new(), 401, "signature_invalid"),
        (&huge, now, sign(&huge, now), 413, "batch_too_large"),
        (&"{}".to_owned(), now, sign("{}", now), 400, "batch_malformed"),
        (&fresh.replace("\"schema\":2", "\"schema\":4"), now, String::new(), 400, "batch_malformed"),
        (&fresh.replace("0123456789abcdef0123456789abcdef", "x"), now, String::new(), 400, "batch_malformed"),
    ] {
        let signed = if status == 400 { sign(body, now) } else { signed };
        let (got, problem) = send(&stack, body, at, &signed).await;
        assert_eq!((got, &problem["code"]), (status, &json!(code)), "{problem:#}");
    }
    for sequence in 10..30 {
        let body = batch(sequence, 1);
        send(&stack, &body, now, &sign(&body, now)).await;
    }
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    stack.lambda.tick("evaluate").await.unwrap();
    let metrics = stack.management().get("/metrics").await.expect(200).body;
    let new: u64 = metrics["flags"][0]["series"]
        .as_array()
        .unwrap()
        .iter()
        .map(|series| series["counts"]["requests"].as_u64().unwrap())
        .sum();
    assert_eq!(new, 1 + 2 + 4 + 20, "{metrics:#}");
    assert_eq!(metrics["batches"], json!({ "stored": 23, "late": 0, "unreadable": 0 }));
    // Another batch under the name of the first.
    let other = batch(1, 3);
    let (status, problem) = send(&stack, &other, now, &sign(&other, now)).await;
    assert_eq!((status, &problem["code"]), (409, &json!("batch_conflict")), "{problem:#}");
    let refusals = |kind: &str| {
        let field = format!("\"kind\":\"{kind}\"");
        let output = stack.lambda.output();
        output.lines().filter(|line| line.contains("batch_refused") && line.contains(&field)).count()
    };
    let counted =
        [("skewed", 1), ("forged", 1), ("unsigned", 1), ("oversized", 1), ("malformed", 3), ("conflict", 1)];
    for (kind, count) in counted {
        assert_eq!(refusals(kind), count, "{kind}");
    }
    // An isolate with an older snapshot is given the newest one along.
    let mut behind: Value = serde_json::from_str(&batch(40, 1)).unwrap();
    behind["revision"] = json!(0);
    let behind = behind.to_string();
    let (_, answer) = send(&stack, &behind, now, &sign(&behind, now)).await;
    assert!(
        answer["snapshot"].as_str().is_some_and(|text| text.contains("graphql_reviews_read")),
        "{answer:#}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_reads_what_was_counted() {
    let stack = started(1).await;
    ask(stack.edge.port(), PATH, &users("user", 500)).await;
    settled(&stack, Duration::from_secs(60)).await;
    // An isolate that is awake tells how old its snapshot is; what it counts now is not in the ledgers yet.
    let (old, new) = at_origins(&stack);
    ask(stack.edge.port(), PATH, &users("late", 1)).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let path = format!("{}/api/migration/metrics", stack.lambda.url("management"));
    let answer = reqwest::Client::new()
        .get(path)
        .bearer_auth(cutover_tests::stack::ROOT_TOKEN)
        .header("accept", "text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let page = answer.text().await.unwrap();
    let sample = |start: &str| -> f64 {
        let line = page.lines().find(|line| line.starts_with(start));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
            .unwrap_or_else(|| panic!("no {start}:\n{page}"))
    };
    let labels =
        |backend: &str| format!("flag=\"graphql_reviews_read\",route=\"reviews.read\",backend=\"{backend}\"");
    assert_eq!(sample(&format!("cutover_requests_total{{{}}}", labels("legacy"))), old as f64);
    assert_eq!(sample(&format!("cutover_requests_total{{{}}}", labels("new"))), new as f64);
    let name = "cutover_request_duration_seconds";
    assert_eq!(sample(&format!("{name}_count{{{}}}", labels("new"))), new as f64);
    assert_eq!(sample(&format!("{name}_bucket{{{},le=\"+Inf\"}}", labels("new"))), new as f64);
    assert_eq!(sample("cutover_canary_percentage{flag=\"graphql_reviews_read\"}"), 25.0);
    assert_eq!(sample("cutover_publication_lag_revisions"), 0.0);
    assert_eq!(sample("cutover_rollbacks_total{flag=\"graphql_reviews_read\"}"), 0.0);
    assert!(sample("cutover_snapshot_age_seconds") < 60.0);
    // Every sample belongs to a family that was announced, and bucket counts climb.
    let mut families: Vec<&str> = Vec::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            families.push(rest.split(' ').next().unwrap());
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap();
            let family = families.last().unwrap();
            assert!(name.starts_with(family), "{line} stands under {family}");
            line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
        }
    }
    let buckets: Vec<f64> = page
        .lines()
        .filter(|line| line.starts_with(&format!("{name}_bucket{{{}", labels("legacy"))))
        .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
        .collect();
    assert!(buckets.len() == 17 && buckets.windows(2).all(|pair| pair[0] <= pair[1]), "{buckets:?}");
}
