//! One flag with values and one segment over the API: saved, patched, switched, explained and deleted.

use super::api::{Api, OTHER};
use cutover_tests::client::{Answer, Management};
use serde_json::{Value, json};

const FLAG: &str = "/value-flags/button";

const SEGMENT: &str = "/segments/staff";

fn button() -> Value {
    json!({
        "type": "string", "enabled": true, "variants": { "blue": "#00f", "green": "#0f0" },
        "default": { "weights": { "blue": 90, "green": 10 } }, "off": "blue",
        "rules": [{ "segment": "staff", "variant": "green" }],
    })
}

/// Starts the API with a segment and a flag whose rule names it.
async fn started(variables: &[(&'static str, &str)]) -> Api {
    let api = Api::start(variables).await;
    api.root().put(SEGMENT, &json!({ "include": ["ann"] })).await.expect(201);
    api.root().put(FLAG, &button()).await.expect(201);
    api
}

async fn patch(client: &Management, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let mut all = vec![("content-type", "application/merge-patch+json")];
    all.extend_from_slice(headers);
    client.send("PATCH", path, &all, Some(&body.to_string())).await
}

async fn delete(client: &Management, path: &str) -> Answer {
    client.send("DELETE", path, &[], None).await
}

/// Returns the variant of a user.
async fn variant(api: &Api, user: &str) -> Value {
    let explained = api.root().get(&format!("{FLAG}/explain?user={user}")).await.expect(200).body;
    explained["variant"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flag_with_values_is_saved_as_a_file_saves_it() {
    let api = started(&[]).await;
    let root = api.root();
    let read = root.get(FLAG).await.expect(200);
    assert_eq!((&read.body["version"], read.etag.as_deref()), (&json!(3), Some("\"3\"")));
    assert_eq!(read.body["in_force"]["enabled"], json!(true));
    assert_eq!(root.get("/value-flags").await.expect(200).body["value_flags"][0]["name"], "button");
    // The body of a GET may be sent back.
    assert_eq!(root.put(FLAG, &read.body).await.expect(200).body["unchanged"], true);
    // With other weights only the users whom a smaller variant gives up move.
    let mut before = Vec::new();
    for number in 0..40 {
        before.push(variant(&api, &format!("u{number}")).await);
    }
    let raised = json!({ "default": { "weights": { "blue": 50, "green": 50 } } });
    let key = [("if-match", "\"3\""), ("idempotency-key", "v1"), ("x-cutover-reason", "more green")];
    let patched = patch(root, FLAG, &key, &raised).await.expect(200);
    assert_eq!(patched.body["default"]["weights"], json!({ "blue": 50.0, "green": 50.0 }));
    assert_eq!((&patched.body["rules"], patched.replayed), (&read.body["rules"], false));
    assert!(patch(root, FLAG, &key, &raised).await.expect(200).replayed);
    for (number, before) in before.iter().enumerate() {
        if before == "green" {
            assert_eq!(variant(&api, &format!("u{number}")).await, "green", "u{number}");
        }
    }
    let stale = patch(root, FLAG, &[("if-match", "\"3\"")], &json!({ "enabled": false })).await.expect(412);
    assert_eq!(stale.body["code"], "changed_meanwhile");
    let record = root.get("/audit?limit=1").await.expect(200).body["records"][0].clone();
    assert_eq!((&record["action"], &record["reason"]), (&json!("value_flag.put"), &json!("more green")));
    assert_eq!(record["objects"], json!(["flags/button"]));
    // The name of the flag is the default salt, to which it can return.
    let salted = patch(root, FLAG, &[], &json!({ "salt": "paint" })).await.expect(200).body;
    assert_eq!(salted["salt"], "paint");
    let returned = patch(root, FLAG, &[], &json!({ "salt": "button" })).await.expect(200).body;
    assert_eq!((&returned["salt"], &returned["unchanged"]), (&json!("button"), &Value::Null));
    // A file that exports it changes nothing.
    let exported = root.get("/config").await.expect(200).body;
    assert_eq!(root.apply(&exported.to_string()).await.expect(200).body["unchanged"], true);
    delete(root, FLAG).await.expect(200);
    root.get(FLAG).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flag_with_values_is_refused_as_a_file_is() {
    let api = started(&[]).await;
    let root = api.root();
    let with = |fields: Value| {
        let mut body = button();
        body.as_object_mut().unwrap().extend(fields.as_object().cloned().unwrap());
        body
    };
    for (fields, field) in [
        (json!({ "colour": 1 }), "colour"),
        (json!({ "name": "other" }), "name"),
        (json!({ "default": "red" }), "default"),
        (json!({ "rules": [{ "segment": "stuff", "variant": "green" }] }), "rules[0].segment"),
        (json!({ "variants": { "blue": 1, "green": "#0f0" } }), "variants.blue"),
        (json!({ "prerequisites": [{ "flag": "button", "variant": "blue" }] }), "flags.button.prerequisites"),
    ] {
        let refused = root.put(FLAG, &with(fields.clone())).await.expect(422).body;
        assert_eq!((&refused["code"], &refused["field"]), (&json!("invalid"), &json!(field)), "{fields}");
    }
    assert_eq!(patch(root, FLAG, &[], &json!({ "colour": null })).await.expect(422).body["field"], "colour");
    patch(root, "/value-flags/none", &[], &json!({})).await.expect(404);
    // A flag of the other kind is not simply missing.
    for (path, detail) in [
        ("/flags/button/disable".to_owned(), "button gives applications values".to_owned()),
        (format!("/value-flags/{OTHER}/disable"), format!("{OTHER} decides routes")),
    ] {
        let missed = root.send("POST", &path, &[], None).await.expect(404).body;
        assert!(missed["detail"].as_str().unwrap().ends_with(&detail), "{missed:#}");
    }
    // A name is one flag.
    root.put(&format!("/value-flags/{OTHER}"), &button()).await.expect(422);
    let taken = root.put("/flags/button", &json!({ "enabled": false })).await.expect(422).body;
    assert_eq!((&taken["code"], &taken["field"]), (&json!("invalid"), &json!("name")));
    // What others need stays.
    let needs = json!({ "prerequisites": [{ "flag": "button", "variant": "green" }, { "flag": OTHER, "variant": "new" }] });
    let behind = {
        let mut body = with(needs);
        body["rules"] = json!([]);
        body
    };
    root.put("/value-flags/behind", &behind).await.expect(201);
    let used = delete(root, FLAG).await.expect(409).body;
    assert_eq!(
        (&used["code"], &used["detail"]),
        (&json!("flag_in_use"), &json!("the flag button is a prerequisite of behind"))
    );
    let used = delete(root, &format!("/flags/{OTHER}")).await.expect(409).body;
    assert!(used["detail"].as_str().unwrap().contains("the prerequisites of the flag behind"), "{used}");
    let used = delete(root, SEGMENT).await.expect(409).body;
    assert_eq!(
        (&used["code"], &used["detail"]),
        (&json!("segment_in_use"), &json!("rules name the segment staff: those of button"))
    );
    let narrow =
        json!({ "type": "string", "variants": { "blue": "#00f" }, "default": "blue", "off": "blue" });
    root.put(FLAG, &narrow).await.expect(422);
    let made = root.post("/tokens", &json!({ "name": "reader", "role": "viewer" })).await.expect(201);
    let reader = root.with_token(made.body["token"].as_str().unwrap());
    for path in [FLAG, SEGMENT] {
        assert_eq!(patch(&reader, path, &[], &json!({})).await.expect(403).body["code"], "role_too_low");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_is_saved_patched_and_deleted_once_no_rule_names_it() {
    let api = started(&[]).await;
    let root = api.root();
    let read = root.get(SEGMENT).await.expect(200);
    assert_eq!((&read.body["include"], &read.body["flags"]), (&json!(["ann"]), &json!(["button"])));
    assert_eq!(root.put(SEGMENT, &read.body).await.expect(200).body["unchanged"], true);
    let tag = [("if-match", read.etag.as_deref().unwrap())];
    let patched = patch(root, SEGMENT, &tag, &json!({ "include": ["ann", "bob"] })).await.expect(200).body;
    assert_eq!((&patched["include"], &patched["exclude"]), (&json!(["ann", "bob"]), &json!([])));
    assert_eq!(variant(&api, "bob").await, "green");
    patch(root, SEGMENT, &tag, &json!({ "include": [] })).await.expect(412);
    assert_eq!(root.put(SEGMENT, &json!({ "users": ["ann"] })).await.expect(422).body["field"], "users");
    patch(root, FLAG, &[], &json!({ "rules": null })).await.expect(200);
    delete(root, SEGMENT).await.expect(200);
    root.get(SEGMENT).await.expect(404);
    assert_eq!(root.get("/segments").await.expect(200).body["segments"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flag_is_switched_off_whatever_its_schedule_has_done() {
    let api = started(&[]).await;
    let root = api.root();
    let schedule = json!([
        { "at": "2026-01-01T00:00:00Z", "set": { "enabled": true } },
        { "at": "2099-01-01T00:00:00Z", "set": { "default": "green" } },
    ]);
    let patched =
        patch(root, FLAG, &[], &json!({ "enabled": false, "schedule": schedule })).await.expect(200);
    assert_eq!(patched.body["in_force"]["enabled"], true, "the schedule decides: {:#}", patched.body);
    let read = root.get(FLAG).await.expect(200).body;
    assert_eq!((&read["enabled"], &read["in_force"]["enabled"]), (&json!(false), &json!(true)));
    assert_eq!(read["in_force"]["until"], "2099-01-01T00:00:00Z");
    let disabled = root.send("POST", &format!("{FLAG}/disable"), &[], None).await.expect(200).body;
    assert_eq!(disabled["schedule"].as_array().unwrap().len(), 1, "{disabled:#}");
    assert_eq!(disabled["in_force"]["enabled"], false, "{disabled:#}");
    assert_eq!(root.get(FLAG).await.expect(200).body["in_force"]["enabled"], false);
    let explained = root.get(&format!("{FLAG}/explain?user=ann")).await.expect(200).body;
    assert_eq!((&explained["decided_by"], &explained["value"]), (&json!("disabled"), &json!("#00f")));
    let again = root.send("POST", &format!("{FLAG}/disable"), &[], None).await.expect(200).body;
    assert_eq!(again["unchanged"], true);
    root.send("POST", &format!("{FLAG}/enable"), &[], None).await.expect(200);
    let explained = root.get(&format!("{FLAG}/explain?user=ann")).await.expect(200).body;
    assert_eq!((&explained["decided_by"], &explained["segment"]), (&json!("rule"), &json!("staff")));
    // A flag that the schedule has disabled stays disabled without the schedule.
    let ended = json!([{ "at": "2026-01-01T00:00:00Z", "set": { "enabled": false } }]);
    patch(root, FLAG, &[], &json!({ "enabled": true, "schedule": ended })).await.expect(200);
    let disabled = root.send("POST", &format!("{FLAG}/disable"), &[], None).await.expect(200).body;
    assert_eq!((&disabled["enabled"], &disabled["unchanged"]), (&json!(false), &Value::Null), "{disabled:#}");
    patch(root, FLAG, &[], &json!({ "schedule": [] })).await.expect(200);
    assert_eq!(root.get(FLAG).await.expect(200).body["in_force"]["enabled"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_way_out_is_open_without_a_second_person() {
    let api = started(&[("CUTOVER_TWO_PERSON", "true")]).await;
    let (one, two) = (api.person("one").await, api.person("two").await);
    let asked = patch(&one, FLAG, &[], &json!({ "default": "green" })).await.expect(202).body;
    assert_eq!(asked["action"], "value_flag.put");
    one.send("POST", &format!("{FLAG}/disable"), &[], None).await.expect(200);
    one.send("POST", &format!("{FLAG}/enable"), &[], None).await.expect(202);
    patch(&one, SEGMENT, &[], &json!({ "include": ["eve"] })).await.expect(202);
    let approve = format!("/changes/{}/approve", asked["change"].as_str().unwrap());
    let made = two.send("POST", &approve, &[], None).await.expect(200).body;
    assert_eq!((&made["default"], &made["enabled"]), (&json!({ "variant": "green" }), &json!(false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flag_that_was_just_changed_is_not_stale() {
    let api = started(&[]).await;
    let report = api.root().get("/stale-flags").await.expect(200).body;
    assert_eq!((&report["stale_flags"], &report["next_after"]), (&json!([]), &Value::Null));
    assert_eq!(api.root().get(FLAG).await.expect(200).body["stale"], Value::Null);
}
