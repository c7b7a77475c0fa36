//! A flag has one owner: a canary run or a running experiment.

use super::experiment;
use cutover_tests::stack::{Options, Stack};
use serde_json::json;

/// A flag of the development configuration with a canary.
const FLAG: &str = "graphql_offers_read";

#[tokio::test(flavor = "multi_thread")]
async fn a_flag_of_an_experiment_has_no_canary_and_no_other_percentage() {
    let stack = Stack::start(Options::default()).await;
    let management = stack.management();
    management.apply(&stack.dev_configuration()).await.expect(200);
    management.send("POST", &format!("/flags/{FLAG}/enable"), &[], None).await.expect(200);
    let flag = management.get(&format!("/flags/{FLAG}")).await.expect(200).body;
    management.put("/experiments/e", &experiment(FLAG)).await.expect(201);
    let post =
        async |path: &str, status: u16| management.send("POST", path, &[], None).await.expect(status).body;

    // While a run of its canary is active, the experiment waits.
    let start = format!("/canary/{FLAG}/start");
    let run = post(&start, 201).await["run"].as_str().unwrap().to_owned();
    let refused = post("/experiments/e/start", 409).await;
    assert_eq!(refused["code"], "flag_owned");
    assert!(refused["detail"].as_str().unwrap().contains(&run), "{refused:#}");
    let mut running = experiment(FLAG);
    running["state"] = json!("running");
    assert_eq!(management.put("/experiments/e", &running).await.expect(409).body["code"], "flag_owned");
    post(&format!("/canary/{FLAG}/rollback"), 200).await;
    post("/experiments/e/start", 200).await;

    // From then on the experiment owns the flag.
    let rollout = format!("/flags/{FLAG}/rollout");
    let share =
        management.get(&format!("/flags/{FLAG}")).await.expect(200).body["rollout_percentage"].clone();
    for refused in [
        post(&start, 409).await,
        post(&format!("/canary/{FLAG}/retry"), 409).await,
        management.put(&rollout, &json!({ "percentage": 33 })).await.expect(409).body,
        management.put("/experiments/other", &running).await.expect(409).body,
    ] {
        assert_eq!(refused["code"], "flag_owned", "{refused:#}");
        let detail = refused["detail"].as_str().unwrap();
        assert_eq!(detail, format!("the running experiment e owns the flag {FLAG}"));
    }
    management.put(&rollout, &json!({ "percentage": share })).await.expect(200);

    // A file leaves the percentage as it is, and says so.
    let text = format!("feature_flags: {{ {FLAG}: {{ enabled: true, rollout_percentage: 77 }} }}");
    let yaml = [("content-type", "application/yaml")];
    let trial = management.send("PUT", "/config?dry_run=true", &yaml, Some(&text)).await.expect(200).body;
    let warning = format!("{FLAG} stays at");
    let warnings = trial["warnings"].as_array().unwrap();
    assert!(
        warnings.iter().any(|said| said.as_str().unwrap().starts_with(&warning)
            && said.as_str().unwrap().contains("its experiment is running")),
        "{trial:#}"
    );
    assert_eq!(trial["moves"], json!([]));

    // A file that ends the experiment moves its users back.
    let mut config = management.get("/config").await.expect(200).body;
    config["ab_tests"]["e"]["state"] = json!("stopped");
    let json = [("content-type", "application/json")];
    let text = config.to_string();
    let refused = management.send("PUT", "/config", &json, Some(&text)).await.expect(409).body;
    assert_eq!(refused["code"], "moves_users_back");
    assert_eq!(refused["errors"][0]["field"], "ab_tests.e");
    let allowed = "/config?allow_moving_users=true";
    let applied = management.send("PUT", allowed, &json, Some(&text)).await.expect(200).body;
    assert_eq!(applied["moves"][0]["cause"], "experiment");
    assert_eq!(applied["moves"][0]["experiment"], "e");

    // A file of the time before does not start it again.
    config["ab_tests"]["e"]["state"] = json!("running");
    let refused = management.send("PUT", allowed, &json, Some(&config.to_string())).await.expect(409).body;
    assert_eq!(refused["code"], "experiment_state", "{refused:#}");
    post(&start, 201).await;
    assert_eq!(flag["enabled"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_experiment_starts_with_an_enabled_flag_that_no_emergency_holds() {
    let stack = Stack::start(Options::default()).await;
    let management = stack.management();
    management.apply(&stack.dev_configuration()).await.expect(200);
    management.send("POST", &format!("/flags/{FLAG}/disable"), &[], None).await.expect(200);
    management.put("/experiments/e", &experiment(FLAG)).await.expect(201);
    let start = async |status: u16| {
        management.send("POST", "/experiments/e/start", &[], None).await.expect(status).body
    };
    assert_eq!(start(409).await["code"], "flag_disabled");
    // A file has the same rule, and may enable the flag with the start.
    let mut file = management.get("/config").await.expect(200).body;
    file["ab_tests"]["e"]["state"] = json!("running");
    for path in ["/config?dry_run=true", "/config"] {
        let refused = management.put(path, &file).await.expect(409).body;
        assert_eq!(refused["code"], "flag_disabled", "{refused:#}");
        assert!(refused["detail"].as_str().unwrap().contains("the experiment e"), "{refused:#}");
    }
    file["feature_flags"][FLAG]["enabled"] = json!(true);
    let trial = management.put("/config?dry_run=true", &file).await.expect(200).body;
    assert_eq!(trial["moves"][0]["to"], 50.0, "{trial:#}");
    management.send("POST", &format!("/flags/{FLAG}/enable"), &[], None).await.expect(200);
    management.post("/emergency/rollback", &json!({ "reason": "fire" })).await.expect(200);
    assert_eq!(start(409).await["code"], "emergency_in_force");
    management.post("/emergency/clear", &json!({ "reason": "out" })).await.expect(200);
    assert_eq!(start(200).await["state"], "running");
    // Whatever is in force, an end is never refused.
    management.post("/emergency/rollback", &json!({ "reason": "fire" })).await.expect(200);
    management.post("/experiments/e/stop", &json!({ "reason": "fire" })).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_that_ends_at_zero_pauses_the_experiment_of_its_flag() {
    let stack = Stack::start(Options::default()).await;
    let management = stack.management();
    management.apply(&stack.dev_configuration()).await.expect(200);
    management.send("POST", &format!("/flags/{FLAG}/enable"), &[], None).await.expect(200);
    management.put("/experiments/e", &experiment(FLAG)).await.expect(201);
    management.send("POST", "/experiments/e/start", &[], None).await.expect(200);
    management.post("/emergency/rollback", &json!({ "reason": "errors" })).await.expect(200);
    // Whoever clears it is shown where the experiment sends its users, and nobody widens it meanwhile.
    let held = management.get("/emergency").await.expect(200).body["held_flags"].clone();
    let of_flag = held.as_array().unwrap().iter().find(|held| held["name"] == FLAG).unwrap();
    assert_eq!(of_flag["returns_to"], 50.0, "{held:#}");
    let mut wider = experiment(FLAG);
    for (variant, weight) in [(0, 10), (1, 90)] {
        wider["variants"][variant]["traffic_percentage"] = json!(weight);
    }
    let refused = management.put("/experiments/e", &wider).await.expect(409).body;
    assert_eq!(refused["code"], "emergency_in_force", "{refused:#}");
    let clear = json!({ "reason": "mended", "percentage": 0 });
    management.post("/emergency/clear", &clear).await.expect(200);
    let ended = management.get("/experiments/e").await.expect(200).body;
    assert_eq!(ended["state"], "paused", "it would send its users to the new backend: {ended:#}");
}
