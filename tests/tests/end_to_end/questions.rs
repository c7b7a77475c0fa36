//! Questions of isolates: signed, answered with the state of the control plane, and not stored.

use cutover_core::{Revision, measurement::question::Question};
use cutover_tests::{
    question::{ask, ask_with},
    recorder::Mode,
    stack::{Options, Stack},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};

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
    let (_, answer) = ask(&url, &question(revision - 1)).await;
    let brake = json!({
        "revision": revision, "flag": "graphql_reviews_read", "enabled": true, "rollout": 5.0
    });
    assert_eq!(answer["brakes"], json!([brake]), "{answer:#}");
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
