//! The management API: the established bodies, roles, preconditions, idempotency, and errors that say what to do.

use cutover_tests::{
    client::Management,
    stack::{Options, Stack},
};
use serde_json::{Value, json};

/// Starts a stack whose functions may do what their roles allow, and nothing else.
async fn started() -> Stack {
    let stack = Stack::start(Options::default().enforcing()).await;
    stack.management().apply(&stack.dev_configuration()).await.expect(200);
    stack
}

async fn token(management: &Management, name: &str, role: &str) -> (Management, String) {
    let made = management.post("/tokens", &json!({ "name": name, "role": role })).await.expect(201);
    (
        management.with_token(made.body["token"].as_str().unwrap()),
        made.body["id"].as_str().unwrap().to_owned(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_live_and_die() {
    let stack = started().await;
    let management = stack.management();
    let flag = json!({
        "enabled": true, "rollout_percentage": 25.0, "description": "A new one",
        "user_whitelist": ["user-123"], "user_blacklist": [],
    });
    let made = management.put("/flags/fresh", &flag).await.expect(201);
    for (name, value) in flag.as_object().unwrap() {
        assert_eq!(made.body[name], *value, "{name}");
    }
    assert_eq!((&made.body["name"], &made.body["salt"]), (&json!("fresh"), &json!("fresh")));
    assert_eq!(made.body["published"], true);
    assert_eq!(made.body["updated_by"], "root");
    let version = made.body["version"].as_u64().unwrap();
    assert_eq!(made.etag, Some(format!("\"{version}\"")));

    // What was read may be written back.
    let read = management.get("/flags/fresh").await.expect(200);
    management.put("/flags/fresh", &read.body).await.expect(200);
    let off = management.send("POST", "/flags/fresh/disable", &[], None).await.expect(200);
    assert_eq!(off.body["enabled"], false);
    let again = management.send("POST", "/flags/fresh/disable", &[], None).await.expect(200);
    assert_eq!(again.body["revision"], off.body["revision"], "nothing to change is no revision");
    management.send("POST", "/flags/fresh/enable", &[], None).await.expect(200);
    let set = management.put("/flags/fresh/rollout", &json!({ "percentage": 0.0001 })).await.expect(200);
    assert_eq!(set.body["rollout_percentage"], 0.0001);

    let list = management.get("/flags").await.expect(200);
    let names: Vec<_> =
        list.body["flags"].as_array().unwrap().iter().map(|flag| flag["name"].clone()).collect();
    assert_eq!(names, ["fresh", "graphql_offers_read", "graphql_reviews_read", "graphql_reviews_write"]);

    let in_use = management.send("DELETE", "/flags/graphql_reviews_read", &[], None).await.expect(409);
    assert_eq!(in_use.body["code"], "flag_in_use");
    assert!(
        in_use.body["detail"].as_str().unwrap().contains("the route reviews.read, its canary"),
        "{in_use:?}"
    );
    management.send("DELETE", "/flags/fresh", &[], None).await.expect(200);
    management.get("/flags/fresh").await.expect(404);

    let history = management.get("/audit?flag=fresh").await.expect(200);
    let actions: Vec<_> =
        history.body["records"].as_array().unwrap().iter().map(|r| r["action"].clone()).collect();
    assert_eq!(actions, ["flag.delete", "flag.rollout", "flag.enable", "flag.disable", "flag.put"]);
    let since = history.body["records"][1]["at"].as_str().unwrap().to_owned();
    let newer = management.get(&format!("/audit?flag=fresh&since={since}")).await.expect(200);
    assert_eq!(newer.body["records"].as_array().unwrap().len(), 2);
    let page = management.get("/audit?flag=fresh&limit=2").await.expect(200);
    let next = page.body["next_before"].as_str().unwrap().to_owned();
    let rest = management.get(&format!("/audit?flag=fresh&before={next}")).await.expect(200);
    assert_eq!(rest.body["records"].as_array().unwrap().len(), 3);
    assert_eq!(stack.denied(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn status_has_the_established_shape() {
    let stack = started().await;
    let status = stack.management().get("/status").await.expect(200).body;
    assert_eq!(
        status["migration_progress"],
        json!({
            "phase": "read_operations",
            "completion_percentage": 25.0,
            "active_flags": ["graphql_offers_read", "graphql_reviews_read"],
            "traffic_distribution": { "graphql": 25.0, "rest": 75.0 },
        })
    );
    assert_eq!(status["health"], json!({ "status": "healthy", "error_rate": 0.0, "avg_response_time": 0 }));
    let measurement = &status["measurement"];
    assert!(
        measurement["error_rate"].is_null() && measurement["avg_response_time_ms"].is_null(),
        "{status:#}"
    );

    // A flag declares its phase, and a GET may be sent back.
    let path = "/flags/graphql_offers_read";
    let flag = stack.management().get(path).await.expect(200).body;
    assert_eq!(flag["phase"], Value::Null);
    let mut declared = flag.clone();
    declared["phase"] = json!("write_operations");
    assert_eq!(stack.management().put(path, &declared).await.expect(200).body["phase"], "write_operations");
    let status = stack.management().get("/status").await.expect(200).body;
    assert_eq!(status["migration_progress"]["phase"], "write_operations");
    stack.management().put(path, &flag).await.expect(200);
    declared["phase"] = json!("completed");
    let refused = stack.management().put(path, &declared).await.expect(422);
    assert_eq!(refused.body["field"], "phase", "{refused:?}");

    // Before the first move, and after the last one.
    for flag in ["graphql_offers_read", "graphql_reviews_read"] {
        let off = format!("/flags/{flag}/disable");
        stack.management().send("POST", &off, &[], None).await.expect(200);
    }
    let status = stack.management().get("/status").await.expect(200).body;
    assert_eq!(status["migration_progress"]["phase"], "preparation");
    assert_eq!(status["migration_progress"]["active_flags"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_against_every_endpoint() {
    let stack = started().await;
    let root = stack.management();
    let (viewer, viewer_id) = token(&root, "dashboard", "viewer").await;
    let (operator, _) = token(&root, "on call", "operator").await;
    let (admin, _) = token(&root, "lead", "admin").await;
    let nobody = root.with_token("");
    let stranger = root.with_token("ctv_0000");
    let flag = json!({ "enabled": true }).to_string();
    let share = json!({ "percentage": 1 }).to_string();
    let reason = json!({ "reason": "drill" }).to_string();
    let config = stack.dev_configuration();
    // Expected for viewer, operator, admin, in this order, so that each row finds what it needs.
    let table: [(&str, &str, Option<&str>, [u16; 3]); 19] = [
        ("GET", "/flags", None, [200, 200, 200]),
        ("GET", "/flags/graphql_reviews_read", None, [200, 200, 200]),
        ("GET", "/flags/graphql_reviews_read/explain?user=u", None, [200, 200, 200]),
        ("GET", "/status", None, [200, 200, 200]),
        ("GET", "/emergency", None, [200, 200, 200]),
        ("GET", "/audit", None, [200, 200, 200]),
        ("GET", "/config", None, [200, 200, 200]),
        ("PUT", "/config?dry_run=true", Some(&config), [200, 200, 200]),
        ("PUT", "/config", Some(&config), [403, 200, 200]),
        ("PUT", "/flags/mine", Some(&flag), [403, 201, 200]),
        ("POST", "/flags/mine/disable", None, [403, 200, 200]),
        ("POST", "/flags/mine/enable", None, [403, 200, 200]),
        ("PUT", "/flags/mine/rollout", Some(&share), [403, 200, 200]),
        ("DELETE", "/flags/mine", None, [403, 403, 200]),
        ("PUT", "/config?prune=true", Some(&config), [403, 403, 200]),
        ("POST", "/emergency/rollback", Some(&reason), [403, 200, 200]),
        ("POST", "/emergency/clear", Some(&reason), [403, 200, 409]),
        ("GET", "/tokens", None, [403, 403, 200]),
        ("DELETE", "/tokens/nope", None, [403, 403, 404]),
    ];
    for (method, path, body, expected) in table {
        for (client, expected) in [&viewer, &operator, &admin].into_iter().zip(expected) {
            let answer = client.send(method, path, &[], body).await;
            assert_eq!(answer.status, expected, "{method} {path}: {:#}", answer.body);
        }
        for client in [&nobody, &stranger] {
            let answer = client.send(method, path, &[], body).await.expect(401);
            assert_eq!(answer.content_type, "application/problem+json");
        }
    }
    // A name in the audit log is the name of the token, and a revoked token is nobody's.
    let records = admin.get("/audit?flag=mine").await.body["records"].clone();
    let records = records.as_array().unwrap();
    assert!(records.iter().any(|record| record["actor"] == "lead"), "{records:#?}");
    admin.send("DELETE", &format!("/tokens/{viewer_id}"), &[], None).await.expect(200);
    viewer.get("/flags").await.expect(401);
    let listed = admin.get("/tokens").await.expect(200).body.to_string();
    assert!(!listed.contains("ctv_") && !listed.contains("dashboard"), "{listed}");
    let output = stack.lambda.output();
    assert!(!output.contains("ctv_"), "a secret is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn preconditions_and_idempotency() {
    let stack = started().await;
    let management = stack.management();
    let path = "/flags/graphql_reviews_read/rollout";
    let share = |percentage: f64| json!({ "percentage": percentage }).to_string();
    let tag = management.get("/flags/graphql_reviews_read").await.etag.unwrap();
    management.send("PUT", path, &[("if-match", &tag)], Some(&share(30.0))).await.expect(200);
    for headers in [("if-match", tag.as_str()), ("if-match", "\"none\""), ("if-none-match", "*")] {
        let answer = management.send("PUT", path, &[headers], Some(&share(31.0))).await.expect(412);
        assert_eq!(answer.body["code"], "changed_meanwhile", "{headers:?}");
    }
    management.send("PUT", path, &[("if-match", "*")], Some(&share(32.0))).await.expect(200);
    let flag = json!({ "enabled": true }).to_string();
    management.send("PUT", "/flags/new", &[("if-match", "*")], Some(&flag)).await.expect(412);
    management.send("PUT", "/flags/new", &[("if-none-match", "*")], Some(&flag)).await.expect(201);

    // The same request twice: one change, one record, one answer.
    let key = [("idempotency-key", "7e3c1f4a")];
    let off = management.send("POST", "/flags/new/disable", &key, None).await.expect(200);
    management.send("POST", "/flags/new/enable", &[], None).await.expect(200);
    let again = management.send("POST", "/flags/new/disable", &key, None).await.expect(200);
    assert!(again.replayed && !off.replayed);
    assert_eq!(again.body, off.body);
    assert_eq!(
        management.get("/flags/new").await.body["enabled"],
        true,
        "the repeated request changed nothing"
    );
    let misused = management.send("POST", "/flags/new/enable", &key, None).await.expect(422);
    assert_eq!(misused.body["code"], "idempotency_key_reused");
    // Sixteen at once.
    let repeated: Vec<_> = (0..16)
        .map(|_| {
            let management = management.clone();
            tokio::spawn(async move {
                let key = [("idempotency-key", "at-once")];
                management.send("PUT", "/flags/new/rollout", &key, Some(r#"{"percentage":77}"#)).await
            })
        })
        .collect();
    let mut revisions = Vec::new();
    for answer in repeated {
        revisions.push(answer.await.unwrap().expect(200).body["revision"].clone());
    }
    revisions.dedup();
    assert_eq!(revisions.len(), 1, "{revisions:?}");
    let reasoned = [("x-cutover-reason", "die Kurve sieht gut aus")];
    management.send("PUT", path, &reasoned, Some(&share(33.0))).await.expect(200);
    let record = management.get("/audit?limit=1").await.body["records"][0].clone();
    assert_eq!(record["reason"], "die Kurve sieht gut aus");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_say_what_to_do_and_change_nothing() {
    let stack = started().await;
    let management = stack.management();
    let before = management.get("/config").await.body;
    let cases: [(&str, &str, &str, u16, &str, &str); 19] = [
        ("PUT", "/flags/x", "{", 400, "body_not_json", ""),
        ("PUT", "/flags/x", "[]", 422, "invalid", "expected a map"),
        ("PUT", "/flags/x", r#"{"enabled":1}"#, 422, "invalid", "expected true or false"),
        ("PUT", "/flags/x", r#"{"enable":true}"#, 422, "invalid", "enable is not a field"),
        ("PUT", "/flags/x", r#"{"name":"y","enabled":true}"#, 422, "invalid", "the path"),
        ("PUT", "/flags/x", r#"{"rollout_percentage":101}"#, 422, "invalid", "not between 0 and 100"),
        ("PUT", "/flags/x", r#"{"conditions":[{"type":"moon"}]}"#, 422, "invalid", "not a type of condition"),
        ("PUT", "/flags/a%20b", r#"{"enabled":true}"#, 422, "invalid", "cannot be part of a name"),
        ("PUT", "/flags/graphql_reviews_read/rollout", r#"{"percentage":-1}"#, 422, "invalid", "not between"),
        (
            "PUT",
            "/flags/graphql_reviews_read/rollout",
            r#"{"percentage":0.00001}"#,
            422,
            "invalid",
            "four decimals",
        ),
        (
            "PUT",
            "/flags/graphql_reviews_read/rollout",
            r#"{"percentage":1,"x":2}"#,
            422,
            "invalid",
            "x is not a field",
        ),
        ("PUT", "/flags/nope/rollout", r#"{"percentage":1}"#, 404, "not_found", "nope"),
        ("POST", "/emergency/rollback", r#"{"reason":" "}"#, 422, "invalid", "reason is empty"),
        ("POST", "/emergency/rollback", r#"{"reason":"x","flags":["nope"]}"#, 404, "not_found", "nope"),
        ("POST", "/emergency/rollback", r#"{}"#, 422, "invalid", "reason"),
        ("GET", "/flags/x/explain?user=u&at=yesterday", "", 422, "invalid", "RFC 3339"),
        ("GET", "/flags/x/explain?colour=red", "", 422, "invalid", "colour"),
        ("GET", "/audit?limit=0", "", 422, "invalid", "the limit 0 is not"),
        ("POST", "/status", "", 405, "method_not_allowed", ""),
    ];
    for (method, path, body, status, code, detail) in cases {
        let answer = management.send(method, path, &[], Some(body)).await;
        assert_eq!(answer.status, status, "{method} {path} {body}: {:#}", answer.body);
        assert_eq!(
            (&answer.body["code"], answer.content_type.as_str()),
            (&json!(code), "application/problem+json")
        );
        assert!(answer.body["detail"].as_str().unwrap().contains(detail), "{path} {body}: {:#}", answer.body);
        assert!(!answer.body["hint"].as_str().unwrap().is_empty(), "{path} {body}: {:#}", answer.body);
    }
    assert_eq!(management.get("/nowhere").await.expect(404).body["code"], "path_unknown");
    assert_eq!(management.get("/config").await.body, before);
}

/// Ten mistakes, each in a line of its own.
const TEN_MISTAKES: &str = r#"feature_flags:
  reviews:
    enabled: "yes"
    rollout_percentage: 125
    user_whitelist: user-1
    conditions:
      - { type: time_window, start: "yesterday" }
      - { type: attribute, name: "header:x", op: equal, values: [a] }
  "bad name":
    rolout_percentage: 5
origins:
  rest: { url: "ftp://legacy.internal" }
routes:
  - { id: r, match: { methods: [get], path: "/api" },
      flag: revews, legacy: rest, new: rest }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_ten_mistakes_reports_all_ten_and_changes_nothing() {
    let stack = started().await;
    let management = stack.management();
    let before = management.get("/status").await.body["revision"].clone();
    let answer = management.apply(TEN_MISTAKES).await.expect(422);
    let errors = answer.body["errors"].as_array().unwrap();
    let lines: Vec<u64> = errors.iter().map(|error| error["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [3, 4, 5, 7, 8, 9, 10, 12, 14, 15], "{:#}", answer.body);
    assert!(errors.iter().all(|error| !error["hint"].as_str().unwrap().is_empty()));
    assert_eq!(management.get("/status").await.body["revision"], before);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_established_file_applies_and_what_is_exported_changes_nothing() {
    let stack = Stack::start(Options::default()).await;
    let management = stack.management();
    let file = include_str!("../../../docs/example.yaml");
    let dry = management.send("PUT", "/config?dry_run=true", &[], Some(file)).await.expect(200);
    assert_eq!(dry.body["changes"].as_array().unwrap().len(), 6);
    assert_eq!(management.get("/status").await.body["revision"], 0, "a dry run writes nothing");
    let applied = management.apply(file).await.expect(200);
    assert_eq!((&applied.body["revision"], &applied.body["published"]), (&json!(1), &json!(true)));
    let exported = management.get("/config").await.expect(200).body;
    let dry = management.put("/config?dry_run=true", &exported).await.expect(200);
    assert_eq!(dry.body["changes"], json!([]));
    let again = management.apply(file).await.expect(200);
    assert_eq!((&again.body["revision"], &again.body["changes"]), (&json!(1), &json!([])));
    // Only what the file names changes, unless it is told to prune.
    let one = json!({ "feature_flags": { "other": { "enabled": true } } });
    management.put("/config", &one).await.expect(200);
    assert_eq!(management.get("/flags").await.body["flags"].as_array().unwrap().len(), 2);
    let pruned = management.put("/config?prune=true&allow_moving_users=true", &one).await.expect(200);
    assert_eq!(pruned.body["changes"].as_array().unwrap().len(), 6);
    assert_eq!(
        management.get("/config").await.body["feature_flags"].as_object().map(|flags| flags.len()),
        Some(1)
    );
    assert_eq!(management.get("/config").await.body.get("routes"), None::<&Value>);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_flags_are_applied_in_parts_that_are_each_valid() {
    let stack = Stack::start(Options::default()).await;
    let management = stack.management();
    let mut flags = serde_json::Map::new();
    let mut routes = Vec::new();
    for at in 0..500 {
        flags.insert(format!("flag_{at}"), json!({ "enabled": true, "rollout_percentage": 50 }));
        routes.push(json!({ "id": format!("r{at}"), "match": { "path": format!("/r/{at}") },
            "flag": format!("flag_{at}"), "legacy": "o", "new": "o" }));
    }
    let file = json!({ "feature_flags": flags, "origins": { "o": { "url": "http://o.internal" } }, "routes": routes });
    let applied = management.put("/config", &file).await.expect(200);
    assert_eq!(applied.body["changes"].as_array().unwrap().len(), 1_001);
    assert_eq!(applied.body["published"], true);
    // 1001 objects, 97 in a transaction.
    assert_eq!(applied.body["revision"], 11);
    assert_eq!(management.put("/config?dry_run=true", &file).await.expect(200).body["changes"], json!([]));
}
