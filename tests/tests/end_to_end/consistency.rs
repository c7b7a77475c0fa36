//! Nothing is lost, nothing happens twice, and what is published becomes what is true.

use crate::counting::{at_origins, settled};
use axum::body::Bytes;
use cutover_core::Snapshot;
use cutover_tests::{
    canary::{Canary, FLAG, PATH, errors, number, plan},
    edge::Edge,
    fault_proxy::Fault,
    http,
    kv_server::Mode,
    stack::{Options, ROOT_TOKEN, Stack},
    steady::Steady,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

const ROLLOUT: &str = "/flags/graphql_reviews_read/rollout";

async fn started(processes: usize) -> Stack {
    let stack = Stack::start(Options {
        // These tests are about KV, so the edge has no other way to learn of anything.
        worker_variables: BTreeMap::from([
            ("SNAPSHOT_SOFT_TTL_MS", "200".to_owned()),
            ("INGEST_URL", String::new()),
        ]),
        management_processes: processes,
        ..Options::default()
    })
    .await;
    stack.management().apply(&stack.dev_configuration()).await.expect(200);
    stack
}

fn published(stack: &Stack) -> Option<Snapshot> {
    let Edge::Workerd { store, .. } = &stack.edge else { panic!("these tests look into the store") };
    store.get("snapshot").map(|text| Snapshot::decode(&text).expect("what is published is whole"))
}

async fn all_records(stack: &Stack) -> Vec<Value> {
    stack.management().get("/audit?limit=1000").await.expect(200).body["records"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_writers_on_one_flag() {
    let stack = started(8).await;
    let first = stack.management().get("/flags/graphql_reviews_read").await.expect(200);
    let (etag, version) = (first.etag.unwrap(), first.body["version"].as_u64().unwrap());

    // Half of them say what they have seen, half let the last writer win.
    let writers: Vec<_> = (0..64_u32)
        .map(|writer| {
            let (management, etag) = (stack.management(), etag.clone());
            tokio::spawn(async move {
                let body = json!({ "percentage": 1.0 + f64::from(writer) / 10.0 }).to_string();
                let careful = writer % 2 == 0;
                let headers: &[(&str, &str)] = if careful { &[("if-match", &etag)] } else { &[] };
                (careful, management.send("PUT", ROLLOUT, headers, Some(&body)).await)
            })
        })
        .collect();
    let mut accepted = Vec::new();
    let mut lost = 0;
    for writer in writers {
        let (careful, answer) = writer.await.unwrap();
        match answer.status {
            200 => accepted
                .push((answer.body["revision"].as_u64().unwrap(), answer.body["rollout_percentage"].clone())),
            412 if careful => {
                assert_eq!(answer.body["code"], "changed_meanwhile");
                lost += 1;
            }
            other => panic!("{other}: {:#}", answer.body),
        }
    }
    println!("64 writers: {} accepted, {lost} lost the race", accepted.len());
    assert!(accepted.len() >= 32 && accepted.len() + lost == 64);

    // Every accepted write is in the audit log exactly once, and revisions have no gap or repeat.
    let records = all_records(&stack).await;
    let revisions: Vec<u64> =
        records.iter().rev().map(|record| record["revision"].as_u64().unwrap()).collect();
    assert_eq!(revisions, (1..=version + accepted.len() as u64).collect::<Vec<_>>());
    for (revision, percentage) in &accepted {
        let record = records.iter().find(|record| record["revision"] == *revision).unwrap();
        assert_eq!(record["action"], "flag.rollout");
        assert_eq!(record["actor"], "root");
        assert_eq!(record["changes"][0]["fields"]["rollout_percentage"][1], *percentage);
    }
    let distinct: BTreeSet<u64> = accepted.iter().map(|(revision, _)| *revision).collect();
    assert_eq!(distinct.len(), accepted.len());

    // The dust has settled: KV holds head, and head is the last accepted write.
    let status = stack.management().get("/status").await.body;
    let head = status["revision"].as_u64().unwrap();
    assert_eq!(status["published_revision"], head);
    let snapshot = published(&stack).unwrap();
    assert_eq!(snapshot.revision.0, head);
    let last = accepted.iter().max_by_key(|(revision, _)| *revision).unwrap();
    let flag = stack.management().get("/flags/graphql_reviews_read").await;
    assert_eq!(flag.body["rollout_percentage"], last.1);
    assert_eq!(json!(snapshot.flags.get("graphql_reviews_read").unwrap().rollout_percentage), last.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn kv_that_refuses_writes_loses_nothing_and_the_schedule_heals_it() {
    let stack = started(1).await;
    stack.edge_holds(1).await;
    let refusals = [
        Fault::Answer(
            429,
            "application/json",
            Bytes::from_static(br#"{"success":false,"errors":[{"code":10048}]}"#),
        ),
        Fault::Answer(500, "text/plain", Bytes::from_static(b"internal error")),
        Fault::Hang,
    ];
    for (round, refusal) in refusals.into_iter().enumerate() {
        let percentage = 60.0 + round as f64;
        let before = stack.management().get("/status").await.body["revision"].as_u64().unwrap();
        stack.edge.kv().on_writes(Some(refusal.clone()));
        let started = Instant::now();
        let answer = stack.management().put(ROLLOUT, &json!({ "percentage": percentage })).await.expect(200);
        assert!(started.elapsed() < Duration::from_secs(8), "{refusal:?} held the answer up");
        assert_eq!(answer.body["published"], false, "{refusal:?}");
        assert_eq!(answer.body["revision"], before + 1);
        assert_eq!(stack.management().get("/status").await.body["health"]["status"], "unpublished");
        // A tick fails as long as KV does, and says so.
        assert!(stack.lambda.tick("promote").await.is_err(), "{refusal:?}");
        // The edge goes on with what it has.
        let seen = http::get(stack.edge.port(), "/api/v1/reviews/7", &[("x-user-id", "user-123")]).await;
        assert_eq!(seen.status, 200);
        assert_eq!(seen.header("x-cutover-revision"), Some(before.to_string()));

        stack.edge.kv().on_writes(None);
        let tick = stack.lambda.tick("promote").await.unwrap();
        assert_eq!((&tick["published"], &tick["revision"]), (&json!(true), &json!(before + 1)));
        stack.edge_holds(before + 1).await;
        let again = stack.lambda.tick("promote").await.unwrap();
        assert_eq!(again["published"], false, "a healthy tick writes nothing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_document_that_a_dead_publisher_left_behind_is_found() {
    let stack = started(1).await;
    let old = published(&stack).unwrap();
    stack.management().put(ROLLOUT, &json!({ "percentage": 70 })).await.expect(200);
    let Edge::Workerd { store, .. } = &stack.edge else { panic!("these tests look into the store") };
    // A publisher of revision 1 that was slow, wrote last, and died before its second look.
    store.put("snapshot", old.encode().unwrap());
    let tick = stack.lambda.tick("promote").await.unwrap();
    assert_eq!((&tick["found"], &tick["published"]), (&json!(1), &json!(true)));
    assert_eq!(published(&stack).unwrap().revision.0, 2);
    // And one that is damaged, or gone.
    for damage in ["{}", "", "{\"schema\":1"] {
        store.put("snapshot", damage);
        assert_eq!(stack.lambda.tick("promote").await.unwrap()["published"], true);
        assert_eq!(published(&stack).unwrap().revision.0, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_isolate_that_cannot_read_kv_sends_everybody_to_legacy() {
    let mut stack = started(1).await;
    stack.management().put(ROLLOUT, &json!({ "percentage": 100 })).await.expect(200);
    let ask = async |stack: &Stack| {
        let answer = http::get(stack.edge.port(), "/api/v1/reviews/7", &[("x-user-id", "u")]).await;
        assert_eq!(answer.status, 200);
        let header = |name: &str| answer.header(name).unwrap_or_default();
        (header("x-backend"), header("x-cutover-reason"))
    };
    let legacy = ("legacy".to_owned(), "NO_SNAPSHOT".to_owned());
    let new = ("new".to_owned(), "ROLLOUT".to_owned());
    for mode in [Mode::Status(500), Mode::Status(503), Mode::Hang] {
        let Edge::Workerd { store, .. } = &stack.edge else { panic!("these tests look into the store") };
        store.set_mode(mode);
        stack = stack.restart_worker().await;
        let started = Instant::now();
        assert_eq!(ask(&stack).await, legacy, "{mode:?}");
        assert!(started.elapsed() < Duration::from_secs(3), "{mode:?} held the request up");
        let health = http::edge_health(stack.edge.port()).await;
        assert_eq!(health["status"], "no_snapshot", "{health:#}");
        if mode != Mode::Hang {
            assert!(health["last_refusal"].as_str().unwrap().contains("could not be read"), "{health:#}");
        }
        let Edge::Workerd { store, .. } = &stack.edge else { panic!("these tests look into the store") };
        store.set_mode(Mode::Healthy);
        // A read that hangs counts as lost after ten seconds; the others are tried again after the soft TTL.
        let deadline = Instant::now() + Duration::from_secs(30);
        while ask(&stack).await != new {
            assert!(Instant::now() < deadline, "{mode:?}: the isolate does not recover");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrupt_or_older_snapshot_is_refused_by_a_running_isolate() {
    let stack = started(1).await;
    let old = published(&stack).unwrap().encode().unwrap();
    stack.management().put(ROLLOUT, &json!({ "percentage": 100 })).await.expect(200);
    stack.edge_holds(2).await;
    let current = published(&stack).unwrap().encode().unwrap();
    let Edge::Workerd { store, .. } = &stack.edge else { panic!("these tests look into the store") };
    for (bad, why) in [
        (old, "revision 1 was refused because revision 2 is held"),
        (current.replace("\"enabled\":true", "\"enabled\":false"), "the hash does not match the body"),
        ("not json".to_owned(), "not a snapshot document"),
    ] {
        store.put("snapshot", bad);
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let seen = http::get(stack.edge.port(), "/api/v1/reviews/7", &[("x-user-id", "u")]).await;
            assert_eq!(seen.header("x-cutover-arm").as_deref(), Some("new"));
            let health = http::edge_health(stack.edge.port()).await;
            assert_eq!(health["revision"], 2);
            if health["last_refusal"].as_str().is_some_and(|refusal| refusal.contains(why)) {
                break;
            }
            assert!(Instant::now() < deadline, "{why}: {health:#}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// DynamoDB's local stand-in never refuses a transaction because another one is on an item; the real one does.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_conflict_is_tried_again() {
    let stack = started(1).await;
    let conflict = json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": "Transaction cancelled, please refer cancellation reasons for specific reasons [TransactionConflict, None, None]",
        "CancellationReasons": [
            { "Code": "TransactionConflict", "Message": "Transaction is ongoing for the item" },
            { "Code": "None" },
            { "Code": "None" },
        ],
    });
    let throttled = json!({
        "__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
        "message": "The level of configured provisioned throughput for the table was exceeded.",
    });
    let kind = "application/x-amz-json-1.0";
    for (at, fault) in [conflict.clone(), conflict, throttled].into_iter().enumerate() {
        let fault = Fault::Answer(400, kind, fault.to_string().into());
        stack.dynamodb.proxy.on_next("x-amz-target", "TransactWriteItems", fault);
        let percentage = 41.0 + at as f64;
        let answer = stack.management().put(ROLLOUT, &json!({ "percentage": percentage })).await.expect(200);
        assert_eq!(answer.body["revision"], 2 + at as u64);
    }
    assert_eq!(all_records(&stack).await.len(), 4);
    // A store that is down changes nothing, and the answer says so.
    for _ in 0..8 {
        let fault = Fault::Answer(500, kind, Bytes::from_static(b"{}"));
        stack.dynamodb.proxy.on_next("x-amz-target", "GetItem", fault);
    }
    let answer = stack.management().put(ROLLOUT, &json!({ "percentage": 99 })).await.expect(503);
    assert_eq!(
        (&answer.body["code"], answer.content_type.as_str()),
        (&json!("store_unavailable"), "application/problem+json")
    );
}

/// The evidence of one canary is damaged while both backends of two flags fail: the other canary is rolled back, and the
/// first one as soon as its evidence is whole, with every request that came meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_flag_whose_evidence_cannot_be_read_holds_up_no_other() {
    const OTHER: &str = "graphql_offers_read";
    let one = plan(50.0, &[100.0], "").replace("0.03", "60");
    let canary = Canary::start(&format!("{one}{}", one.replace(FLAG, OTHER)), Options::default()).await;
    let stack = &canary.stack;
    canary.steer("start").await;
    let started = stack.management().send("POST", &format!("/canary/{OTHER}/start"), &[], None).await;
    stack.edge_holds(started.expect(201).body["revision"].as_u64().unwrap()).await;
    let traffic = Steady::start(&stack.edge.ports(), &[PATH, "/api/v1/offers/7/reviews"], 300.0);
    canary.tick_until("measured", 60, |status| number(&status["evidence"]["new"]["requests"]) > 30.0).await;

    let ledger = format!("LEDGER#{FLAG}");
    stack.dynamodb.set_schema(&ledger, "EVIDENCE#000", 99);
    canary.new_fails(errors(0.5));
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let (evaluated, promoted) = stack.tick().await;
        assert_eq!(evaluated["behind"], json!([FLAG]), "{evaluated:#}");
        assert_eq!(
            promoted["canaries"][FLAG],
            Value::Null,
            "nothing is decided on evidence that is unreadable"
        );
        let other = stack.management().get(&format!("/canary/{OTHER}")).await.expect(200).body;
        if other["state"] == "rolled_back" {
            break;
        }
        assert!(Instant::now() < deadline, "the other canary is not rolled back: {other:#}");
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    // Operators are told, by both functions and in both kinds of metrics, and still see the others.
    let output = stack.lambda.output();
    for event in ["flag_unreadable", "canary_undecided"] {
        assert!(output.contains(&format!("\"event\":\"{event}\"")), "{event}");
    }
    let page = reqwest::Client::new()
        .get(format!("{}/api/migration/metrics", stack.lambda.url("management")))
        .bearer_auth(ROOT_TOKEN)
        .header("accept", "text/plain");
    let page = page.send().await.unwrap().text().await.unwrap();
    assert!(page.contains(&format!("cutover_canary_undecided{{flag=\"{FLAG}\"}} 1\n")), "{page}");
    let metrics = stack.management().get("/metrics").await.expect(200).body;
    assert!(metrics["behind"][FLAG].is_string() && metrics["behind"][OTHER].is_null(), "{metrics:#}");

    // The cursor concerns all flags, so nothing is passed over.
    let cursor = stack.dynamodb.replace("FOLD", "CURSOR", "data", "damaged");
    assert!(stack.lambda.tick("evaluate").await.is_err());
    stack.dynamodb.lapse_lease();
    stack.dynamodb.replace("FOLD", "CURSOR", "data", &cursor);
    stack.lambda.tick("evaluate").await.unwrap();

    stack.dynamodb.set_schema(&ledger, "EVIDENCE#000", 1);
    let (done, _) = canary.tick_until("rolled back", 120, |status| status["state"] == "rolled_back").await;
    traffic.stop().await;
    assert_eq!(settled(stack, Duration::from_secs(60)).await, at_origins(stack), "no arrival was left out");
    let tick = stack.lambda.tick("evaluate").await.unwrap();
    assert_eq!(tick["behind"], json!([]), "{tick:#}");
    canary.replayed(done["run"].as_str().unwrap()).await;
}
