//! What is seen from outside: one trace through all parts, spans at a collector, names that dashboards, alarms and runbooks
//! share with what is really there.

use axum::{Json, Router, extract::State, routing::post};
use cutover_tests::{
    canary::{Canary, errors, plan},
    http, paths,
    server::Server,
    stack::{Options, Stack},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

type Spans = Arc<Mutex<Vec<Value>>>;

/// A collector of OpenTelemetry: what it receives, span by span.
async fn collector() -> (Server, Spans) {
    async fn receive(State(spans): State<Spans>, Json(body): Json<Value>) -> Json<Value> {
        for resource in body["resourceSpans"].as_array().into_iter().flatten() {
            let service = resource["resource"]["attributes"].clone();
            for span in resource["scopeSpans"].as_array().into_iter().flatten() {
                for span in span["spans"].as_array().into_iter().flatten() {
                    let mut span = span.clone();
                    span["resource"] = service.clone();
                    spans.lock().unwrap().push(span);
                }
            }
        }
        Json(json!({}))
    }
    let spans = Spans::default();
    let app = Router::new().route("/v1/traces", post(receive)).with_state(Arc::clone(&spans));
    (Server::start(app).await, spans)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_goes_through_all_parts() {
    let (collector, spans) = collector().await;
    // Also a busy machine sends each span in time.
    let patient = ("CUTOVER_FLUSH_MS", "5000".to_owned());
    let function_variables = BTreeMap::from([("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()), patient]);
    let stack = Stack::start(Options { function_variables, ..Options::default() }).await;
    stack.management().apply(&stack.dev_configuration()).await.expect(200);
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    let headers = [("traceparent", traceparent.as_str()), ("x-request-id", "mine-1")];
    let share = json!({ "percentage": 26 }).to_string();
    let url = format!("{}/api/migration/flags/graphql_reviews_read/rollout", stack.lambda.url("management"));
    let request = reqwest::Client::new().put(&url).bearer_auth(cutover_tests::stack::ROOT_TOKEN);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let answer = request.body(share).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let given = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
    assert_eq!(given("x-request-id"), Some("mine-1"));
    assert_eq!(
        (given("x-content-type-options"), given("cache-control")),
        (Some("nosniff"), Some("no-store"))
    );
    // On to KV, in the same trace, by the span that wrote.
    let written = stack.edge.store().traces();
    let last = written.last().expect("KV was written");
    assert!(last.contains(TRACE) && !last.contains(PARENT), "{last}");
    // In every line.
    let output = stack.lambda.output();
    let lines: Vec<Value> = output
        .lines()
        .filter(|line| line.contains(TRACE))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(lines.iter().any(|line| line["message"] == "committed"), "{output}");
    assert!(lines.iter().all(|line| line["span"]["request_id"] == "mine-1"), "{lines:#?}");
    // At the collector, under the span of the caller, before the function was frozen.
    let found = spans.lock().unwrap().clone();
    let span = found.iter().find(|span| span["traceId"] == TRACE).unwrap_or_else(|| panic!("{found:#?}"));
    assert_eq!(span["parentSpanId"], PARENT);
    assert_eq!(last.split('-').nth(2), span["spanId"].as_str());
    assert!(span["resource"].to_string().contains("cutover-management"), "{span:#}");
    // The Worker's reports begin traces of their own, which ingest names; ticks too.
    http::get(stack.edge.port(), "/api/v1/reviews/7", &[("x-user-id", "u1")]).await;
    let services = || -> BTreeSet<String> {
        let spans = spans.lock().unwrap();
        let attributes = spans.iter().flat_map(|span| span["resource"].as_array().unwrap());
        attributes
            .filter(|attribute| attribute["key"] == "service.name")
            .map(|attribute| attribute["value"]["stringValue"].as_str().unwrap().to_owned())
            .collect()
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !["cutover-ask", "cutover-ingest"].iter().all(|name| services().contains(*name)) {
        assert!(std::time::Instant::now() < deadline, "{:?}", services());
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    stack.tick().await;
    let expected =
        ["ask", "evaluate", "ingest", "management", "promote"].map(|name| format!("cutover-{name}"));
    assert_eq!(services(), BTreeSet::from(expected));
    // A request that names nothing gets names; one that would split a line gets others.
    let answer = reqwest::Client::new().get(&url).header("x-request-id", "two words").send().await.unwrap();
    let id = answer.headers()["x-request-id"].to_str().unwrap();
    assert!(!id.contains(' ') && !id.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_refuses_or_hangs_holds_nothing_up() {
    // Connections to it are accepted by the kernel, and nothing ever answers: its own time limit is 2 s, which
    // whoever waits for it waits at least.
    let hanging = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for collector in ["http://127.0.0.1:9".to_owned(), format!("http://{}", hanging.local_addr().unwrap())] {
        let function_variables = BTreeMap::from([("OTEL_EXPORTER_OTLP_ENDPOINT", collector.clone())]);
        let stack = Stack::start(Options { function_variables, ..Options::default() }).await;
        let mut slowest = std::time::Duration::ZERO;
        for _ in 0..8 {
            let begun = std::time::Instant::now();
            stack.management().get("/flags").await.expect(200);
            slowest = slowest.max(begun.elapsed());
        }
        println!("the slowest of 8 requests with the collector {collector}: {slowest:?}");
        assert!(slowest < std::time::Duration::from_millis(1_900), "{collector}: {slowest:?}");
    }
}

/// Words of a text that begin like this.
fn words<'t>(text: &'t str, beginning: &str) -> BTreeSet<&'t str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|w| w.starts_with(beginning))
        .collect()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(paths::root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The functions of a stack.
const FUNCTIONS: [&str; 5] = ["management", "ingest", "ask", "evaluate", "promote"];

/// Events of faults, and of acts that this stack does not see. Those that alarms count are asserted in counting.rs,
/// consistency.rs and evaluation.rs; no secret of a local stack is in Secrets Manager.
const NOT_HERE: [&str; 24] = [
    "batch_unreadable",
    "canary_undecided",
    "change_lapsed",
    "change_waits",
    "change_withdrawn",
    "complete",
    "cursor_held",
    "evidence_halved",
    "experiment_thinned",
    "flag_gap",
    "flag_unreadable",
    "harm_unrecorded",
    "isolates_lost",
    "jwks_unreachable",
    "lease_lost",
    "ledger_removed",
    "log_gap",
    "log_unread",
    "report_gap",
    "restart",
    "secret_unreadable",
    "setting_lowered",
    "spans_dropped",
    "tick_failed",
];

/// A function, and an event that it logs.
type Source = (String, String);

/// Returns the events of the table in the runbook, each with the functions that it names. The log of the Worker is not here.
fn documented_events(runbook: &str) -> BTreeSet<Source> {
    let (_, table) = runbook.split_once("| `event` | from | meaning |\n").expect("the table of events");
    let mut documented = BTreeSet::new();
    for row in table.lines().skip(1).take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.split(" | ").collect();
        let [events, functions, _] = cells[..] else { panic!("a row without three cells: {row}") };
        if functions.starts_with("the Worker") {
            continue;
        }
        for function in functions.split(", ") {
            assert!(FUNCTIONS.contains(&function), "{function} is no function: {row}");
            for event in events.split('`').skip(1).step_by(2) {
                documented.insert((function.to_owned(), event.to_owned()));
            }
        }
    }
    documented
}

/// Returns the events that the functions of a stack have logged.
fn logged_events(stack: &Stack) -> BTreeSet<Source> {
    let of_function = |function: &str| {
        let output = stack.lambda.output_of(function);
        let lines = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let events = lines.filter_map(|line| line["event"].as_str().map(str::to_owned));
        events.map(|event| (function.to_owned(), event)).collect::<Vec<_>>()
    };
    FUNCTIONS.into_iter().flat_map(of_function).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn dashboards_alarms_and_runbooks_name_only_what_exists() {
    // A canary that climbs, comes back, and is paused when it is tried again, so that everything that can be told is told.
    let canary = Canary::start(&plan(50.0, &[80.0, 100.0], ""), Options::default()).await;
    let traffic = canary.under_traffic(200.0).await;
    canary.tick_until("at the second step", 120, |status| status["step"] == 1).await;
    canary.new_fails(errors(0.5));
    canary.tick_until("rolled back", 120, |status| status["state"] == "rolled_back").await;
    traffic.stop().await;
    let stack = &canary.stack;
    stack.management().send("POST", "/publication", &[], None).await.expect(200);
    stack.management().with_token("ctv_wrong").get("/flags").await.expect(401);
    for (function, path) in [("ingest", "batches"), ("ingest", "questions"), ("ask", "questions")] {
        let url = format!("{}/v1/{path}", stack.lambda.url(function));
        let refused = reqwest::Client::new().post(&url).body("{}").send().await.unwrap();
        assert!(refused.status().is_client_error(), "{url}: {}", refused.status());
    }
    let answer = reqwest::Client::new()
        .get(format!("{}/api/migration/metrics", stack.lambda.url("management")))
        .bearer_auth(cutover_tests::stack::ROOT_TOKEN)
        .header("accept", "text/plain");
    let page = answer.send().await.unwrap().text().await.unwrap();
    let told = words(&page, "cutover_");
    for file in ["infra/observability/dashboard.json", "infra/observability/alerts.yaml"] {
        let text = read(file);
        let missing: Vec<_> = words(&text, "cutover_").difference(&told).copied().collect();
        assert_eq!(missing, Vec::<&str>::new(), "{file} asks for metrics that are not there");
    }
    serde_json::from_str::<Value>(&read("infra/observability/dashboard.json"))
        .expect("the dashboard is JSON");

    // Every alarm has its chapter.
    let runbook = read("docs/OPERATIONS.md");
    let alarms = format!("{}{}", read("infra/alarms.tf"), read("infra/observability/alerts.yaml"));
    let mut chapters: BTreeSet<String> = BTreeSet::new();
    for rest in alarms.split("docs/OPERATIONS.md#").skip(1) {
        chapters.insert(rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect());
    }
    let events: Vec<&str> = alarms
        .lines()
        .filter_map(|line| line.strip_prefix("    ")?.strip_suffix(" = {"))
        .filter(|name| name.contains('-'))
        .collect();
    assert_eq!(events.len(), 12, "{events:?}");
    chapters.extend(events.into_iter().map(str::to_owned));
    for chapter in chapters.iter().filter(|chapter| !chapter.is_empty()) {
        assert!(
            runbook.contains(&format!("\n## {chapter}\n")),
            "docs/OPERATIONS.md has no chapter {chapter}"
        );
    }
    canary.steer("retry").await;
    stack.management().post("/emergency/rollback", &json!({ "reason": "trying it out" })).await.expect(200);
    canary.tick_until("paused", 60, |status| status["state"] == "paused").await;
    // The runbook names the functions that log an event, and all events that they log.
    let (documented, logged) = (documented_events(&runbook), logged_events(stack));
    let is_documented = |(function, event): &&Source| {
        let stands_in = function == "promote" && documented.contains(&("evaluate".to_owned(), event.clone()));
        stands_in || documented.contains(&(function.clone(), event.clone()))
    };
    let undocumented: Vec<&Source> = logged.iter().filter(|source| !is_documented(source)).collect();
    assert_eq!(undocumented, Vec::<&Source>::new(), "docs/OPERATIONS.md names other functions or events");
    let not_logged: Vec<&Source> =
        documented.difference(&logged).filter(|(_, event)| !NOT_HERE.contains(&event.as_str())).collect();
    assert_eq!(not_logged, Vec::<&Source>::new(), "docs/OPERATIONS.md names events that are not logged");
    // What alarms count is what functions say.
    for pattern in alarms.split("$.event = \\\"").skip(1) {
        let event = pattern.split('\\').next().unwrap();
        let is_logged = logged.iter().any(|(_, logged)| logged == event);
        assert!(is_logged || NOT_HERE.contains(&event), "no function says {event}: {logged:?}");
    }
    let output = stack.lambda.output_of("promote");
    let tick = output.lines().find(|line| line.contains("\"event\":\"tick\"")).unwrap();
    let tick: Value = serde_json::from_str(tick).unwrap();
    assert_eq!((&tick["lag"], &tick["emergency"]), (&json!(0), &json!(0)), "{tick}");
    assert!(tick["evaluation_lag_seconds"].is_u64(), "{tick}");
}
