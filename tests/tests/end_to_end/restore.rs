//! The restore drill: the table is replaced by a backup of itself while an isolate holds a later revision.
//!
//! Without epochs the first wait fails: revisions count on from the backup's, so the isolate takes the changes after the
//! restore for old ones, and hears of none of them, nor of an emergency. The stale entity tag fits then too, because the flag
//! has that version again, and the stale idempotency key is answered with what was true before the restore.

use axum::body::Bytes;
use cutover_core::Snapshot;
use cutover_tests::{
    client::{Answer, Management},
    fault_proxy::Fault,
    http, is_deep,
    stack::{Options, Stack},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

const PATH: &str = "/api/v1/offers/0/reviews";

/// Unix second from which the phases of experiments are numbered after a restore.
const START_OF_2025: u64 = 1_735_689_600;

/// Changes that the backup does not have.
const LOST: u64 = 20;

fn configuration(stack: &Stack) -> String {
    let (old, new) = (stack.legacy.url(), stack.new.url());
    format!(
        "feature_flags:
  plain: {{ enabled: true, rollout_percentage: 100 }}
  climbing: {{ enabled: true, rollout_percentage: 0 }}
experiments:
  wording: {{ name: Wording, variants: {{ a: A, b: B }} }}
canary_deployments:
  climbing:
    initial_percentage: 5
    promotion_steps: [50, 100]
    step_duration_minutes: 60
    success_criteria: {{ max_error_rate: 0.05, max_response_time_p95: 300 }}
    rollback_criteria: {{ max_error_rate: 0.1, max_response_time_p95: 500 }}
origins:
  old: {{ url: \"{old}\" }}
  new: {{ url: \"{new}\" }}
routes:
  - {{ id: plain, match: {{ path: \"{PATH}\" }}, flag: plain, legacy: old, new: new }}
  - {{ id: climbing, match: {{ path: \"/api/v1/offers/1/reviews\" }}, flag: climbing, legacy: old, new: new }}
"
    )
}

/// Sets the share of the flag without a canary, with further headers.
async fn set_share(management: &Management, percentage: u32, more: &[(&str, &str)]) -> Answer {
    let mut headers = vec![("content-type", "application/json")];
    headers.extend_from_slice(more);
    let body = json!({ "percentage": percentage }).to_string();
    management.send("PUT", "/flags/plain/rollout", &headers, Some(&body)).await
}

/// Requests the path until a response has this arm, and this reason if one is given.
async fn until_decided(stack: &Stack, arm: &str, reason: Option<&str>) {
    // A question each 4.8 s, and the way. A busy machine takes longer.
    let patience = Duration::from_secs(if is_deep() { 6 } else { 12 });
    let started = Instant::now();
    loop {
        let answer = http::get(stack.edge.port(), PATH, &[("x-user-id", "u1")]).await;
        let decided = (answer.header("x-cutover-arm"), answer.header("x-cutover-reason"));
        if decided.0.as_deref() == Some(arm)
            && reason.is_none_or(|reason| decided.1.as_deref() == Some(reason))
        {
            return;
        }
        assert!(started.elapsed() < patience, "{decided:?} instead of {arm} {reason:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn number(body: &Value, name: &str) -> u64 {
    body[name].as_u64().unwrap_or_else(|| panic!("no number {name}: {body:#}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_table_is_followed_by_isolates_that_hold_a_later_revision() {
    let worker_variables = BTreeMap::from([("REPORT_INTERVAL_MS", "60000".to_owned())]);
    let stack = Stack::start(Options { worker_variables, ..Options::default() }).await;
    let management = stack.management();
    management.apply(&configuration(&stack)).await.expect(200);
    management.send("POST", "/canary/climbing/start", &[], None).await.expect(201);
    let before = set_share(&management, 99, &[("idempotency-key", "stale")]).await.expect(200);
    let backup = stack.dynamodb.items();
    // Stopped since the backup, which still has it running.
    management.post("/experiments/wording/stop", &json!({ "reason": "enough" })).await.expect(200);
    let mut lost_tags = Vec::new();
    for change in 1..=LOST {
        let share = if change % 2 == 0 { 100 } else { 98 };
        lost_tags.extend(set_share(&management, share, &[]).await.expect(200).etag);
    }
    stack.edge_holds(number(&before.body, "revision") + LOST + 1).await;
    until_decided(&stack, "new", None).await;

    stack.dynamodb.restore(&backup);
    stack.edge.kv().on_writes(Some(Fault::Answer(500, "application/json", Bytes::from_static(b"{}"))));
    let restore = async || management.send("POST", "/restore", &[("idempotency-key", "restore")], None).await;
    let restored = restore().await.expect(200);
    assert_eq!(restored.body["paused"], json!(["climbing"]), "{:#}", restored.body);
    assert_eq!(restored.body["paused_experiments"], json!(["wording"]), "{:#}", restored.body);
    assert_eq!(management.get("/experiments/wording").await.expect(200).body["state"], "paused");
    assert_eq!(number(&restored.body, "revision"), number(&before.body, "revision") + 1);
    let epoch = number(&restored.body, "epoch");
    let again = restore().await.expect(200);
    assert_eq!((again.replayed, number(&again.body, "epoch")), (true, epoch));

    // A change and an emergency, fewer than the changes that were lost, with Workers KV frozen.
    let (changed, ()) = tokio::join!(set_share(&management, 0, &[]), until_decided(&stack, "legacy", None));
    let changed = changed.expect(200);
    let drill = json!({ "reason": "drill" });
    let (declared, ()) = tokio::join!(
        management.post("/emergency/rollback", &drill),
        until_decided(&stack, "legacy", Some("EMERGENCY"))
    );
    declared.expect(200);
    stack.edge.kv().on_writes(None);
    management.post("/emergency/clear", &drill).await.expect(200);

    // The flag has versions again that it had in the changes that were lost. Their entity tags do not fit.
    let version = number(&changed.body, "version");
    assert_eq!(changed.etag, Some(format!("\"{version}e{epoch}\"")));
    let current = management.get("/flags/plain").await.expect(200);
    let stale = format!("\"{}\"", number(&current.body, "version"));
    assert!(lost_tags.contains(&stale), "{stale} is none of {lost_tags:?}");
    set_share(&management, 98, &[("if-match", &stale)]).await.expect(412);
    let fits = current.etag.unwrap();
    set_share(&management, 98, &[("if-match", &fits)]).await.expect(200);
    let anew = set_share(&management, 99, &[("idempotency-key", "stale")]).await.expect(200);
    assert!(!anew.replayed && number(&anew.body, "revision") > number(&restored.body, "revision"));

    stack.tick().await;
    let run = management.get("/canary/climbing").await.expect(200).body;
    assert_eq!((&run["state"], &run["reason"]), (&json!("paused"), &json!("restored")), "{run:#}");
    let cursor = stack.dynamodb.items().into_iter().find(|item| item["sk"]["S"] == "CURSOR").unwrap();
    let cursor: Value = serde_json::from_str(cursor["data"]["S"].as_str().unwrap()).unwrap();
    assert_eq!(number(&cursor, "epoch"), epoch, "{cursor:#}");
    assert!(cursor["gaps"]["climbing"].is_object(), "{cursor:#}");
    let verified = management.get("/audit/verify").await.expect(200).body;
    assert_eq!(verified["fault"], Value::Null, "{verified:#}");
    let records = management.get("/audit?action=restore").await.expect(200).body;
    assert_eq!(records["records"][0]["epoch"], json!(epoch), "{records:#}");
    let published = Snapshot::decode(&stack.edge.store().get("snapshot").unwrap()).unwrap();
    assert_eq!((published.epoch.0, published.revision.0), (epoch, number(&anew.body, "revision")));
    assert!(published.deployment.is_some());

    // Reports of phases that are not in the backup may still arrive, so no number of theirs comes back.
    let wording = management.get("/experiments/wording").await.expect(200).body;
    let started = management.send("POST", "/experiments/wording/start", &[], None).await.expect(200).body;
    assert_eq!(number(&wording, "phase"), 1);
    assert_eq!(number(&started, "phase"), epoch - START_OF_2025);
}
