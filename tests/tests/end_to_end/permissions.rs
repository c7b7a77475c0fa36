//! The policies of infra against what the functions really do: nothing missing, nothing unused. One stack goes through
//! everything that Cutover does, and every call of DynamoDB is noted with the function that made it, and evaluated by a
//! simulator of IAM. What no function does is denied.

mod append_only;
pub(crate) mod deployed;
mod table;

use axum::body::Bytes;
use cutover_core::{
    Arm, Revision,
    measurement::{batch::Batch, health::OpenOrigin, question::Question},
};
use cutover_tests::{
    batches::{cell, counts, store_batch},
    canary::{Canary, FLAG, PATH, errors, plan, slow},
    client::Management,
    dynamodb::{DynamoDb, TABLE},
    experiments::Counted,
    fault_proxy::Fault,
    functions,
    iam::role::{Partitions, arrivals_permissions, permissions},
    question::ask,
    recorder::{Mode, Recorder},
    stack::{Options, Stack},
    steady::Steady,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

#[tokio::test(flavor = "multi_thread")]
async fn every_function_may_do_what_it_does_and_nothing_else() {
    let mut canary = Canary::start(
        &plan(5.0, &[50.0, 100.0], ""),
        Options {
            permissions: Some(Mode::Record),
            function_variables: BTreeMap::from([
                ("CUTOVER_ISOLATE_SILENCE_MS", "3000".to_owned()),
                ("CUTOVER_TWO_PERSON", "true".to_owned()),
            ]),
            ..Options::default()
        },
    )
    .await;
    by_hand(&canary.stack.management()).await;
    second_person(&canary.stack).await;
    deleted_flags(&canary.stack).await;
    stopped_experiments(&canary.stack).await;
    by_itself(&mut canary).await;

    let mut differences = Vec::new();
    for (function, recorder) in &canary.stack.recorders {
        let allowed = permissions(function);
        // No policy can demand the condition of a put.
        let appended = recorder.appended();
        assert_eq!(appended.unconditional, Vec::<String>::new(), "{function} may write over audit records");
        let may_append =
            allowed.get("dynamodb:PutItem").is_some_and(|partitions| partitions.contains("AUDIT"));
        assert_eq!(appended.new > 0, may_append, "{function}");
        let done = recorder.calls();
        let on_arrivals = arrivals_permissions(function);
        if recorder.on_arrivals() != on_arrivals {
            differences
                .push(format!("{function}: {:?} on batches, not {on_arrivals:?}", recorder.on_arrivals()));
        }
        println!("{function}: {}", json!(done));
        for (missing, what) in [(minus(&done, &allowed), "missing"), (minus(&allowed, &done), "unused")] {
            differences.extend(missing.into_iter().map(|call| format!("{function}: {call} is {what}")));
        }
    }
    assert_eq!(differences, Vec::<String>::new(), "infra/policies do not say what the functions do");
    assert_eq!(canary.stack.denied(), Vec::<String>::new(), "IAM would have denied what a function needs");
}

/// A signature as far as DynamoDB's API looks at it.
const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, \
                             SignedHeaders=host, Signature=0";

/// Sends a call to an endpoint of DynamoDB. Returns the status and the body.
async fn call(endpoint: &str, operation: &str, body: &Value) -> (u16, Value) {
    let request = reqwest::Client::new()
        .post(endpoint)
        .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-date", "20260101T000000Z")
        .header("authorization", AUTHORIZATION)
        .body(body.to_string());
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_str(&response.text().await.unwrap()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_not_allowed_is_refused_as_aws_refuses_it() {
    let dynamodb = DynamoDb::start().await;
    let everything = functions::platform(&dynamodb, &[]).await.store;
    let recorder = Recorder::start(dynamodb.url(), "promote", Mode::Enforce).await;

    // The SDK, as the function uses it: what is allowed passes, and the rest is an error that names the permission.
    let promote = functions::connected(&recorder.url(), &[]).store;
    promote.head().await.unwrap();
    let refused = promote.tokens().await.unwrap_err().to_string();
    let permission = "is not authorized to perform: dynamodb:Query on resource: \
                      arn:aws:dynamodb:us-east-1:123456789012:table/cutover";
    assert!(refused.contains("AccessDeniedException") && refused.contains(permission), "{refused}");
    everything.tokens().await.unwrap();

    // A transaction with one item that is not allowed is refused as a whole.
    let item = |partition: &str| {
        let item = json!({ "pk": { "S": partition }, "sk": { "S": "1" } });
        json!({ "Put": { "TableName": TABLE, "Item": item } })
    };
    let get = json!({ "TableName": TABLE, "Key": { "pk": { "S": "LEDGER#f" }, "sk": { "S": "1" } } });
    let mixed = json!({ "TransactItems": [item("LEDGER#f"), item("TOKENS")] });
    let (status, body) = call(&recorder.url(), "TransactWriteItems", &mixed).await;
    assert_eq!((status, &body["__type"]), (400, &json!("com.amazon.coral.service#AccessDeniedException")));
    assert!(body["Message"].as_str().unwrap().contains("dynamodb:PutItem"), "{body:#}");
    assert_eq!(call(&dynamodb.url(), "GetItem", &get).await.1["Item"], Value::Null, "it wrote a part");
    let allowed = json!({ "TransactItems": [item("LEDGER#f")] });
    let (status, body) = call(&recorder.url(), "TransactWriteItems", &allowed).await;
    assert_eq!(status, 200, "{body:#}");
    assert_eq!(call(&dynamodb.url(), "GetItem", &get).await.1["Item"]["pk"], json!({ "S": "LEDGER#f" }));

    let table = "arn:aws:dynamodb:us-east-1:123456789012:table/cutover";
    let denied = ["Query of [TOKENS]", "PutItem of [TOKENS]"];
    let denied = denied.map(|call| format!("promote: dynamodb:{call} in {table}"));
    assert_eq!(recorder.denied(), denied);
}

fn minus(these: &Partitions, those: &Partitions) -> Vec<String> {
    these
        .iter()
        .flat_map(|(action, partitions)| partitions.iter().map(move |partition| (action, partition)))
        .filter(|(action, partition)| {
            !those.get(*action).is_some_and(|partitions| partitions.contains(*partition))
        })
        .map(|(action, partition)| format!("{action} on {partition}"))
        .collect()
}

/// Everything that a person can ask the management API.
async fn by_hand(root: &Management) {
    let send = async |method: &str, path: &str, body: Option<Value>, expected: u16| {
        let key = format!("{method} {path}");
        let key = [("idempotency-key", key.as_str())];
        let headers: &[(&str, &str)] = if method == "GET" { &[] } else { &key };
        let body = body.map(|body| body.to_string());
        root.send(method, path, headers, body.as_deref()).await.expect(expected).body
    };
    send("PUT", "/flags/mine", Some(json!({ "enabled": true })), 201).await;
    send("PUT", "/flags/mine/rollout", Some(json!({ "percentage": 1 })), 200).await;
    send("POST", "/flags/mine/disable", None, 200).await;
    send("POST", "/flags/mine/enable", None, 200).await;
    send("DELETE", "/flags/mine", None, 200).await;
    for path in [
        "/flags",
        &format!("/flags/{FLAG}"),
        &format!("/flags/{FLAG}/explain?user=u"),
        "/canary",
        &format!("/canary/{FLAG}"),
        "/status",
        "/metrics",
        "/audit",
        "/audit/verify?after=1",
        "/audit/1/changes",
        "/comparisons",
        "/config",
        "/tokens",
        "/changes",
        "/whoami",
    ] {
        send("GET", path, None, 200).await;
    }
    root.send("GET", "/metrics", &[("accept", "text/plain")], None).await.expect(200);
    send("POST", "/emergency/rollback", Some(json!({ "reason": "drill" })), 200).await;
    send("POST", "/emergency/clear", Some(json!({ "reason": "drill" })), 200).await;
    let steer = async |action: &str, expected: u16| {
        send("POST", &format!("/canary/{FLAG}/{action}"), None, expected).await
    };
    let started = steer("start", 201).await;
    steer("pause", 200).await;
    steer("resume", 200).await;
    steer("approve", 200).await;
    steer("promote", 200).await;
    steer("rollback", 200).await;
    let run = started["run"].as_str().expect("a run").to_owned();
    send("GET", &format!("/canary/{FLAG}/runs"), None, 200).await;
    let records = format!("/canary/{FLAG}/runs/{run}/records");
    let answer = root.get(&records).await;
    assert!([200, 404].contains(&answer.status), "{answer:?}");
    let made = send("POST", "/tokens", Some(json!({ "name": "lead", "role": "viewer" })), 201).await;
    let id = made["id"].as_str().expect("an id").to_owned();
    send("POST", &format!("/tokens/{id}/rotate"), Some(json!({ "grace_seconds": 0 })), 201).await;
    send("DELETE", &format!("/tokens/{id}"), None, 200).await;
}

/// A change that waits, one that is agreed to, one that is given up, one that lapses.
async fn second_person(stack: &Stack) {
    let root = stack.management();
    let mut people = Vec::new();
    for name in ["one", "two"] {
        let made = root.post("/tokens", &json!({ "name": name, "role": "operator" })).await.expect(201);
        people.push(root.with_token(made.body["token"].as_str().expect("a secret")));
    }
    let asked =
        people[0].put(&format!("/flags/{FLAG}/rollout"), &json!({ "percentage": 3 })).await.expect(202);
    let path = format!("/changes/{}", asked.body["change"].as_str().expect("an id"));
    people[1].get(&path).await.expect(200);
    people[1].send("POST", &format!("{path}/approve"), &[], None).await.expect(200);
    let asked =
        people[0].put(&format!("/flags/{FLAG}/rollout"), &json!({ "percentage": 4 })).await.expect(202);
    let path = format!("/changes/{}", asked.body["change"].as_str().expect("an id"));
    people[0].send("DELETE", &path, &[], None).await.expect(200);
    let asked =
        people[0].put(&format!("/flags/{FLAG}/rollout"), &json!({ "percentage": 5 })).await.expect(202);
    stack.expire(asked.body["change"].as_str().expect("an id"));
    stack.lambda.tick("promote").await.expect("promote answers");
}

/// Flags that were counted and are deleted: whoever evaluates then removes their ledgers.
async fn deleted_flags(stack: &Stack) {
    let (root, store) = (stack.management(), functions::connected(&stack.dynamodb.url(), &[]).store);
    let evaluate = async |function: &str| {
        stack.dynamodb.lapse_lease();
        stack.lambda.tick(function).await.expect("the function answers");
    };
    for (isolate, function) in ["evaluate", "promote"].into_iter().enumerate() {
        let path = format!("/flags/{function}");
        root.put(&path, &json!({ "enabled": true })).await.expect(201);
        let cells = vec![cell(function, None, Arm::Legacy, counts(1, 0))];
        store_batch(&store, &Batch { cells, ..Batch::empty(format!("{isolate:032x}"), 1) }).await;
        evaluate(function).await;
        root.send("DELETE", &path, &[], None).await.expect(200);
        evaluate(function).await;
    }
}

/// Experiments whose guardrail fires: whoever evaluates then stops them, and removes their keys.
async fn stopped_experiments(stack: &Stack) {
    let (root, store) = (stack.management(), functions::connected(&stack.dynamodb.url(), &[]).store);
    for (isolate, function) in ["evaluate", "promote"].into_iter().enumerate() {
        let experiment = Counted::begin(&root, function).await;
        store_batch(&store, &experiment.harmed(format!("{:032x}", isolate + 16), 1)).await;
        stack.dynamodb.lapse_lease();
        stack.lambda.tick(function).await.expect("the function answers");
        let stopped = root.get(&format!("/experiments/{function}")).await.expect(200).body;
        assert_eq!(stopped["state"], "stopped", "{stopped:#}");
        let records = root.get(&format!("/experiments/{function}/records")).await.expect(200).body;
        assert!(!records["records"].as_array().unwrap().is_empty());
    }
}

/// A canary that climbs and comes back, isolates that report, fall silent and come again, a receiver that is down.
async fn by_itself(canary: &mut Canary) {
    canary.webhook.refuse(true);
    let traffic = canary.under_traffic(300.0).await;
    canary.tick_until("at the second step", 120, |status| status["step"] == 1).await;
    canary.new_fails(errors(0.5));
    canary.webhook.refuse(false);
    // Nobody else evaluates now.
    let deadline = Instant::now() + Duration::from_secs(60);
    let done = loop {
        canary.stack.dynamodb.lapse_lease();
        canary.stack.lambda.tick("promote").await.expect("promote answers");
        let status = canary.status().await;
        if status["state"] == "rolled_back" {
            break status;
        }
        assert!(Instant::now() < deadline, "not rolled back: {status:#}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    let run = done["run"].as_str().expect("a run").to_owned();
    canary.replayed(&run).await;
    traffic.stop().await;
    let stack = &canary.stack;
    // An isolate promises another batch only while requests are open.
    for origin in [&stack.legacy, &stack.new] {
        origin.control().set(slow(200));
    }
    // Ingest is down for a while, and isolates come back: a gap that is looked at, and taken back.
    let traffic = Steady::start(&stack.edge.ports(), &[PATH], 100.0);
    stack.dynamodb.stores_more_batches(1).await;
    stack.ingest.on_writes(Some(Fault::Answer(503, "text/plain", Bytes::from_static(b"down"))));
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        stack.tick().await;
        let status = stack.management().get("/status").await.expect(200).body;
        if status["measurement"]["unknown_isolates"] == 1 {
            break;
        }
        assert!(Instant::now() < deadline, "nobody notices that it is silent: {status:#}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    stack.ingest.on_writes(None);
    // An isolate that does not know of a change gets the whole snapshot with the answer to its report or question.
    stack.management().put(&format!("/flags/{FLAG}/rollout"), &json!({ "percentage": 2 })).await.expect(200);
    tokio::time::sleep(Duration::from_secs(2)).await;
    traffic.stop().await;
    for function in ["ask", "ingest"] {
        // It also holds an origin open, of which the other isolates may have to hear.
        let health = vec![OpenOrigin { origin: function.parse().expect("a name"), open_for_ms: 60_000 }];
        let question =
            Question { isolate: Some("d".repeat(32)), health, ..Question::since(Revision(0)) }.encode();
        let (status, answer) = ask(&stack.lambda.url(function), &question).await;
        assert!(status == 200 && answer["snapshot"].is_string(), "{function}: {status} {answer:#}");
    }
    // The receiver was down at first; what it missed comes again.
    let deadline = Instant::now() + Duration::from_secs(90);
    while canary.webhook.received().len() < 2 {
        assert!(Instant::now() < deadline, "nobody is told");
        stack.tick().await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    // A publication that KV refused is healed by the schedule.
    stack.edge.kv().on_writes(Some(Fault::Answer(429, "application/json", Bytes::from_static(b"{}"))));
    stack.management().put(&format!("/flags/{FLAG}/rollout"), &json!({ "percentage": 1 })).await.expect(200);
    stack.edge.kv().on_writes(None);
    stack.lambda.tick("promote").await.expect("promote answers");
}
