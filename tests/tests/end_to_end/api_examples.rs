//! docs/api-examples.md is what the management API answers: a fixed scenario is played against the functions, and the page
//! that it makes is compared with the one in the repository, as are the examples of the OpenAPI document. With
//! CUTOVER_UPDATE=1 both are written instead.

pub mod page;

use cutover_core::measurement::batch::{Batch, window_of};
use cutover_lambda::clock;
use cutover_tests::{
    batches::store_batch,
    client::Management,
    functions::platform,
    openapi::{document_file, example_file, joined, operation_ids, routed, written},
    paths,
    stack::{Options, Stack},
};
use page::{Masks, pretty, unmarked};
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

/// Beginning of the page.
const HEAD: &str = "# Examples of the management API

A request and its response for every path of the [management API](api.md), from one scenario that is played against the
functions. `tests/tests/end_to_end/api_examples.rs` compares this page with what they answer, and writes it if
`CUTOVER_UPDATE=1` is set. Times and identifiers are replaced, long lists and texts end with `…`, and every request also has
`Authorization: Bearer TOKEN`. [openapi.json](openapi.json) has the first request of each kind with its response.
";

/// Configuration of the scenario.
const CONFIG: &str = "feature_flags:
  reviews_read: { enabled: true, rollout_percentage: 0, description: Reading reviews }
  reviews_write: { enabled: true, rollout_percentage: 10, description: Writing reviews }
canary_deployments:
  reviews_read:
    initial_percentage: 5
    promotion_steps: [5, 25, 100]
    step_duration_minutes: 60
    success_criteria: { max_error_rate: 0.05, max_response_time_p95: 500 }
    rollback_criteria: { max_error_rate: 0.1, max_response_time_p95: 1000 }
origins:
  rest: { url: \"https://legacy.example.com\" }
  graphql: { url: \"https://new.example.com\" }
routes:
  - { id: reviews.read, match: { methods: [GET], path: \"/api/reviews/{*rest}\" },
      flag: reviews_read, legacy: rest, new: graphql }
  - { id: reviews.write, match: { methods: [POST, PUT, DELETE], path: \"/api/reviews/{*rest}\" },
      flag: reviews_write, legacy: rest, new: graphql }
";

/// Fields of the description of the API that the page shows.
const DESCRIBED: [&str; 2] = ["openapi", "info"];

fn path() -> PathBuf {
    paths::root().join("docs/api-examples.md")
}

/// A request of the scenario.
struct Call<'c> {
    /// Method and path, as the router has them.
    operation: &'c str,
    target: &'c str,
    headers: Vec<(&'c str, &'c str)>,
    body: Option<String>,
    status: u16,
}

impl<'c> Call<'c> {
    fn new(operation: &'c str, target: &'c str, status: u16) -> Self {
        Self { operation, target, headers: Vec::new(), body: None, status }
    }

    fn header(mut self, name: &'c str, value: &'c str) -> Self {
        self.headers.push((name, value));
        self
    }

    fn json(self, body: &Value) -> Self {
        self.of_type("application/json", body)
    }

    fn of_type(self, media_type: &'c str, body: &Value) -> Self {
        Self { body: Some(pretty(body, 0)), ..self }.header("content-type", media_type)
    }

    fn method(&self) -> &'c str {
        self.operation.split(' ').next().unwrap_or_default()
    }

    /// Returns the body by its media type, as the page shows it; `None` if there is none.
    fn content(&self, masks: &mut Masks) -> Option<Value> {
        let (body, (_, media_type)) =
            self.body.as_ref().zip(self.headers.iter().find(|(name, _)| *name == "content-type"))?;
        let body = match serde_json::from_str::<Value>(body) {
            Ok(body) => masks.value(&body),
            Err(_) => json!(masks.text(body)),
        };
        Some(json!({ *media_type: body }))
    }
}

/// The page while the scenario is played.
struct Page {
    text: String,
    masks: Masks,
    /// The first request of each operation with its response, for the OpenAPI document.
    examples: BTreeMap<String, Value>,
}

impl Page {
    /// Sends a request, adds it with its response to the page, and returns the body of the response.
    async fn show(&mut self, client: &Management, call: Call<'_>) -> Value {
        let answer = client.send(call.method(), call.target, &call.headers, call.body.as_deref()).await;
        assert_eq!(answer.status, call.status, "{} {}: {:#}", call.operation, call.target, answer.body);
        let is_first = !self.examples.contains_key(call.operation);
        if is_first {
            self.text.push_str(&format!("\n## `{}`\n", call.operation));
        }
        let mut request = format!("{} /api/migration{}\n", call.method(), call.target);
        for (name, value) in &call.headers {
            request.push_str(&format!("{name}: {value}\n"));
        }
        if let Some(body) = &call.body {
            request.push_str(&format!("\n{}\n", body.trim_end()));
        }
        let request = self.masks.text(&request);
        let body = self.masks.value(&answer.body);
        let (status, response) = (answer.status, pretty(&body, 0));
        self.text.push_str(&format!("\n```http\n{request}```\n\n{status}:\n\n```json\n{response}\n```\n"));
        if is_first {
            let content = call.content(&mut self.masks);
            self.examples.insert(call.operation.to_owned(), example(content, status, &body));
        }
        answer.body
    }
}

/// Returns an example for the OpenAPI document.
fn example(request: Option<Value>, status: u16, response: &Value) -> Value {
    let mut example = Map::new();
    if let Some(request) = request {
        example.insert("request".to_owned(), request);
    }
    example.insert("response".to_owned(), json!({ status.to_string(): response }));
    unmarked(Value::Object(example))
}

/// The counts that an isolate reports of both arms, and of compared responses.
fn batch(flag: &str, run: &str) -> Batch {
    let cell = |arm: &str, requests: u64, errors: u64, duration_ms: u64| {
        json!({
            "flag": flag, "route": "reviews.read", "arm": arm, "reason": "ROLLOUT", "revision": 2,
            "canary": [run, 0],
            "counts": {
                "requests": requests, "server_errors": errors, "duration_ms": duration_ms,
                "histogram": [[40, requests]],
            },
        })
    };
    let difference = json!({
        "path": "data[].rating", "kind": "type", "count": 12, "noise": 0, "example": ["4", "\"*\""],
    });
    let batch = json!({
        "schema": 3, "isolate": "0".repeat(32), "sequence": 1, "revision": 2,
        "cells": [cell("new", 500, 2, 60_000), cell("legacy", 9_500, 38, 1_330_000)],
        "comparisons": [{
            "flag": flag, "route": "reviews.read", "canary": [run, 0],
            "window": window_of(clock::now().millis()),
            "compared": 400, "mismatched": 12, "noise_compared": 40, "differences": [difference],
        }],
    });
    serde_json::from_value(batch).expect("a batch")
}

/// Stores the reports of a flag's run, and evaluates and judges them once.
pub async fn measure(stack: &Stack, flag: &str, run: &str) {
    let store = platform(&stack.dynamodb, &[]).await.store;
    store_batch(&store, &batch(flag, run)).await;
    for _ in 0..50 {
        stack.lambda.tick("evaluate").await.expect("evaluate answers");
        let status = stack.management().get("/status").await.expect(200).body;
        if status["measurement"]["requests"] == 10_000 {
            stack.lambda.tick("promote").await.expect("promote answers");
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("the reports are not counted");
}

async fn flags(page: &mut Page, root: &Management) {
    let apply = Call { body: Some(CONFIG.to_owned()), ..Call::new("PUT /config", "/config", 200) };
    page.show(root, apply.header("content-type", "application/yaml")).await;
    page.show(root, Call::new("GET /config", "/config", 200)).await;
    let created = json!({ "enabled": false, "rollout_percentage": 0, "description": "Searching reviews" });
    page.show(root, Call::new("PUT /flags/{name}", "/flags/search", 201).json(&created)).await;
    page.show(root, Call::new("GET /flags/{name}", "/flags/search", 200)).await;
    page.show(root, Call::new("POST /flags/{name}/enable", "/flags/search/enable", 200)).await;
    let rollout = "/flags/search/rollout";
    let raised = Call::new("PUT /flags/{name}/rollout", rollout, 200).json(&json!({ "percentage": 25.0 }));
    let tag = root.get("/flags/search").await.expect(200).etag.expect("an ETag");
    page.show(root, raised.header("if-match", &tag).header("idempotency-key", "raise-1")).await;
    let wrong = json!({ "percentage": 250 });
    page.show(root, Call::new("PUT /flags/{name}/rollout", rollout, 422).json(&wrong)).await;
    let disable = Call::new("POST /flags/{name}/disable", "/flags/search/disable", 200);
    page.show(root, disable.header("x-cutover-reason", "errors on checkout")).await;
    page.show(root, Call::new("DELETE /flags/{name}", "/flags/search", 200)).await;
    page.show(root, Call::new("GET /flags", "/flags", 200)).await;
    page.show(root, Call::new("GET /routes", "/routes", 200)).await;
    page.show(root, Call::new("GET /routes/{id}", "/routes/reviews.read", 200)).await;
    let explain = "/flags/reviews_write/explain?user=user-123";
    page.show(root, Call::new("GET /flags/{name}/explain", explain, 200)).await;
}

/// Shows the operations on a canary, up to a run that is under way.
async fn canary(page: &mut Page, root: &Management, stack: &Stack) {
    let start = Call::new("POST /canary/{name}/start", "/canary/reviews_read/start", 201);
    let run = page.show(root, start).await["run"].as_str().expect("a run").to_owned();
    measure(stack, "reviews_read", &run).await;
    page.show(root, Call::new("GET /canary", "/canary", 200)).await;
    page.show(root, Call::new("GET /canary/{name}", "/canary/reviews_read", 200)).await;
    let records = format!("/canary/reviews_read/runs/{run}/records?limit=1");
    page.show(root, Call::new("GET /canary/{name}/runs/{run}/records", &records, 200)).await;
    page.show(root, Call::new("GET /status", "/status", 200)).await;
    page.show(root, Call::new("GET /metrics", "/metrics", 200)).await;
    page.show(root, Call::new("GET /comparisons", "/comparisons", 200)).await;
    page.show(root, Call::new("POST /canary/{name}/approve", "/canary/reviews_read/approve", 200)).await;
    let promote = Call::new("POST /canary/{name}/promote", "/canary/reviews_read/promote", 200);
    page.show(root, promote.json(&json!({ "to_step": 1 }))).await;
    page.show(root, Call::new("POST /canary/{name}/pause", "/canary/reviews_read/pause", 200)).await;
    page.show(root, Call::new("POST /canary/{name}/resume", "/canary/reviews_read/resume", 200)).await;
    let rollback = Call::new("POST /canary/{name}/rollback", "/canary/reviews_read/rollback", 200);
    page.show(root, rollback.header("x-cutover-reason", "complaints")).await;
    page.show(root, Call::new("POST /canary/{name}/retry", "/canary/reviews_read/retry", 201)).await;
    page.show(root, Call::new("GET /canary/{name}/runs", "/canary/reviews_read/runs", 200)).await;
}

/// Shows the operations on an experiment, from a draft to its end.
async fn experiment(page: &mut Page, root: &Management) {
    let path = "/experiments/new_search";
    let variant = |key: &str, name: &str, arm: &str| json!({ "key": key, "name": name, "traffic_percentage": 50.0, "arm": arm });
    let written = json!({
        "name": "New search", "description": "More orders with the new search", "flag": "reviews_write",
        "traffic_percentage": 20.0, "success_metrics": ["orders"],
        "variants": [variant("control", "Old", "legacy"), variant("treatment", "New", "new")],
    });
    page.show(root, Call::new("PUT /experiments/{name}", path, 201).json(&written)).await;
    page.show(root, Call::new("GET /experiments/{name}", path, 200)).await;
    page.show(root, Call::new("POST /experiments/{name}/start", "/experiments/new_search/start", 200)).await;
    let assign = "/experiments/new_search/assign/user-2?country=NO";
    page.show(root, Call::new("GET /experiments/{name}/assign/{user}", assign, 200)).await;
    let results = Call::new("GET /experiments/{name}/results", "/experiments/new_search/results", 200);
    page.show(root, results).await;
    let records = Call::new("GET /experiments/{name}/records", "/experiments/new_search/records", 200);
    page.show(root, records).await;
    let owned = Call::new("PUT /flags/{name}/rollout", "/flags/reviews_write/rollout", 409);
    page.show(root, owned.json(&json!({ "percentage": 50.0 }))).await;
    page.show(root, Call::new("POST /experiments/{name}/pause", "/experiments/new_search/pause", 200)).await;
    let stop = Call::new("POST /experiments/{name}/stop", "/experiments/new_search/stop", 200);
    let outcome = json!({ "reason": "enough users", "decision": "keep the old one", "winner": "control" });
    page.show(root, stop.json(&outcome)).await;
    page.show(root, Call::new("GET /experiments", "/experiments", 200)).await;
    page.show(root, Call::new("DELETE /experiments/{name}", path, 200)).await;
}

async fn values(page: &mut Page, root: &Management) {
    let (flag, segment) = ("/value-flags/button", "/segments/staff");
    let condition =
        json!({ "type": "attribute", "name": "header:plan", "op": "equals", "values": ["staff"] });
    let staff = json!({ "description": "Our own people", "include": ["ann"], "conditions": [condition] });
    page.show(root, Call::new("PUT /segments/{name}", segment, 201).json(&staff)).await;
    let button = json!({
        "type": "string", "description": "Colour of the button", "enabled": true,
        "variants": { "blue": "#00f", "green": "#0f0" }, "default": { "weights": { "blue": 90, "green": 10 } },
        "off": "blue", "rules": [{ "segment": "staff", "variant": "green" }],
        "schedule": [{ "at": "2099-01-31T08:00:00Z", "set": { "default": "green" } }],
    });
    page.show(root, Call::new("PUT /value-flags/{name}", flag, 201).json(&button)).await;
    page.show(root, Call::new("GET /value-flags/{name}", flag, 200)).await;
    let explain = "/value-flags/button/explain?user=user-2&header:plan=staff";
    page.show(root, Call::new("GET /value-flags/{name}/explain", explain, 200)).await;
    let patch = Call::new("PATCH /value-flags/{name}", flag, 200);
    let even = json!({ "default": { "weights": { "blue": 50, "green": 50 } } });
    page.show(root, patch.of_type("application/merge-patch+json", &even)).await;
    for (operation, target) in [
        ("POST /value-flags/{name}/disable", "/value-flags/button/disable"),
        ("POST /value-flags/{name}/enable", "/value-flags/button/enable"),
    ] {
        page.show(root, Call::new(operation, target, 200)).await;
    }
    page.show(root, Call::new("GET /value-flags", "/value-flags", 200)).await;
    page.show(root, Call::new("GET /segments/{name}", segment, 200)).await;
    let patch = Call::new("PATCH /segments/{name}", segment, 200);
    let more = json!({ "include": ["ann", "bob"] });
    page.show(root, patch.of_type("application/merge-patch+json", &more)).await;
    page.show(root, Call::new("GET /segments", "/segments", 200)).await;
    page.show(root, Call::new("GET /stale-flags", "/stale-flags", 200)).await;
    page.show(root, Call::new("DELETE /value-flags/{name}", flag, 200)).await;
    page.show(root, Call::new("DELETE /segments/{name}", segment, 200)).await;
}

async fn emergencies_and_log(page: &mut Page, root: &Management) {
    let reason = json!({ "reason": "errors on checkout" });
    let declared = json!({ "reason": "errors on checkout", "flags": ["reviews_write"] });
    let rollback = Call::new("POST /emergency/rollback", "/emergency/rollback", 200);
    page.show(root, rollback.json(&declared)).await;
    page.show(root, Call::new("GET /emergency", "/emergency", 200)).await;
    page.show(root, Call::new("POST /emergency/clear", "/emergency/clear", 200).json(&reason)).await;
    page.show(root, Call::new("GET /publication", "/publication", 200)).await;
    page.show(root, Call::new("POST /publication", "/publication", 200)).await;
    page.show(root, Call::new("GET /audit", "/audit?object=emergency&limit=2", 200)).await;
    page.show(root, Call::new("GET /audit/verify", "/audit/verify", 200)).await;
    // Changes too large for the list.
    let users: Vec<String> = (0..4_200).map(|number| format!("user-{number:069}")).collect();
    let large = json!({ "enabled": false, "user_whitelist": users });
    let revision = root.put("/flags/large", &large).await.expect(201).body["revision"].clone();
    root.send("DELETE", "/flags/large", &[], None).await.expect(200);
    let changes = format!("/audit/{revision}/changes?part=0");
    page.show(root, Call::new("GET /audit/{revision}/changes", &changes, 200)).await;
}

async fn people(page: &mut Page, root: &Management) {
    let ann = json!({ "name": "ann", "role": "operator" });
    let made = page.show(root, Call::new("POST /tokens", "/tokens", 201).json(&ann)).await;
    let ann = root.with_token(made["token"].as_str().expect("a secret"));
    // Before there are others: tokens are sorted by their ids, which differ from run to run.
    page.show(root, Call::new("GET /tokens", "/tokens", 200)).await;
    let made = root.post("/tokens", &json!({ "name": "bob", "role": "operator" })).await.expect(201).body;
    let bob = root.with_token(made["token"].as_str().expect("a secret"));
    let id = made["id"].as_str().expect("an id").to_owned();
    page.show(&ann, Call::new("GET /whoami", "/whoami", 200)).await;

    let rollout = "/flags/reviews_write/rollout";
    let mut waiting = Vec::new();
    for percentage in [20, 30] {
        let asked = ann.put(rollout, &json!({ "percentage": percentage })).await.expect(202).body;
        waiting.push(format!("/changes/{}", asked["change"].as_str().expect("an id")));
    }
    page.show(&bob, Call::new("GET /changes/{id}", &waiting[0], 200)).await;
    page.show(&ann, Call::new("DELETE /changes/{id}", &waiting[1], 200)).await;
    page.show(&bob, Call::new("GET /changes", "/changes", 200)).await;
    let approve = format!("{}/approve", waiting[0]);
    page.show(&bob, Call::new("POST /changes/{id}/approve", &approve, 200)).await;

    let rotate = format!("/tokens/{id}/rotate");
    let grace = json!({ "grace_seconds": 3_600 });
    page.show(root, Call::new("POST /tokens/{id}/rotate", &rotate, 201).json(&grace)).await;
    page.show(root, Call::new("DELETE /tokens/{id}", &format!("/tokens/{id}"), 200)).await;
}

async fn the_end(page: &mut Page, root: &Management) {
    page.show(root, Call::new("POST /restore", "/restore", 200)).await;
    root.send("POST", "/canary/reviews_read/rollback", &[], None).await.expect(200);
    page.show(root, Call::new("DELETE /canary/{name}", "/canary/reviews_read", 200)).await;
    page.show(root, Call::new("DELETE /routes/{id}", "/routes/reviews.write", 200)).await;
    let patch = Call::new("PATCH /flags/{name}", "/flags/reviews_write", 200);
    let words = json!({ "description": "Writing and deleting reviews" });
    page.show(root, patch.of_type("application/merge-patch+json", &words)).await;
    let described = root.get("/openapi.json").await.expect(200).body;
    let described: Value =
        DESCRIBED.iter().map(|name| ((*name).to_owned(), described[*name].clone())).collect();
    page.examples.insert("GET /openapi.json".to_owned(), example(None, 200, &described));
    let response = pretty(&described, 0);
    page.text.push_str(&format!(
        "\n## `GET /openapi.json`\n\n```http\nGET /api/migration/openapi.json\n```\n\n200, its first fields:\n\n```json\n\
         {response}\n```\n"
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_are_what_the_functions_answer() {
    let variables = [("CUTOVER_TWO_PERSON", "true".to_owned())].into();
    let stack = Stack::start(Options { function_variables: variables, ..Options::default() }).await;
    let root = stack.management();
    let mut page = Page { text: HEAD.to_owned(), masks: Masks::default(), examples: BTreeMap::new() };
    flags(&mut page, &root).await;
    experiment(&mut page, &root).await;
    values(&mut page, &root).await;
    canary(&mut page, &root, &stack).await;
    emergencies_and_log(&mut page, &root).await;
    people(&mut page, &root).await;
    the_end(&mut page, &root).await;
    assert_eq!(
        page.examples.keys().cloned().collect::<BTreeSet<_>>(),
        routed(),
        "every route has an example"
    );
    let ids = operation_ids();
    let examples =
        page.examples.iter().map(|(operation, made)| (example_file(&ids[operation]), written(made)));
    if std::env::var_os("CUTOVER_UPDATE").is_some() {
        std::fs::write(path(), &page.text).expect("the page is written");
        examples.for_each(|(file, made)| std::fs::write(file, made).expect("the example is written"));
        std::fs::write(document_file(), joined()).expect("the document is written");
        return;
    }
    let held = std::fs::read_to_string(path()).expect("the page is there");
    let lines = || held.lines().zip(page.text.lines()).enumerate();
    let first = lines().find(|(_, (held, made))| held != made);
    assert!(
        held == page.text,
        "docs/api-examples.md is not what the functions answer, see line and difference: {first:?}; CUTOVER_UPDATE=1 \
         writes it anew"
    );
    for (file, made) in examples {
        let held = std::fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(held, made, "{}; CUTOVER_UPDATE=1 writes it anew", file.display());
    }
}

#[test]
fn every_route_has_an_example_on_the_page() {
    let held = std::fs::read_to_string(path()).expect("the page is there");
    let titles = held.lines().filter_map(|line| line.strip_prefix("## `")?.strip_suffix('`'));
    assert_eq!(titles.map(str::to_owned).collect::<BTreeSet<_>>(), routed());
}
