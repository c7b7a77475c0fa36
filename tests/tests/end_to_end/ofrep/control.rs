//! The part `ofrep` on its way from a file to the Worker, and out of it again.

use super::{FLAGS, SERVER, TOKENS, USER, VALUES, keys};
use axum::{Json, Router, routing::post};
use cutover_core::{
    PartsPerMillion, Revision,
    measurement::answer::{Answer, Brake},
};
use cutover_tests::{
    http,
    proxied::{SingleRouteWorker, single_route},
    server::Server,
    stack::{INGEST_SECRET, Options, Stack},
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

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

#[tokio::test(flavor = "multi_thread")]
async fn an_isolate_that_only_evaluates_flags_hears_of_brakes_without_a_snapshot() {
    let brake = Brake {
        revision: Revision(2),
        flag: "everything".parse().unwrap(),
        enabled: false,
        rollout: PartsPerMillion::ZERO,
    };
    let told = Answer { brakes: vec![brake], ..Answer::at(Revision(2)) };
    let ask = move || {
        let told = told.clone();
        async { Json(told) }
    };
    let control = Server::start(Router::new().route("/v1/questions", post(ask))).await;
    let nowhere = "http://127.0.0.1:9";
    let route = single_route(nowhere, nowhere, 1_000, "enabled: true, rollout_percentage: 100", "");
    let yaml = format!("{route}{VALUES}ofrep:\n  {TOKENS}\n");
    let url = control.url();
    let variables = [("INGEST_URL", url.as_str()), ("CUTOVER_INGEST_SECRET", INGEST_SECRET)];
    // Workers KV stays at revision 1.
    let edge = SingleRouteWorker::configured(&yaml, &variables).await;
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let path = format!("{FLAGS}/everything");
        let answer =
            http::send(edge.port(), "POST", &path, &[("x-api-key", SERVER)], USER.as_bytes()).await.json();
        if answer["value"] == json!(false) {
            assert_eq!(answer["reason"], json!("DISABLED"), "{answer}");
            return;
        }
        assert!(Instant::now() < deadline, "the isolate heard nothing: {answer}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
