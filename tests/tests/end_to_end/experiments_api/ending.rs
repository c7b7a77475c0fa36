//! The end of an experiment at the edge while Workers KV is frozen: its users leave the new arm by a brake.

use super::experiment;
use crate::kill_switch::{configuration, freeze_kv, news, until_decided, with_ballast, without_reports};
use cutover_tests::{http, stack::Stack};
use serde_json::json;

/// The snapshot is too large for answers: isolates have the brake alone.
#[tokio::test(flavor = "multi_thread")]
async fn users_of_an_experiment_that_ends_leave_the_new_arm_in_seconds_while_kv_is_frozen() {
    let stack = Stack::start(without_reports()).await;
    let management = stack.management();
    let text = configuration(&stack).replace(
        "flag_0: { enabled: true, rollout_percentage: 100 }",
        "flag_0: { enabled: true, rollout_percentage: 0 }",
    );
    management.apply(&with_ballast(&text)).await.expect(200);
    let mut running = experiment("flag_0");
    running["state"] = json!("running");
    management.put("/experiments/e", &running).await.expect(201);
    // The user of the requests is in a variant; whichever it is, it is on the new arm.
    let variant = management.get("/experiments/e/assign/u1").await.expect(200).body["variant"].clone();
    for written in running["variants"].as_array_mut().unwrap() {
        written["arm"] = json!(if written["key"] == variant { "new" } else { "legacy" });
    }
    management.put("/experiments/e", &running).await.expect(200);
    let path = "/api/v1/offers/0/reviews";
    let ends = [("pause", None), ("stop", Some(json!({ "reason": "errors" }).to_string()))];
    for (verb, body) in ends {
        let held = management.get("/experiments").await.expect(200).body["revision"].as_u64();
        until_decided(&stack, path, ("new", "EXPERIMENT")).await;
        stack.edge_holds(held.unwrap()).await;
        freeze_kv(&stack);
        let headers = [("content-type", "application/json")];
        let end = format!("/experiments/e/{verb}");
        management.send("POST", &end, &headers, body.as_deref()).await.expect(200);
        let took = until_decided(&stack, path, ("legacy", "BRAKED")).await;
        assert!(took <= news(), "{verb}: {took:?}");
        let health = http::edge_health(stack.edge.port()).await;
        assert_eq!(
            health["revision"].as_u64(),
            held,
            "{verb}: it was not the snapshot that brought the news"
        );
        // Other flags are as they were, and the snapshot releases the brake.
        until_decided(&stack, "/api/v1/offers/1/reviews", ("new", "ROLLOUT")).await;
        stack.edge.kv().on_writes(None);
        if verb == "pause" {
            management.send("POST", "/experiments/e/start", &[], None).await.expect(200);
        }
    }
    management.send("POST", "/publication", &[], None).await.expect(200);
    until_decided(&stack, path, ("legacy", "ROLLOUT")).await;
}
