//! Publication to a Workers KV that takes one write a second and makes some of them late.

use cutover_core::Snapshot;
use cutover_tests::{
    canary::{Canary, FLAG, plan},
    stack::{Options, Stack},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

const ROLLOUT: &str = "/flags/graphql_reviews_read/rollout";

/// Starts a stack whose functions have these variables, with the example configuration as revision 1.
async fn started(variables: &[(&'static str, &str)], processes: usize) -> Stack {
    let function_variables: BTreeMap<&str, String> =
        variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let options = Options { function_variables, management_processes: processes, ..Options::default() };
    let stack = Stack::start(options).await;
    stack.management().apply(&stack.dev_configuration()).await.expect(200);
    stack
}

fn held(stack: &Stack) -> u64 {
    let text = stack.edge.store().get("snapshot").expect("a snapshot was published");
    Snapshot::decode(&text).expect("what is published is whole").revision.0
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_faster_than_kv_takes_them_are_published_together() {
    let stack = started(&[("CUTOVER_KV_INTERVAL_MS", "1100")], 3).await;
    let store = stack.edge.store();
    store.limit_writes(Duration::from_secs(1));
    let before = store.writes();
    let changes: Vec<_> = (0..6_u32)
        .map(|change| {
            let management = stack.management();
            let body = json!({ "percentage": 30 + change });
            tokio::spawn(async move { management.put(ROLLOUT, &body).await.expect(200).body })
        })
        .collect();
    for change in changes {
        let body = change.await.unwrap();
        // On a busy machine one may give up waiting, and says so.
        assert!(body["published"] == true || body["unpublished_because"].is_string(), "{body:#}");
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    while held(&stack) < 7 {
        assert!(Instant::now() < deadline, "the newest change is not published");
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        // Workers KV may refuse it for coming too soon.
        let _ = stack.lambda.tick("promote").await;
    }
    assert!(store.writes() - before <= 6, "each write is one that KV took");
    // A change that changes nothing needs no write, and waits for none.
    let (before, started) = (store.writes(), Instant::now());
    let share = stack.management().get("/flags/graphql_reviews_read").await.expect(200).body;
    let same = json!({ "percentage": share["rollout_percentage"] });
    let body = stack.management().put(ROLLOUT, &same).await.expect(200).body;
    assert_eq!((&body["revision"], &body["published"]), (&json!(7), &json!(true)));
    assert_eq!(store.writes(), before, "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_says_why_nothing_was_published() {
    let stack = started(&[], 1).await;
    // Longer than an answer waits.
    stack.edge.store().limit_writes(Duration::from_secs(600));
    let body = stack.management().put(ROLLOUT, &json!({ "percentage": 40 })).await.expect(200).body;
    assert_eq!((&body["revision"], &body["published"]), (&json!(2), &json!(false)));
    assert!(body["unpublished_because"].as_str().unwrap().contains("one write a second"), "{body:#}");
    assert_eq!(held(&stack), 1);
    stack.edge.store().limit_writes(Duration::ZERO);
    assert_eq!(stack.lambda.tick("promote").await.unwrap()["published"], true);
    assert_eq!(held(&stack), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn canaries_that_move_in_one_tick_are_published_once() {
    const OTHER: &str = "graphql_offers_read";
    let one = plan(50.0, &[100.0], "").replace("0.03", "60");
    let canary = Canary::start(&format!("{one}{}", one.replace(FLAG, OTHER)), Options::default()).await;
    let management = canary.stack.management();
    for flag in [FLAG, OTHER] {
        management.send("POST", &format!("/canary/{flag}/start"), &[], None).await.expect(201);
    }
    // Another plan begins another run of each.
    let mut config = management.get("/config").await.expect(200).body;
    for flag in [FLAG, OTHER] {
        config["canary_deployments"][flag]["bake_minutes"] = json!(7);
    }
    management.put("/config", &config).await.expect(200);
    let before = canary.stack.edge.store().writes();
    let tick = canary.stack.lambda.tick("promote").await.unwrap();
    for flag in [FLAG, OTHER] {
        assert_eq!(tick["canaries"][flag]["action"], "restart", "{tick:#}");
    }
    assert_eq!(canary.stack.edge.store().writes() - before, 1);
    assert_eq!(json!(held(&canary.stack)), tick["revision"]);
}

/// The write of revision 2 is made some seconds after its publisher stopped waiting for it, when KV holds revision 3.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_made_late_does_not_stay() {
    let stack = started(&[("CUTOVER_KV_TIMEOUT_MS", "1000")], 1).await;
    stack.edge.store().delay_next_write(Duration::from_secs(10));
    let late = Instant::now() + Duration::from_secs(10);
    // The publisher reads back, and writes again.
    let change = async |percentage: u32| -> Value {
        stack.management().put(ROLLOUT, &json!({ "percentage": percentage })).await.expect(200).body
    };
    let body = change(40).await;
    assert_eq!((&body["published"], held(&stack)), (&json!(true), 2), "{body:#}");
    let body = change(50).await;
    assert_eq!((&body["published"], held(&stack)), (&json!(true), 3), "{body:#}");
    assert!(Instant::now() < late, "this machine is too slow to make the first write late");
    let deadline = late + Duration::from_secs(30);
    while held(&stack) != 2 {
        assert!(Instant::now() < deadline, "the late write is not made");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The record says that revision 3 is published; KV itself is read.
    let tick = stack.lambda.tick("promote").await.unwrap();
    assert_eq!((&tick["found"], &tick["published"]), (&json!(2), &json!(true)));
    assert_eq!(held(&stack), 3);
}
