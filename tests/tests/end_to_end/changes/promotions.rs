//! Promotions by hand: one step for each command, and not past what holds the automatic one.

use super::api::{Api, FLAG};
use cutover_tests::{
    client::Answer,
    command::cutover_at,
    fault_proxy::{Fault, FaultProxy},
};
use serde_json::{Value, json};

impl Api {
    async fn promote(&self, target: &Value) -> Answer {
        self.root().post(&format!("/canary/{FLAG}/promote"), target).await
    }

    async fn steer(&self, verb: &str) -> Answer {
        self.root().send("POST", &format!("/canary/{FLAG}/{verb}"), &[], None).await
    }

    async fn step(&self) -> u64 {
        let status = self.root().get(&format!("/canary/{FLAG}")).await.expect(200).body;
        status["step"].as_u64().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_to_a_target_is_repeatable() {
    let api = Api::start(&[]).await;
    api.steer("start").await.expect(201);
    for target in [json!({ "to_step": 1 }), json!({ "to_percentage": 25 })] {
        let first = api.promote(&target).await.expect(200).body;
        assert_eq!((&first["step"], &first["percentage"]), (&json!(1), &json!(25.0)));
        assert_eq!(api.promote(&target).await.expect(200).body["revision"], first["revision"]);
    }
    assert_eq!(api.promote(&json!({ "to_step": 3 })).await.expect(409).body["code"], "canary_moved");
    assert_eq!(api.promote(&json!({ "to_percentage": 100 })).await.expect(409).body["code"], "canary_moved");
    for wrong in
        [json!({ "to_percentage": 26 }), json!({ "to_step": 2, "to_percentage": 50 }), json!({ "to": 2 })]
    {
        api.promote(&wrong).await.expect(422);
    }
    assert_eq!(api.step().await, 1);
    // Without a target each request is a step.
    for step in [2, 3] {
        assert_eq!(api.steer("promote").await.expect(200).body["step"], step);
    }
    api.steer("rollback").await.expect(200);
    assert_eq!(api.promote(&json!({ "to_step": 3 })).await.expect(409).body["code"], "canary_state");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_waits_for_what_the_automatic_one_waits_for() {
    let api = Api::start(&[]).await;
    let mut file = api.root().get("/config").await.expect(200).body;
    file["canary_deployments"][FLAG]["approval_before"] = json!([25]);
    api.root().put("/config", &file).await.expect(200);
    api.steer("start").await.expect(201);
    let held = api.steer("promote").await.expect(409).body;
    assert_eq!(held["code"], "approval_needed");
    assert!(held["hint"].as_str().unwrap().contains("canary approve"), "{held:#}");
    api.steer("approve").await.expect(200);
    let switch = async |verb: &str| {
        api.root().send("POST", &format!("/flags/{FLAG}/{verb}"), &[], None).await.expect(200);
    };
    switch("disable").await;
    let held = api.steer("promote").await.expect(409).body;
    assert_eq!((&held["code"], &held["hint"]), (&json!("flag_disabled"), &json!("enable the flag first")));
    switch("enable").await;
    assert_eq!(api.steer("promote").await.expect(200).body["step"], 1);
    // The step after that needs no approval.
    assert_eq!(api.steer("promote").await.expect(200).body["step"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_whose_response_is_lost_is_sent_again_and_is_one_step() {
    let api = Api::start(&[]).await;
    api.steer("start").await.expect(201);
    let front = FaultProxy::start(api.server.address).await;
    let lose = || front.on_next("idempotency-key", "", Fault::Lost);
    for (arguments, step) in
        [(&["canary", "promote", FLAG][..], 1), (&["canary", "promote", FLAG, "--to", "50"][..], 2)]
    {
        lose();
        let done = cutover_at(&front.url(), arguments).await;
        assert_eq!(done.code, 0, "{}", done.err);
        assert!(done.err.contains("HTTP status 502; trying again in"), "{}", done.err);
        assert_eq!(api.step().await, step, "{arguments:?}");
    }
    lose();
    let done = cutover_at(&front.url(), &["canary", "promote", FLAG, "--no-retry"]).await;
    assert_eq!(done.code, 1, "{}", done.err);
    assert!(done.err.contains("the change may have been made"), "{}", done.err);
    assert_eq!(api.step().await, 3);
    // A refusal for the moment, which is no failure of the command.
    let busy = json!({ "status": 429, "code": "too_many_requests", "detail": "slow down", "hint": "wait" });
    let busy = Fault::Answer(429, "application/problem+json", busy.to_string().into());
    front.on_next("idempotency-key", "", busy);
    let done = cutover_at(&front.url(), &["canary", "rollback", FLAG]).await;
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.err.contains("HTTP status 429; trying again in"), "{}", done.err);
}
