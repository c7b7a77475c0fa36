//! `PATCH /flags/{name}`: a merge patch changes the fields that it names, under the rules of `PUT`.

use super::api::{Api, FLAG, OTHER, percentage, rollout};
use cutover_tests::client::{Answer, Management};
use serde_json::{Value, json};

async fn patch(client: &Management, flag: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let mut all = vec![("content-type", "application/merge-patch+json")];
    all.extend_from_slice(headers);
    client.send("PATCH", &format!("/flags/{flag}"), &all, Some(&body.to_string())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_changes_the_fields_that_it_names_and_no_other() {
    let api = Api::start(&[]).await;
    let (root, path) = (api.root(), format!("/flags/{OTHER}"));
    let before = root.get(&path).await.expect(200);
    let fields = json!({ "description": "words", "phase": "full" });
    let key = [("idempotency-key", "p1")];
    assert_eq!(patch(root, OTHER, &key, &fields).await.expect(200).body["revision"], 2);
    let after = root.get(&path).await.expect(200).body;
    assert_eq!((&after["description"], &after["phase"]), (&json!("words"), &json!("full")));
    for kept in ["enabled", "rollout_percentage", "user_whitelist", "user_blacklist", "conditions", "salt"] {
        assert_eq!(after[kept], before.body[kept], "{kept}");
    }
    // Null is the default of a field, also if it has it already.
    let defaults = json!({ "phase": null, "user_whitelist": null, "salt": null });
    let cleared = patch(root, OTHER, &[], &defaults).await.expect(200).body;
    assert_eq!((&cleared["phase"], &cleared["user_whitelist"]), (&Value::Null, &json!([])));
    assert_eq!(cleared["rollout_percentage"], before.body["rollout_percentage"]);
    let nothing = patch(root, OTHER, &[], &json!({})).await.expect(200).body;
    assert_eq!((&nothing["revision"], &nothing["unchanged"]), (&json!(3), &json!(true)));
    let replayed = patch(root, OTHER, &key, &fields).await.expect(200);
    assert_eq!((&replayed.body["revision"], replayed.replayed), (&json!(2), true));
    let stale = [("if-match", before.etag.as_deref().unwrap())];
    let refused = patch(root, OTHER, &stale, &json!({ "enabled": false })).await.expect(412).body;
    assert_eq!(refused["code"], "changed_meanwhile");
    assert_eq!(api.revision().await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_is_refused_as_put_is() {
    let api = Api::start(&[]).await;
    let root = api.root();
    for (body, field) in [
        (json!({ "colour": "red" }), "colour"),
        (json!({ "colour": null }), "colour"),
        (json!({ "rollout_percentage": 101 }), "rollout_percentage"),
        (json!({ "name": "another" }), "name"),
    ] {
        assert_eq!(patch(root, OTHER, &[], &body).await.expect(422).body["field"], field, "{body}");
    }
    // A JSON Patch, which is a list of operations.
    patch(root, OTHER, &[], &json!([{ "op": "remove", "path": "/salt" }])).await.expect(422);
    assert_eq!(patch(root, "nope", &[], &json!({})).await.expect(404).body["code"], "not_found");
    let made = root.post("/tokens", &json!({ "name": "reader", "role": "viewer" })).await.expect(201);
    let reader = root.with_token(made.body["token"].as_str().unwrap());
    assert_eq!(patch(&reader, OTHER, &[], &json!({})).await.expect(403).body["code"], "role_too_low");
    // A running canary owns the percentage and the salt, and nothing else.
    root.send("POST", &format!("/canary/{FLAG}/start"), &[], None).await.expect(201);
    for body in [json!({ "rollout_percentage": 60 }), json!({ "salt": "another" })] {
        assert_eq!(patch(root, FLAG, &[], &body).await.expect(409).body["code"], "canary_running", "{body}");
    }
    patch(root, FLAG, &[], &json!({ "description": "words" })).await.expect(200);
    assert_eq!(api.share(FLAG).await, 5.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_patch_leaves_what_others_have_changed_meanwhile() {
    let api = Api::start(&[("CUTOVER_TWO_PERSON", "true")]).await;
    let (one, two) = (api.person("one").await, api.person("two").await);
    let asked = patch(&one, OTHER, &[], &json!({ "description": "words" })).await.expect(202).body;
    assert_eq!(asked["action"], "flag.put");
    api.root().send("PUT", &rollout(OTHER), &[], Some(&percentage(30.0))).await.expect(200);
    let approve = format!("/changes/{}/approve", asked["change"].as_str().unwrap());
    let made = two.send("POST", &approve, &[], None).await.expect(200).body;
    assert_eq!((&made["description"], &made["rollout_percentage"]), (&json!("words"), &json!(30.0)));
}

/// Whoever clears the emergency has seen the share that comes back with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_flag_that_an_emergency_holds_is_enabled_by_neither_patch_nor_put() {
    let api = Api::start(&[]).await;
    let (root, path) = (api.root(), format!("/flags/{OTHER}"));
    let flag = |enabled: bool| json!({ "enabled": enabled, "rollout_percentage": 20 });
    let (reason, on) = (json!({ "reason": "drill" }), json!({ "enabled": true }));
    root.put(&path, &flag(false)).await.expect(200);
    root.post("/emergency/rollback", &reason).await.expect(200);
    for refused in [patch(root, OTHER, &[], &on).await, root.put(&path, &flag(true)).await] {
        assert_eq!(refused.expect(409).body["code"], "emergency_in_force");
    }
    root.put("/flags/another", &flag(true)).await.expect(409);
    patch(root, OTHER, &[], &json!({ "description": "words" })).await.expect(200);
    root.post("/emergency/clear", &reason).await.expect(200);
    patch(root, OTHER, &[], &on).await.expect(200);

    // At 0 % it is the experiment that would send users to the new backend.
    patch(root, OTHER, &[], &json!({ "rollout_percentage": 0 })).await.expect(200);
    let variant =
        |key: &str, arm: &str| json!({ "key": key, "name": key, "traffic_percentage": 50, "arm": arm });
    let variants = [variant("control", "legacy"), variant("treatment", "new")];
    root.put("/experiments/e", &json!({ "name": "E", "flag": OTHER, "variants": variants }))
        .await
        .expect(201);
    root.send("POST", "/experiments/e/start", &[], None).await.expect(200);
    root.send("POST", &format!("{path}/disable"), &[], None).await.expect(200);
    root.post("/emergency/rollback", &reason).await.expect(200);
    assert_eq!(patch(root, OTHER, &[], &on).await.expect(409).body["code"], "emergency_in_force");
    root.post("/emergency/clear", &reason).await.expect(200);
    patch(root, OTHER, &[], &on).await.expect(200);
}
