//! The part `ofrep` on its way from a file to the Worker, and out of it again.

use super::{FLAGS, SERVER, TOKENS, USER, VALUES, keys};
use cutover_tests::{
    http,
    stack::{Options, Stack},
};
use serde_json::json;
use std::collections::BTreeMap;

const YAML: [(&str, &str); 1] = [("content-type", "application/yaml")];

#[tokio::test(flavor = "multi_thread")]
async fn a_file_opens_the_endpoints_and_a_file_without_the_part_closes_them_only_with_prune() {
    let worker_variables = BTreeMap::from([("SNAPSHOT_SOFT_TTL_MS", "100".to_owned())]);
    let stack = Stack::start(Options { worker_variables, ..Options::default() }.enforcing()).await;
    let management = stack.management();
    let apply = async |path: &str, text: &str| {
        let applied = management.send("PUT", path, &YAML, Some(text)).await.expect(200);
        stack.edge_holds(applied.body["revision"].as_u64().unwrap()).await;
    };
    let changes = async |path: &str, text: &str| {
        management.send("PUT", path, &YAML, Some(text)).await.expect(200).body["changes"].clone()
    };
    let ask = async || {
        let headers = [("x-api-key", SERVER)];
        http::send(stack.edge.port(), "POST", FLAGS, &headers, USER.as_bytes()).await
    };
    apply("/config", &format!("{VALUES}ofrep:\n  {TOKENS}\n")).await;
    assert_eq!(keys(&ask().await), ["colour", "limits", "shop.discount", "shop.split", "switch"]);

    // What is exported can be applied again, and has no token in it.
    let exported = management.get("/config").await.expect(200).body;
    assert_eq!(exported["ofrep"]["tokens"][1]["name"], json!("server"), "{exported:#}");
    assert!(!exported.to_string().contains(SERVER));
    assert_eq!(changes("/config?dry_run=true&prune=true", &exported.to_string()).await, json!([]));

    let wrong = format!("{VALUES}ofrep: {{ tokens: [{{ name: web, sha256: {SERVER}, flags: [\"*\"] }}] }}\n");
    let refused = management.send("PUT", "/config", &YAML, Some(&wrong)).await;
    assert_eq!(refused.status, 422, "{:#}", refused.body);
    let told = refused.body.to_string();
    assert!(told.contains("64 hexadecimal digits") && !told.contains(SERVER), "{told}");

    assert_eq!(changes("/config?dry_run=true", VALUES).await, json!([]));
    let removed = changes("/config?dry_run=true&prune=true", VALUES).await;
    let names: Vec<_> = removed.as_array().unwrap().iter().map(|change| &change["section"]).collect();
    assert_eq!(names, [&json!("ofrep")]);
    apply("/config?prune=true", VALUES).await;
    assert_eq!(ask().await.status, 404);
    assert!(stack.denied().is_empty(), "{:?}", stack.denied());
    assert!(!stack.lambda.output().contains(SERVER), "a token is in the log");
}
