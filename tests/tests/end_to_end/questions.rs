//! Questions of isolates: signed, answered with the state of the control plane, and not stored.

use cutover_core::{
    DeploymentId, Revision,
    measurement::{pace::Pace, question::Question},
};
use cutover_lambda::measurement::ask as ask_function;
use cutover_tests::{
    dynamodb::DynamoDb,
    functions::{ManagementServer, connected, platform},
    question::{ask, ask_with},
    recorder::Mode,
    server::Server,
    stack::{Options, Stack},
};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// Longer than a head answers.
const HEAD: Duration = Duration::from_millis(300);

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_from_the_head_and_written_nowhere() {
    let stack = Stack::start(Options { permissions: Some(Mode::Record), ..Options::default() }).await;
    let management = stack.management();
    management.apply(&stack.dev_configuration()).await.expect(200);
    let lowered = management.put("/flags/graphql_reviews_read/rollout", &json!({ "percentage": 5 })).await;
    let revision = lowered.expect(200).body["revision"].as_u64().unwrap();
    let url = stack.lambda.url("ask");
    tokio::time::sleep(HEAD).await;
    let question =
        |held| Question { isolate: Some("a".repeat(32)), ..Question::since(Revision(held)) }.encode();
    // One that holds the newest revision is told so; one that holds the one before is told what was lowered.
    let (status, answer) = ask(&url, &question(revision)).await;
    let deployment = answer["deployment"].as_str().unwrap_or_default();
    assert_eq!(deployment.len(), 32, "{answer:#}");
    let expected = json!({
        "revision": revision, "deployment": deployment, "interval_ms": 5_000
    });
    assert_eq!((status, &answer), (200, &expected));
    // One that names its deployment is told of another one alone.
    let named = |deployment: &str| {
        let deployment = Some(deployment.parse::<DeploymentId>().unwrap());
        Question { deployment, ..Question::since(Revision(revision)) }.encode()
    };
    let (_, answer) = ask(&url, &named(deployment)).await;
    assert_eq!(answer, json!({ "revision": revision, "interval_ms": 5_000 }));
    assert_eq!(ask(&url, &named(&"f".repeat(32))).await.1, expected);
    let (_, answer) = ask(&url, &question(revision - 1)).await;
    let brake = json!({
        "revision": revision, "flag": "graphql_reviews_read", "enabled": true, "rollout": 5.0
    });
    assert_eq!(answer["brakes"], json!([brake]), "{answer:#}");
    // One that has no snapshot is given it.
    let (_, answer) = ask(&url, &question(0)).await;
    assert!(
        answer["snapshot"].as_str().is_some_and(|text| text.contains("graphql_reviews_read")),
        "{answer:#}"
    );
    // Raising it again is no brake, and is told with the revision.
    management.put("/flags/graphql_reviews_read/rollout", &json!({ "percentage": 50 })).await.expect(200);
    tokio::time::sleep(HEAD).await;
    let (_, answer) = ask(&url, &question(revision)).await;
    assert_eq!((&answer["revision"], &answer["brakes"]), (&json!(revision + 1), &Value::Null), "{answer:#}");
    // An emergency, and its end.
    management.post("/emergency/rollback", &json!({ "reason": "drill" })).await.expect(200);
    tokio::time::sleep(HEAD).await;
    assert_eq!(ask(&url, &question(revision)).await.1["emergency"]["reason"], "drill");
    // Ingest answers too, for a Worker that does not know of this function.
    assert_eq!(ask(&stack.lambda.url("ingest"), &question(0)).await.1["emergency"]["reason"], "drill");
    let called: BTreeSet<String> = stack.recorders["ask"].calls().into_keys().collect();
    assert!(
        called.iter().all(|action| ["dynamodb:GetItem", "dynamodb:Query"].contains(&action.as_str())),
        "{called:?}"
    );
    stack.tick().await;
    let metrics = management.get("/metrics").await.expect(200).body;
    assert_eq!(
        metrics["isolates_active"], 0,
        "M3: a question makes no isolate that could be missed: {metrics:#}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_that_are_forged_malformed_or_too_large_are_refused() {
    let stack = Stack::start(Options::default()).await;
    let url = stack.lambda.url("ask");
    let good = Question::since(Revision(0)).encode();
    let later = good.replace("\"schema\":1", "\"schema\":2");
    let (status, problem) = ask_with(&url, &good, "another secret").await;
    assert_eq!((status, &problem["code"]), (401, &json!("signature_invalid")), "{problem:#}");
    for (question, status, code) in [
        (later, 400, "question_malformed"),
        ("{}".to_owned(), 400, "question_malformed"),
        ("x".repeat(5_000), 413, "question_too_large"),
    ] {
        let (got, problem) = ask(&url, &question).await;
        assert_eq!((got, &problem["code"]), (status, &json!(code)), "{problem:#}");
    }
    assert_eq!(ask(&url, &good).await.0, 200);
}

/// The end of an emergency lowers more flags than the head holds brakes for, and the configuration cannot be read. Without a
/// word of it, isolates with an older snapshot would send users to the new arm.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_says_if_its_brakes_do_not_reach_back() {
    const FLAGS: usize = 60;
    const BRAKES: usize = 48;
    let dynamodb = DynamoDb::start().await;
    let control = platform(&dynamodb, &[]).await;
    // After a failure a process reads again within an interval; a short one, so that this does not take long.
    control.store.write_pace(Pace { interval_ms: 1_000, ..Pace::default() }).await.expect("it is written");
    let server = ManagementServer::start(control).await;
    let flag = |number: usize| format!("  flag_{number}: {{ enabled: true, rollout_percentage: 100 }}\n");
    let flags: String = (0..FLAGS).map(flag).collect();
    server.client.apply(&format!("feature_flags:\n{flags}")).await.expect(200);
    let declared =
        server.client.post("/emergency/rollback", &json!({ "reason": "errors" })).await.expect(200);
    let held = declared.body["revision"].as_u64().expect("a revision");
    let at_zero = json!({ "reason": "over", "percentage": 0 });
    server.client.post("/emergency/clear", &at_zero).await.expect(200);
    let asked = Server::start(ask_function::router(connected(&dynamodb.url(), &[]))).await;
    let answered = async |held: u64| {
        let (status, answer) = ask(&asked.url(), &Question::since(Revision(held)).encode()).await;
        assert_eq!(status, 200, "{answer:#}");
        answer
    };
    dynamodb.throttle("Query", 100);
    let answer = answered(held).await;
    assert_eq!((&answer["emergency"], &answer["snapshot"]), (&Value::Null, &Value::Null), "{answer:#}");
    assert_eq!(answer["brakes"].as_array().map(Vec::len), Some(BRAKES), "{answer:#}");
    assert_eq!(answer["brakes_after"], json!(held + 1), "{answer:#}");
    // Who holds that revision knows of every flag.
    assert_eq!(answered(held + 1).await["brakes_after"], Value::Null);
    dynamodb.proxy.forget_next();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !answered(held).await["snapshot"].is_string() {
        assert!(Instant::now() < deadline, "the snapshot does not come");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// One of the answers has the snapshot derived. No brake reaches into another epoch, so that isolates without the snapshot would
/// send nobody to the new arm.
#[tokio::test(flavor = "multi_thread")]
async fn of_several_questions_at_once_none_is_answered_without_a_snapshot_that_it_needs() {
    let dynamodb = DynamoDb::start().await;
    let server = ManagementServer::start(platform(&dynamodb, &[]).await).await;
    let flags = "feature_flags: { one: { enabled: true, rollout_percentage: 100 } }\n";
    server.client.apply(flags).await.expect(200);
    server.client.send("POST", "/restore", &[], None).await.expect(200);
    let asked = Server::start(ask_function::router(connected(&dynamodb.url(), &[]))).await;
    // The configuration is read at the third attempt, so that all others come meanwhile.
    dynamodb.throttle("Query", 2);
    let (url, question) = (asked.url(), Question::since(Revision(1)).encode());
    for (status, answer) in join_all((0..8).map(|_| ask(&url, &question))).await {
        assert_eq!((status, &answer["revision"], answer["brakes_after"].is_u64()), (200, &json!(2), true));
        assert!(answer["snapshot"].is_string(), "{answer:#}");
    }
}

/// At a change all processes hear of it within seconds, and the configuration is one partition, which refuses what is too
/// much. Answers go out without the snapshot then, and it is not read for each of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_brake_is_answered_while_the_configuration_cannot_be_read() {
    const REFUSED: usize = 100;
    let dynamodb = DynamoDb::start().await;
    let control = platform(&dynamodb, &[]).await;
    // The processes derive the snapshot within an interval between reports; a short one, so that this does not take long.
    control.store.write_pace(Pace { interval_ms: 1_000, ..Pace::default() }).await.expect("it is written");
    let server = ManagementServer::start(control).await;
    let flags = "feature_flags: { one: { enabled: true, rollout_percentage: 100 } }\n";
    server.client.apply(flags).await.expect(200);
    let lowered = server.client.put("/flags/one/rollout", &json!({ "percentage": 5 })).await.expect(200);
    let revision = lowered.body["revision"].as_u64().expect("a revision");
    let asked = Server::start(ask_function::router(connected(&dynamodb.url(), &[]))).await;
    let braked = async |behind_ms: u64| {
        let isolate = Some("a".repeat(32));
        let question = Question { isolate, behind_ms, ..Question::since(Revision(revision - 1)) };
        let started = Instant::now();
        let (status, answer) = ask(&asked.url(), &question.encode()).await;
        assert_eq!((status, &answer["brakes"][0]["rollout"]), (200, &json!(5.0)), "{answer:#}");
        assert!(started.elapsed() < Duration::from_secs(2), "it took {:?}", started.elapsed());
        answer
    };
    dynamodb.throttle("Query", REFUSED);
    assert_eq!(braked(0).await["snapshot"], Value::Null);
    assert_eq!(
        dynamodb.proxy.awaited(),
        REFUSED,
        "the brake is enough for an isolate that has just heard of it"
    );
    let deadline = Instant::now() + Duration::from_secs(60);
    while dynamodb.proxy.awaited() == REFUSED {
        assert!(Instant::now() < deadline, "the snapshot is never read");
        assert_eq!(braked(5_000).await["snapshot"], Value::Null);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let left = dynamodb.proxy.awaited();
    for _ in 0..3 {
        braked(5_000).await;
    }
    assert_eq!(dynamodb.proxy.awaited(), left, "it is read again without a pause");
    dynamodb.proxy.forget_next();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !braked(5_000).await["snapshot"].is_string() {
        assert!(Instant::now() < deadline, "the snapshot does not come");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // Who asks now is given it at once: nothing has to be read for it.
    assert!(braked(0).await["snapshot"].is_string());
}
