//! The end of a canary: its plan and its ended run are deleted, and its users stay where they are.

use super::api::{Api, FLAG, OTHER};
use cutover_tests::{
    client::{Answer, Management},
    command::cutover_at,
};
use serde_json::{Value, json};

async fn steer(api: &Api, verb: &str) -> Answer {
    api.root().send("POST", &format!("/canary/{FLAG}/{verb}"), &[], None).await
}

async fn delete(api: &Api, headers: &[(&str, &str)]) -> Answer {
    api.root().send("DELETE", &format!("/canary/{FLAG}"), headers, None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_is_deleted_with_its_ended_run_and_leaves_its_users_where_they_are() {
    let api = Api::start(&[]).await;
    steer(&api, "start").await.expect(201);
    let running = delete(&api, &[]).await.expect(409).body;
    assert_eq!(running["code"], "canary_running", "{running:#}");
    steer(&api, "pause").await.expect(200);
    delete(&api, &[]).await.expect(409);
    steer(&api, "rollback").await.expect(200);
    // The second run deals users anew; it is promoted to its end.
    steer(&api, "retry").await.expect(201);
    while steer(&api, "promote").await.expect(200).body["state"] != "completed" {}
    let flag = api.root().get(&format!("/flags/{FLAG}")).await.expect(200).body;
    assert_ne!(flag["salt"], FLAG, "the run has a salt of its own");

    let stale = delete(&api, &[("if-match", "\"1\"")]).await.expect(412).body;
    assert_eq!(stale["code"], "changed_meanwhile");
    let tag = api.root().get(&format!("/canary/{FLAG}")).await.expect(200).etag.unwrap();
    let headers = [("if-match", tag.as_str()), ("idempotency-key", "d1"), ("x-cutover-reason", "done")];
    let deleted = delete(&api, &headers).await.expect(200);
    assert_eq!((&deleted.body["deleted"], deleted.replayed), (&json!(FLAG), false));
    assert!(deleted.body["run"].is_string(), "{:#}", deleted.body);
    assert_eq!(
        deleted.body["salt"], flag["salt"],
        "the flag keeps the salt of the run, and the response says so"
    );
    let again = delete(&api, &headers).await.expect(200);
    assert_eq!((&again.body["revision"], again.replayed), (&deleted.body["revision"], true));

    api.root().get(&format!("/canary/{FLAG}")).await.expect(404);
    delete(&api, &[]).await.expect(404);
    let config = api.root().get("/config").await.expect(200).body;
    assert!(config["canary_deployments"].get(FLAG).is_none(), "{config:#}");
    assert!(config["canary_deployments"].get(OTHER).is_some(), "the other plan stays");
    let after = api.root().get(&format!("/flags/{FLAG}")).await.expect(200).body;
    for unchanged in ["enabled", "rollout_percentage", "salt"] {
        assert_eq!(after[unchanged], flag[unchanged], "{unchanged}: nobody changes arms");
    }
    let record = api.root().get("/audit?limit=1").await.expect(200).body["records"][0].clone();
    assert_eq!((&record["action"], &record["reason"]), (&json!("canary.delete"), &json!("done")));
    let objects = record["objects"].as_array().unwrap();
    for object in ["canary_deployments", "canary_runs"] {
        assert!(objects.contains(&json!(format!("{object}/{FLAG}"))), "{record:#}");
    }
    let runs = api.root().get(&format!("/canary/{FLAG}/runs")).await.expect(200).body;
    let states: Vec<&Value> = runs["runs"].as_array().unwrap().iter().map(|run| &run["state"]).collect();
    assert_eq!(states, ["completed", "rolled_back"], "the audit log keeps the runs");
    // Nothing is left that keeps the flag.
    api.root()
        .send("PUT", &format!("/flags/{FLAG}/rollout"), &[], Some(r#"{"percentage":7}"#))
        .await
        .expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_without_a_run_and_a_run_without_a_plan_are_deleted_too() {
    let api = Api::start(&[]).await;
    let unused = api.root().send("DELETE", &format!("/canary/{OTHER}"), &[], None).await.expect(200).body;
    assert_eq!((&unused["deleted"], &unused["run"]), (&json!(OTHER), &Value::Null));
    steer(&api, "start").await.expect(201);
    steer(&api, "rollback").await.expect(200);
    let mut config = api.root().get("/config").await.expect(200).body;
    config.as_object_mut().unwrap().remove("canary_deployments");
    api.root().put("/config?prune=true", &config).await.expect(200);
    assert_eq!(api.root().get(&format!("/canary/{FLAG}")).await.expect(200).body["state"], "rolled_back");
    let url = format!("http://{}", api.server.address);
    let done = cutover_at(&url, &["canary", "delete", FLAG]).await;
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(
        done.out.starts_with("deleted the canary of graphql_offers_read, not published yet"),
        "{}",
        done.out
    );
    api.root().get(&format!("/canary/{FLAG}")).await.expect(404);
    let gone = cutover_at(&url, &["canary", "delete", FLAG]).await;
    assert_eq!(gone.code, 5, "{}", gone.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_says_that_a_flag_keeps_the_salt_of_its_run() {
    let api = Api::start(&[]).await;
    steer(&api, "start").await.expect(201);
    steer(&api, "rollback").await.expect(200);
    steer(&api, "retry").await.expect(201);
    while steer(&api, "promote").await.expect(200).body["state"] != "completed" {}
    let flag = api.root().get(&format!("/flags/{FLAG}")).await.expect(200).body;
    let done = api.command(&["canary", "delete", FLAG], 0).await;
    let says = format!("the salt of the run, {}, is the flag's own now", flag["salt"].as_str().unwrap());
    assert!(done.out.contains(&says), "{}", done.out);
}

/// Two admins whom root created.
async fn admins(api: &Api) -> [Management; 2] {
    let mut admins = Vec::new();
    for name in ["lead", "head"] {
        let made = api.root().post("/tokens", &json!({ "name": name, "role": "admin" })).await.expect(201);
        admins.push(api.root().with_token(made.body["token"].as_str().unwrap()));
    }
    admins.try_into().ok().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_deletion_removes_the_run_that_was_shown_and_no_other() {
    let api = Api::start(&[("CUTOVER_TWO_PERSON", "true")]).await;
    let [lead, head] = admins(&api).await;
    let path = format!("/canary/{FLAG}");
    let run = steer(&api, "start").await.expect(201).body["run"].clone();
    steer(&api, "rollback").await.expect(200);
    let asked = lead.send("DELETE", &path, &[], None).await.expect(202).body;
    let removed = json!({
        "section": "canary_runs", "name": FLAG, "run": [run, null], "state": ["rolled_back", null], "step": [0, null],
    });
    assert!(asked["changes"].as_array().unwrap().contains(&removed), "{asked:#}");
    let objects = [format!("canary_deployments/{FLAG}"), format!("canary_runs/{FLAG}")];
    assert_eq!(asked["objects"], json!(objects));
    let shown = api.command(&["changes", "show", asked["change"].as_str().unwrap()], 0).await.out;
    assert!(shown.contains(&format!("canary_runs/{FLAG}\n    - run: {run}\n")), "{shown}");

    let newer = steer(&api, "retry").await.expect(201).body["run"].clone();
    steer(&api, "rollback").await.expect(200);
    let approve = |asked: &Value| format!("/changes/{}/approve", asked["change"].as_str().unwrap());
    let stale = head.send("POST", &approve(&asked), &[], None).await.expect(409).body;
    assert_eq!(stale["code"], "changed_since_asked");
    assert_eq!(stale["difference"]["asked"], json!([removed]), "{stale:#}");
    assert_eq!(stale["difference"]["now"][0]["run"], json!([newer, null]), "{stale:#}");
    // A request that waits is no run.
    let runs = api.root().get(&format!("{path}/runs")).await.expect(200).body;
    let known: Vec<&Value> = runs["runs"].as_array().unwrap().iter().map(|run| &run["run"]).collect();
    assert_eq!(known, [&newer, &run]);
    let again = lead.send("DELETE", &path, &[], None).await.expect(202).body;
    head.send("POST", &approve(&again), &[], None).await.expect(200);
    api.root().get(&path).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_canary_needs_an_admin_and_a_second_person() {
    let api = Api::start(&[("CUTOVER_TWO_PERSON", "true")]).await;
    let operator = api.person("one").await;
    let path = format!("/canary/{FLAG}");
    let refused = operator.send("DELETE", &path, &[], None).await.expect(403).body;
    assert_eq!(refused["code"], "role_too_low");
    let [lead, head] = admins(&api).await;
    let asked = lead.send("DELETE", &path, &[], None).await.expect(202).body;
    api.root().get(&path).await.expect(200);
    let approve = format!("/changes/{}/approve", asked["change"].as_str().unwrap());
    head.send("POST", &approve, &[], None).await.expect(200);
    api.root().get(&path).await.expect(404);
}
