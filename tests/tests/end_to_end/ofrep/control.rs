//! The part `ofrep` on its way from a file to the Worker, and out of it again.

use super::{FLAGS, SERVER, TOKENS, USER, VALUES, keys};
use axum::{Json, Router, routing::post};
use cutover_core::{
    PartsPerMillion, Revision,
    measurement::answer::{Answer, Brake},
};
use cutover_tests::{
    http,
    patience::until,
    proxied::{SingleRouteWorker, single_route},
    server::Server,
    stack::{INGEST_SECRET, Options, Stack},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
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

/// Time within which an isolate in use hears of a brake: a question each 4.8 s, and the way. A busy machine takes
/// longer.
const HEARD: Duration = Duration::from_secs(12);

/// A control plane at revision 1. Once it brakes, the flag `everything` is off since revision 2.
struct ControlPlane {
    server: Server,
    brakes: Arc<AtomicBool>,
}

impl ControlPlane {
    async fn start(brakes: bool) -> Self {
        let brakes = Arc::new(AtomicBool::new(brakes));
        let brake = Brake {
            revision: Revision(2),
            flag: "everything".parse().unwrap(),
            enabled: false,
            rollout: PartsPerMillion::ZERO,
        };
        let calm = Answer::at(Revision(1));
        let braking = Answer { brakes: vec![brake], ..Answer::at(Revision(2)) };
        let is_braking = Arc::clone(&brakes);
        let answer = move || {
            let told = if is_braking.load(Ordering::SeqCst) { braking.clone() } else { calm.clone() };
            async { Json(told) }
        };
        Self { server: Server::start(Router::new().route("/v1/questions", post(answer))).await, brakes }
    }

    fn brake(&self) {
        self.brakes.store(true, Ordering::SeqCst);
    }

    /// Starts a Worker that asks this control plane. Its snapshot stays at revision 1.
    async fn worker(&self, more: &[(&str, &str)]) -> SingleRouteWorker {
        let nowhere = "http://127.0.0.1:9";
        let route = single_route(nowhere, nowhere, 1_000, "enabled: true, rollout_percentage: 100", "");
        let yaml = format!("{route}{VALUES}ofrep:\n  {TOKENS}\n");
        let url = self.server.url();
        let mut variables = vec![("INGEST_URL", url.as_str()), ("CUTOVER_INGEST_SECRET", INGEST_SECRET)];
        variables.extend(more);
        SingleRouteWorker::configured(&yaml, &variables).await
    }
}

/// Evaluates all flags for a client that holds an answer, if it has a tag.
async fn poll(edge: &SingleRouteWorker, tag: Option<&str>) -> http::Answer {
    let mut headers = vec![("x-api-key", SERVER)];
    headers.extend(tag.map(|tag| ("if-none-match", tag)));
    http::send(edge.port(), "POST", FLAGS, &headers, USER.as_bytes()).await
}

/// Returns value and reason of the flag that the brake lowers.
fn everything(answer: &http::Answer) -> (Value, Value) {
    assert_eq!(answer.status, 200, "{:?}", String::from_utf8_lossy(&answer.body));
    let body = answer.json();
    let mut flags = body["flags"].as_array().unwrap().iter();
    let flag = flags.find(|flag| flag["key"] == "everything").unwrap();
    (flag["value"].clone(), flag["reason"].clone())
}

/// A browser polls with the tag of what it holds: the brake has to change the tag.
#[tokio::test(flavor = "multi_thread")]
async fn an_isolate_that_only_evaluates_flags_hears_of_brakes_without_a_snapshot() {
    let control = ControlPlane::start(false).await;
    let edge = control.worker(&[]).await;
    let first = poll(&edge, None).await;
    assert_eq!(everything(&first).0, json!(true));
    let tag = first.header("etag").unwrap();
    assert_eq!(poll(&edge, Some(&tag)).await.status, 304);
    control.brake();
    until(HEARD, "another answer", async || poll(&edge, Some(&tag)).await.status != 304).await;
    let braked = poll(&edge, Some(&tag)).await;
    assert_eq!(everything(&braked), (json!(false), json!("DISABLED")));
    let tag = braked.header("etag").unwrap();
    assert_eq!(poll(&edge, Some(&tag)).await.status, 304);
}

/// An isolate asks while requests come. One that starts, or rested, would answer by what it last heard.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_evaluation_after_a_rest_knows_of_a_brake() {
    let started = ControlPlane::start(true).await;
    let edge = started.worker(&[]).await;
    assert_eq!(everything(&poll(&edge, None).await).0, json!(false), "the first evaluation of an isolate");

    let control = ControlPlane::start(false).await;
    // A rest shorter than that from one question to the next, so that none is sent behind earlier requests.
    let edge = control.worker(&[("CONTROL_LEASE_MS", "300")]).await;
    let first = poll(&edge, None).await;
    assert_eq!(everything(&first).0, json!(true));
    // An isolate's first question comes within a second, and the next one no sooner than 4 s after that.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    control.brake();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let tag = first.header("etag").unwrap();
    let woken = poll(&edge, Some(&tag)).await;
    assert_eq!(everything(&woken), (json!(false), json!("DISABLED")));
}
