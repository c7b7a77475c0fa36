//! A flag that hundreds of others need, and a second person.

use super::api::Api;
use cutover_tests::client::Answer;
use serde_json::{Value, json};

/// Flags with values behind the one that is enabled.
const BEHIND: usize = 800;

/// Enabling it would be too large to wait if each of the others were listed.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_person_approves_a_flag_that_many_others_need() {
    let api = Api::start(&[("CUTOVER_TWO_PERSON", "true")]).await;
    let (root, one, two) = (api.root(), api.person("one").await, api.person("two").await);
    let norway = json!({ "type": "attribute", "name": "country", "op": "in", "values": ["NO", "SE"] });
    let rule = json!({ "conditions": [norway], "variant": "x" });
    let flag = |enabled: bool, default: &str, needed: Value| {
        json!({
            "type": "boolean", "enabled": enabled, "variants": { "x": true, "y": false },
            "default": default, "off": "y", "prerequisites": needed, "rules": [rule],
        })
    };
    let behind = flag(true, "x", json!([{ "flag": "gate", "variant": "x" }]));
    let mut config = root.get("/config").await.expect(200).body;
    let flags: serde_json::Map<String, Value> =
        (0..BEHIND).map(|number| (format!("behind-{number:04}"), behind.clone())).collect();
    config["flags"] = Value::Object(flags);
    config["flags"]["gate"] = flag(false, "x", json!([]));
    root.apply(&config.to_string()).await.expect(200);
    let ask = async || one.send("POST", "/value-flags/gate/enable", &[], None).await.expect(202).body;
    let approve = async |asked: &Value| -> Answer {
        let path = format!("/changes/{}/approve", asked["change"].as_str().unwrap());
        two.send("POST", &path, &[], None).await
    };
    let told = |details: &Value| -> Value {
        let details = details.as_array().unwrap();
        details.iter().find_map(|detail| detail.get("enables_through_others").cloned()).expect("the others")
    };
    let asked = ask().await;
    let others = told(&asked["changes"]);
    assert_eq!((&others["count"], &others["first"][49]), (&json!(BEHIND), &json!("behind-0049")));
    assert_eq!(others["first"].as_array().unwrap().len(), 50);
    // Another person changes one that is not named.
    let other = flag(true, "y", json!([{ "flag": "gate", "variant": "x" }]));
    root.put("/value-flags/behind-0700", &other).await.expect(200);
    let refused = approve(&asked).await.expect(409).body;
    assert_eq!(refused["code"], "changed_since_asked", "{refused:#}");
    let now = told(&refused["difference"]["now"]);
    assert!(now["digest"] != others["digest"] && now["count"] == others["count"], "{refused:#}");
    approve(&ask().await).await.expect(200);
    let enabled = root.get("/value-flags/gate").await.expect(200).body["in_force"].clone();
    assert_eq!(enabled["enabled"], true);
}
