//! Changes that wait for a second person: their details, requests that are repeated, and approvals that come too late.

use super::{
    api::{Api, FLAG, OTHER, percentage, rollout},
    emergencies::declare,
};
use cutover_tests::client::{Answer, Management};
use serde_json::{Value, json};
use std::collections::BTreeSet;

async fn two_person() -> Api {
    Api::start(&[("CUTOVER_TWO_PERSON", "true")]).await
}

fn id(asked: &Answer) -> String {
    asked.body["change"].as_str().unwrap().to_owned()
}

/// The detail about a flag that an emergency releases.
fn released(flag: &str, share: f64) -> Value {
    json!({ "section": "feature_flags", "name": flag, "returns_to": share })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_person_approves_the_shares_to_which_flags_come_back() {
    let api = two_person().await;
    let one = api.person("one").await;
    let made = api.root().post("/tokens", &json!({ "name": "two", "role": "operator" })).await.expect(201);
    let token = made.body["token"].as_str().unwrap();
    let two = api.root().with_token(token);
    declare(&one, "errors on checkout", &[]).await;
    let body = json!({ "reason": "fixed", "flags": [FLAG, OTHER] });
    let asked = one.post("/emergency/clear", &body).await.expect(202);
    let details = asked.body["changes"].as_array().unwrap();
    let flags: Vec<&Value> = details.iter().filter(|detail| detail["returns_to"].is_number()).collect();
    assert_eq!(flags, [&released(FLAG, 50.0), &released(OTHER, 25.0)], "{:#}", asked.body);
    assert_eq!(asked.body["objects"], json!(["emergency", "feature_flags/*"]));

    // Lower than it was shown; nothing else changes.
    api.root().put(&rollout(OTHER), &json!({ "percentage": 10 })).await.expect(200);
    let approve = format!("/changes/{}/approve", id(&asked));
    let stale = two.send("POST", &approve, &[], None).await.expect(409).body;
    assert_eq!(stale["code"], "changed_since_asked");
    let difference = json!({ "asked": [released(OTHER, 25.0)], "now": [released(OTHER, 10.0)] });
    assert_eq!(stale["difference"], difference, "{stale:#}");
    let refused = api.command(&["changes", "approve", &id(&asked), "--token", token], 6).await;
    let lines = format!(
        "asked for:\nfeature_flags/{OTHER}\n    returns_to: 25.0\nit would now be:\nfeature_flags/{OTHER}\n    \
         returns_to: 10.0\n"
    );
    assert!(refused.err.contains(&lines), "{}", refused.err);
    let json = api.command(&["changes", "approve", &id(&asked), "--token", token, "--json"], 6).await;
    // The line above tells of the emergency.
    let told: Value = serde_json::from_str(json.err.lines().last().unwrap()).unwrap();
    assert_eq!(told["difference"], difference, "{told:#}");

    let again = one.post("/emergency/clear", &body).await.expect(202);
    assert_ne!(id(&again), id(&asked), "it is another change by now");
    two.send("POST", &format!("/changes/{}/approve", id(&again)), &[], None).await.expect(200);
}

/// The switch is the only field that changes, and how many users it moves is in another one.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_person_approves_the_share_at_which_a_flag_is_enabled() {
    let api = two_person().await;
    let (root, one, two) = (api.root(), api.person("one").await, api.person("two").await);
    let path = format!("/flags/{OTHER}");
    let approve =
        async |asked: &Answer| two.send("POST", &format!("/changes/{}/approve", id(asked)), &[], None).await;
    let shown =
        |share: f64| json!({ "section": "feature_flags", "name": OTHER, "percentage_in_force": share });
    let enable = format!("{path}/enable");
    let (none, patch): ([(&str, &str); 0], _) = ([], [("content-type", "application/merge-patch+json")]);
    for (method, target, headers, body) in [
        ("POST", &enable, &none[..], None),
        ("PATCH", &path, &patch[..], Some(json!({ "enabled": true }).to_string())),
    ] {
        let ask = async || one.send(method, target, headers, body.as_deref()).await;
        root.put(&path, &json!({ "enabled": false, "rollout_percentage": 5 })).await.expect(200);
        let asked = ask().await.expect(202);
        assert!(asked.body["changes"].as_array().unwrap().contains(&shown(5.0)), "{:#}", asked.body);
        root.put(&rollout(OTHER), &json!({ "percentage": 100 })).await.expect(200);
        let refused = approve(&asked).await.expect(409).body;
        assert_eq!(refused["code"], "changed_since_asked", "{refused:#}");
        let difference = json!({ "asked": [shown(5.0)], "now": [shown(100.0)] });
        assert_eq!(refused["difference"], difference, "{refused:#}");
        let again = ask().await.expect(202);
        approve(&again).await.expect(200);
        let flag = root.get(&path).await.expect(200).body;
        assert_eq!((&flag["enabled"], &flag["rollout_percentage"]), (&json!(true), &json!(100.0)));
    }
}

/// As the switch of a flag of routes, that of a flag with values is approved with what it turns on.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_person_approves_what_an_enabled_flag_gives_out() {
    let api = two_person().await;
    let (root, one, two) = (api.root(), api.person("one").await, api.person("two").await);
    let path = "/value-flags/button";
    let flag = |default: &str| {
        let variants = json!({ "x": true, "y": false });
        json!({ "type": "boolean", "variants": variants, "default": default, "off": "y" })
    };
    let approve =
        async |asked: &Answer| two.send("POST", &format!("/changes/{}/approve", id(asked)), &[], None).await;
    let ask = async || one.send("POST", &format!("{path}/enable"), &[], None).await.expect(202);
    let shown = |default: &str| {
        let deciding = json!({ "default": { "variant": default }, "rules": [], "prerequisites": [] });
        json!({ "section": "flags", "name": "button", "enables": deciding })
    };
    root.put(path, &flag("y")).await.expect(201);
    let asked = ask().await;
    assert!(asked.body["changes"].as_array().unwrap().contains(&shown("y")), "{:#}", asked.body);
    root.put(path, &flag("x")).await.expect(200);
    let refused = approve(&asked).await.expect(409).body;
    assert_eq!(refused["code"], "changed_since_asked", "{refused:#}");
    assert_eq!(refused["difference"], json!({ "asked": [shown("y")], "now": [shown("x")] }), "{refused:#}");
    approve(&ask().await).await.expect(200);
    let enabled = root.get(path).await.expect(200).body["in_force"].clone();
    assert_eq!((&enabled["enabled"], &enabled["default"]["variant"]), (&json!(true), &json!("x")));
}

/// Only the switch of the flag changes, and so do the values of the users of others.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_person_approves_the_flags_that_are_enabled_through_another_one() {
    let api = two_person().await;
    let (root, one, two) = (api.root(), api.person("one").await, api.person("two").await);
    let flag = |enabled: bool, default: &str, needed: Value| {
        json!({
            "type": "boolean", "enabled": enabled, "variants": { "x": true, "y": false },
            "default": default, "off": "y", "prerequisites": needed,
        })
    };
    let needed = |flag: &str| json!([{ "flag": flag, "variant": "x" }]);
    let behind = "/value-flags/behind";
    root.put("/value-flags/button", &flag(false, "x", json!([]))).await.expect(201);
    root.put(behind, &flag(true, "x", needed("button"))).await.expect(201);
    root.put("/value-flags/deeper", &flag(true, "x", needed("behind"))).await.expect(201);
    root.put("/value-flags/disabled", &flag(false, "x", needed("button"))).await.expect(201);
    let shown = |name: &str, default: &str, through: &str| {
        let needed = needed(through);
        let deciding = json!({ "default": { "variant": default }, "rules": [], "prerequisites": needed });
        json!({ "section": "flags", "name": name, "enables": deciding, "through": through })
    };
    let enabled_through = |details: &Value| -> Vec<Value> {
        let details = details.as_array().unwrap().iter();
        details.filter(|detail| detail.get("through").is_some()).cloned().collect()
    };
    let ask = async || one.send("POST", "/value-flags/button/enable", &[], None).await.expect(202);
    let approve =
        async |asked: &Answer| two.send("POST", &format!("/changes/{}/approve", id(asked)), &[], None).await;
    let asked = ask().await;
    let expected = [shown("behind", "x", "button"), shown("deeper", "x", "behind")];
    assert_eq!(enabled_through(&asked.body["changes"]), expected, "{:#}", asked.body);
    let told = api.command(&["changes", "show", &id(&asked)], 0).await.out;
    assert!(
        told.contains("flags/behind\n    enables: {") && told.contains("    through: button\n"),
        "{told}"
    );

    // It gives out no x any more, which the one behind it needs.
    root.put(behind, &flag(true, "y", needed("button"))).await.expect(200);
    let refused = approve(&asked).await.expect(409).body;
    assert_eq!(refused["code"], "changed_since_asked", "{refused:#}");
    let difference = json!({ "asked": expected, "now": [shown("behind", "y", "button")] });
    assert_eq!(refused["difference"], difference, "{refused:#}");
    approve(&ask().await).await.expect(200);
}

/// The item of a pending change is damaged, and then of a later version.
#[tokio::test(flavor = "multi_thread")]
async fn a_pending_change_that_cannot_be_read_refuses_no_other() {
    let api = two_person().await;
    let one = api.person("one").await;
    let ask = async |share: f64| {
        let asked = one.send("PUT", &rollout(FLAG), &[], Some(&percentage(share))).await;
        id(&asked.expect(202))
    };
    let first = ask(60.0).await;
    let whole = api.dynamodb.replace("PENDING", &first, "pending", "{}");
    let second = ask(61.0).await;
    api.dynamodb.replace("PENDING", &first, "pending", &whole);
    api.dynamodb.set_schema("PENDING", &first, 99);
    let third = ask(62.0).await;
    let listed = api.root().get("/changes").await.expect(200).body["changes"].clone();
    let ids: BTreeSet<&str> =
        listed.as_array().unwrap().iter().map(|change| change["change"].as_str().unwrap()).collect();
    assert_eq!(ids, BTreeSet::from([second.as_str(), third.as_str()]));
    api.dynamodb.set_schema("PENDING", &first, 1);
    assert_eq!(ask(60.0).await, first, "it waits as before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_repeated_waits_once() {
    let api = two_person().await;
    let (one, two) = (api.person("one").await, api.person("two").await);
    let ask = async |caller: &Management, share: f64, header: (&str, &str)| {
        let asked = caller.send("PUT", &rollout(FLAG), &[header], Some(&percentage(share))).await;
        id(&asked.expect(202))
    };
    let first = ask(&one, 60.0, ("idempotency-key", "k1")).await;
    // Each command of an operator has a key of its own.
    assert_eq!(ask(&one, 60.0, ("idempotency-key", "k2")).await, first);
    assert_eq!(ask(&one, 60.0, ("accept", "*/*")).await, first);
    let others = [
        ask(&two, 60.0, ("accept", "*/*")).await,
        ask(&one, 61.0, ("accept", "*/*")).await,
        ask(&one, 60.0, ("x-cutover-reason", "the numbers are good")).await,
    ];
    assert!(!others.contains(&first), "another person, another share, another reason: {others:?}");
    let waiting = api.root().get("/changes").await.expect(200).body["changes"].clone();
    assert_eq!(waiting.as_array().unwrap().len(), 4, "{waiting:#}");
    let records = api.root().get("/audit?action=change.ask").await.expect(200).body["records"].clone();
    assert_eq!(records.as_array().unwrap().len(), 4, "{records:#}");

    one.send("DELETE", &format!("/changes/{first}"), &[], None).await.expect(200);
    assert_ne!(ask(&one, 60.0, ("accept", "*/*")).await, first, "the one that was withdrawn waits no more");
}
