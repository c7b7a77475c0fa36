//! The life of an experiment, and who may change it.

use super::experiment;
use cutover_tests::{
    client::Management,
    stack::{Options, Stack},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const FLAG: &str = "graphql_reviews_write";

async fn started(variables: &[(&'static str, &str)]) -> Stack {
    let function_variables: BTreeMap<_, _> =
        variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let stack = Stack::start(Options { function_variables, ..Options::default().enforcing() }).await;
    stack.management().apply(&stack.dev_configuration()).await.expect(200);
    stack.management().send("POST", &format!("/flags/{FLAG}/enable"), &[], None).await.expect(200);
    stack
}

/// Sends a verb without a body to the experiment `e`.
async fn verb(management: &Management, verb: &str, status: u16) -> Value {
    management.send("POST", &format!("/experiments/e/{verb}"), &[], None).await.expect(status).body
}

#[tokio::test(flavor = "multi_thread")]
async fn experiments_live_and_die() {
    let stack = started(&[]).await;
    let management = stack.management();
    let made = management.put("/experiments/e", &experiment(FLAG)).await.expect(201);
    assert_eq!((&made.body["experiment"], &made.body["state"]), (&json!("e"), &json!("draft")));
    assert_eq!((&made.body["phase"], &made.body["salt"]), (&json!(1), &json!("e")));
    assert_eq!(made.body["slices"][0], json!({ "from": 0.0, "to": 50.0, "variant": "control" }));

    // What was read may be written back, and changes nothing.
    let read = management.get("/experiments/e").await.expect(200);
    assert_eq!(read.etag, made.etag);
    let again = management.put("/experiments/e", &read.body).await.expect(200);
    assert_eq!(again.body["revision"], made.body["revision"]);

    let assign = "/experiments/e/assign/user-1";
    let nobody = management.get(assign).await.expect(200).body;
    assert_eq!((&nobody["variant"], &nobody["outside"]), (&Value::Null, &json!("not_running")));
    assert_eq!(verb(&management, "start", 200).await["state"], "running");
    let known = management.get(assign).await.expect(200).body;
    let arm = if known["variant"] == "treatment" { "new" } else { "legacy" };
    assert_eq!((&known["experiment"], &known["user"]), (&json!("e"), &json!("user-1")));
    assert_eq!((&known["outside"], &known["arm"]), (&Value::Null, &json!(arm)));
    // The flag's own decision is that of the variant.
    let explained = management.get(&format!("/flags/{FLAG}/explain?user=user-1")).await.expect(200).body;
    assert_eq!((&explained["arm"], &explained["reason"]), (&json!(arm), &json!("EXPERIMENT")));

    // A change of the weights takes slices, salt and phase over.
    let mut weighted = experiment(FLAG);
    weighted["variants"][0]["traffic_percentage"] = json!(80);
    weighted["variants"][1]["traffic_percentage"] = json!(20);
    let tag = made.etag.as_deref().unwrap();
    let headers = [("if-match", tag), ("content-type", "application/json")];
    let late = management.send("PUT", "/experiments/e", &headers, Some(&weighted.to_string())).await;
    assert_eq!(late.expect(412).body["code"], "changed_meanwhile");
    let changed = management.put("/experiments/e", &weighted).await.expect(200).body;
    assert_eq!((&changed["state"], &changed["phase"]), (&json!("running"), &json!(2)));
    assert_eq!(changed["slices"][1], json!({ "from": 50.0, "to": 70.0, "variant": "treatment" }));

    let refused = management.send("DELETE", "/experiments/e", &[], None).await.expect(409).body;
    assert_eq!(refused["code"], "experiment_state");
    assert_eq!(verb(&management, "pause", 200).await["state"], "paused");
    assert_eq!(verb(&management, "pause", 409).await["code"], "experiment_state");
    verb(&management, "start", 200).await;
    let stop = |body: Value| {
        let management = management.clone();
        async move { management.post("/experiments/e/stop", &body).await }
    };
    assert_eq!(stop(json!({ "winner": "control" })).await.expect(422).body["field"], "reason");
    let unknown = stop(json!({ "reason": "done", "winner": "other" })).await.expect(422).body;
    assert_eq!(unknown["field"], "winner");
    let stopped = stop(json!({ "reason": "no effect", "decision": "keep it" })).await.expect(200).body;
    assert_eq!(stopped["state"], "stopped");
    assert_eq!(stopped["outcome"], json!({ "decision": "keep it" }), "nobody chose a winner");
    let flag = management.get(&format!("/flags/{FLAG}")).await.expect(200).body;
    assert_eq!(flag["rollout_percentage"], 0.0, "a stop rolls nothing out");

    let last = &management.get("/audit?object=ab_tests/e&limit=1").await.expect(200).body["records"][0];
    assert_eq!((&last["action"], &last["reason"]), (&json!("experiment.stop"), &json!("no effect")));
    assert_eq!(last["changes"][0]["fields"]["state"], json!(["running", "stopped"]));

    let listed = management.get("/experiments").await.expect(200).body;
    let names: Vec<_> =
        listed["experiments"].as_array().unwrap().iter().map(|one| &one["experiment"]).collect();
    assert_eq!(names, ["e", "graphql_migration_test"]);
    let in_use = management.send("DELETE", &format!("/flags/{FLAG}"), &[], None).await.expect(409).body;
    assert!(in_use["detail"].as_str().unwrap().contains("the experiment e"), "{in_use:#}");
    management.send("DELETE", "/experiments/e", &[], None).await.expect(200);
    assert_eq!(management.get("/experiments/e").await.expect(404).body["code"], "not_found");
    assert_eq!(management.get(assign).await.expect(404).body["code"], "not_found");

    // One of the same name has none of the phases of the deleted one, whose measurements may still arrive.
    assert_eq!(management.put("/experiments/e", &experiment(FLAG)).await.expect(201).body["phase"], 3);
    management.send("DELETE", "/experiments/e", &[], None).await.expect(200);
    let file =
        json!({ "ab_tests": { "e": { "name": "E", "phase": 2, "variants": { "a": "A", "b": "B" } } } });
    management.put("/config", &file).await.expect(200);
    assert_eq!(management.get("/experiments/e").await.expect(200).body["phase"], 4);
    management.put("/config?prune=true&allow_moving_users=true", &json!({})).await.expect(200);
    let words = json!({ "name": "E", "variants": { "a": "A", "b": "B" } });
    assert_eq!(management.put("/experiments/e", &words).await.expect(201).body["phase"], 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_experiment_that_exists_already_or_has_mistakes_is_not_saved() {
    let stack = started(&[]).await;
    let management = stack.management();
    let key = [("idempotency-key", "once"), ("content-type", "application/json")];
    let body = experiment(FLAG).to_string();
    let made = management.send("PUT", "/experiments/e", &key, Some(&body)).await.expect(201);
    let again = management.send("PUT", "/experiments/e", &key, Some(&body)).await.expect(201);
    assert_eq!((again.replayed, &again.body["version"]), (true, &made.body["version"]));
    let absent = [("if-none-match", "*"), ("content-type", "application/json")];
    management.send("PUT", "/experiments/e", &absent, Some(&body)).await.expect(412);
    let with = |field: &str, value: Value| {
        let mut body = experiment(FLAG);
        body[field] = value;
        body
    };
    for (body, field) in [
        (with("flag", json!("nope")), "flag"),
        (with("holdout", json!("nope")), "holdout"),
        (with("state", json!("started")), "state"),
        (with("variants", json!({ "a": "A" })), "variants"),
        (with("experiment", json!("other")), "experiment"),
        (with("trafic_percentage", json!(5)), "trafic_percentage"),
    ] {
        let refused = management.put("/experiments/other-name", &body).await;
        assert_eq!(refused.expect(422).body["field"], field);
    }
    let user = management.get("/experiments/e/assign/u1?user=u2").await.expect(422).body;
    assert_eq!(user["field"], "user");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_waits_for_a_second_person_and_an_end_does_not() {
    let stack = started(&[("CUTOVER_TWO_PERSON", "true")]).await;
    let root = stack.management();
    let mut people = Vec::new();
    for name in ["ann", "bob"] {
        let made = root.post("/tokens", &json!({ "name": name, "role": "operator" })).await.expect(201).body;
        people.push(root.with_token(made["token"].as_str().unwrap()));
    }
    let [ann, bob] = [&people[0], &people[1]];
    ann.put("/experiments/e", &experiment(FLAG)).await.expect(201);
    let waiting = verb(ann, "start", 202).await;
    assert_eq!(waiting["action"], "experiment.start");
    assert_eq!(waiting["objects"], json!(["ab_tests/e"]));
    let approve = format!("/changes/{}/approve", waiting["change"].as_str().unwrap());
    // What is approved is the experiment as it was, also where the start changes nothing.
    let mut wider = experiment(FLAG);
    wider["traffic_percentage"] = json!(3);
    ann.put("/experiments/e", &wider).await.expect(200);
    let refused = bob.send("POST", &approve, &[], None).await.expect(409).body;
    assert_eq!(refused["code"], "changed_since_asked", "{refused:#}");
    ann.put("/experiments/e", &experiment(FLAG)).await.expect(200);
    assert_eq!(bob.send("POST", &approve, &[], None).await.expect(200).body["state"], "running");
    // Whoever approves that the flag is enabled again sees whose users come back.
    let switch = async |on: &str, status: u16| {
        ann.send("POST", &format!("/flags/{FLAG}/{on}"), &[], None).await.expect(status).body
    };
    switch("disable", 200).await;
    let waiting = switch("enable", 202).await;
    let shown = waiting["changes"].as_array().unwrap();
    assert!(
        shown.iter().any(|detail| detail["name"] == "e" && detail["owns"]["flag"] == FLAG),
        "{waiting:#}"
    );
    let approve = format!("/changes/{}/approve", waiting["change"].as_str().unwrap());
    bob.send("POST", &approve, &[], None).await.expect(200);
    verb(ann, "pause", 200).await;
    verb(ann, "start", 202).await;
    // Without arms nobody is sent to another backend.
    let words = json!({ "name": "Words", "variants": { "a": "A", "b": "B" }, "state": "running" });
    ann.put("/experiments/words", &words).await.expect(201);
    ann.post("/experiments/words/stop", &json!({ "reason": "enough" })).await.expect(200);
}
