//! The published description of the management API: it names every route and no other, every role is answered as it says,
//! and whatever is sent that it allows, or nearly allows, the API stands.

use cutover_tests::{
    client::Management,
    openapi::routed,
    paths,
    rewriting::RewriteProxy,
    schemathesis,
    stack::{Options, ROOT_TOKEN, Stack},
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

fn document() -> Value {
    let text = std::fs::read_to_string(paths::root().join("docs/openapi.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Method, path and lowest role of every operation.
fn operations(document: &Value) -> Vec<(String, String, String)> {
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let role = operation["x-role"].as_str().unwrap_or_else(|| panic!("{method} {path} has no role"));
            operations.push((method.to_uppercase(), path.clone(), role.to_owned()));
        }
    }
    operations
}

#[test]
fn every_route_is_described_and_no_other() {
    let described: BTreeSet<String> =
        operations(&document()).into_iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    assert_eq!(routed(), described);
}

async fn started() -> Stack {
    let stack = Stack::start(Options::default()).await;
    stack.management().apply(&stack.dev_configuration()).await.expect(200);
    stack
}

/// A body that the operation takes.
fn body(method: &str, path: &str, config: &str) -> Option<String> {
    let value = match (method, path) {
        ("PUT", "/config") => return Some(config.to_owned()),
        ("PUT" | "PATCH", "/flags/{name}") => json!({ "enabled": false }),
        ("PUT", "/flags/{name}/rollout") => json!({ "percentage": 1 }),
        ("POST", "/emergency/rollback" | "/emergency/clear") => json!({ "reason": "drill" }),
        ("PUT", "/experiments/{name}") => json!({ "name": "E", "variants": { "a": "A", "b": "B" } }),
        ("POST", "/experiments/{name}/stop") => json!({ "reason": "drill" }),
        ("PUT", "/value-flags/{name}") => {
            json!({ "type": "boolean", "variants": { "a": true, "b": false }, "default": "a", "off": "b" })
        }
        ("PATCH", "/value-flags/{name}") => json!({ "enabled": false }),
        ("PUT" | "PATCH", "/segments/{name}") => json!({ "include": ["ann"] }),
        ("POST", "/tokens") => json!({ "name": "another", "role": "viewer" }),
        _ => return None,
    };
    Some(value.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_against_every_operation() {
    let stack = started().await;
    let root = stack.management();
    let roles = ["viewer", "operator", "admin"];
    let mut people: BTreeMap<&str, Management> = BTreeMap::new();
    for role in roles {
        let made = root.post("/tokens", &json!({ "name": role, "role": role })).await.expect(201);
        people.insert(role, root.with_token(made.body["token"].as_str().unwrap()));
    }
    let expired = json!({ "name": "short", "role": "admin", "expires_at": soon() });
    let expired = root.post("/tokens", &expired).await.expect(201);
    let revoked = root.post("/tokens", &json!({ "name": "gone", "role": "admin" })).await.expect(201);
    root.send("DELETE", &format!("/tokens/{}", revoked.body["id"].as_str().unwrap()), &[], None)
        .await
        .expect(200);
    tokio::time::sleep(std::time::Duration::from_millis(3_100)).await;
    let nobody: Vec<(&str, Management)> = [
        ("no token", String::new()),
        ("unknown", "ctv_0000".to_owned()),
        ("expired", expired.body["token"].as_str().unwrap().to_owned()),
        ("revoked", revoked.body["token"].as_str().unwrap().to_owned()),
    ]
    .into_iter()
    .map(|(what, token)| (what, root.with_token(&token)))
    .collect();
    let config = stack.dev_configuration();
    println!("{:<55} {:>8} {:>8} {:>8}  nobody", "", "viewer", "operator", "admin");
    for (method, path, lowest) in operations(&document()) {
        let target = path
            .replace("{name}", "graphql_reviews_write")
            .replace("{run}", "r1")
            .replace("{id}", "none")
            .replace("{user}", "u1");
        let body = body(&method, &path, &config);
        let mut row = Vec::new();
        for (at, role) in roles.iter().enumerate() {
            let answer = people[role].send(&method, &target, &[], body.as_deref()).await;
            let is_allowed = at >= roles.iter().position(|role| *role == lowest).unwrap();
            let is_refused = answer.status == 403 && answer.body["code"] == "role_too_low";
            assert_eq!(is_refused, !is_allowed, "{role}: {method} {path}: {:#}", answer.body);
            assert!(
                answer.status < 500 && answer.status != 401,
                "{role}: {method} {path}: {:#}",
                answer.body
            );
            row.push(answer.status);
        }
        for (what, somebody) in &nobody {
            let answer = somebody.send(&method, &target, &[], body.as_deref()).await;
            assert_eq!(answer.status, 401, "{what}: {method} {path}: {:#}", answer.body);
            assert_eq!(answer.content_type, "application/problem+json");
        }
        println!("{:<55} {:>8} {:>8} {:>8}  401", format!("{method} {path}"), row[0], row[1], row[2]);
    }
    // What a parameter changes: looking needs less than applying, and removing more.
    for (target, expected) in
        [("/config?dry_run=true", [200, 200, 200]), ("/config?prune=true", [403, 403, 200])]
    {
        for (role, expected) in roles.iter().zip(expected) {
            let answer = people[role].send("PUT", target, &[], Some(&config)).await;
            assert_eq!(answer.status, expected, "{role}: {target}: {:#}", answer.body);
        }
    }
    let output = stack.lambda.output();
    assert!(!output.contains("ctv_"), "a secret is in the log");
}

fn soon() -> String {
    let now = cutover_lambda::clock::now();
    cutover_core::Timestamp::from_millis(now.millis() + 3_000).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_makes_the_api_fail() {
    let stack = started().await;
    let served = stack.management().get("/openapi.json").await.expect(200).body;
    assert_eq!(served, document(), "what is served is what is published");
    let front = RewriteProxy::start(&stack.lambda.url("management"), |body| body).await;
    let url = format!("{}/api/migration", front.url());
    schemathesis::check(&paths::root().join("docs/openapi.json"), &url, ROOT_TOKEN).await;
    let output = stack.lambda.output();
    assert!(!output.contains("panicked"), "a function panicked");
}
