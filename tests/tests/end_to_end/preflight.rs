//! `cutover preflight` against a deployment that is as it should be, and against fifteen that are not.

use axum::body::Bytes;
use cutover_core::measurement::batch::Batch;
use cutover_lambda::store::BatchStatus;
use cutover_tests::{
    batches::store_batch,
    fault_proxy::Fault,
    functions::connected,
    http::EDGE_TOKEN,
    paths,
    recorder::Mode,
    rewriting::RewriteProxy,
    stack::{INGEST_SECRET, Options, ROOT_TOKEN, Runtime, Stack},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// What the command line is told.
#[derive(Clone)]
struct Arguments {
    management: String,
    token: String,
    edge: String,
    edge_token: String,
    ingest: String,
    ingest_secret: String,
}

impl Arguments {
    fn of(stack: &Stack) -> Self {
        Self {
            management: stack.lambda.url("management"),
            token: ROOT_TOKEN.to_owned(),
            edge: stack.edge.url(),
            edge_token: EDGE_TOKEN.to_owned(),
            ingest: stack.lambda.url("ingest"),
            ingest_secret: INGEST_SECRET.to_owned(),
        }
    }
}

/// Runs the checks. Returns the exit code, and each check with its result.
async fn preflight(told: &Arguments, more: &[&str]) -> (i32, Vec<Value>) {
    let mut command = Command::new(paths::root().join("target/debug/cutover"));
    command
        .args(["preflight", "--json"])
        .args(more)
        .env("CUTOVER_URL", &told.management)
        .env("CUTOVER_TOKEN", &told.token)
        .env("CUTOVER_EDGE_URL", &told.edge)
        .env("CUTOVER_EDGE_TOKEN", &told.edge_token)
        .env("CUTOVER_INGEST_URL", &told.ingest)
        .env("CUTOVER_INGEST_SECRET", &told.ingest_secret)
        .stdin(Stdio::null());
    // The command waits for servers that run in this process.
    let output = tokio::task::spawn_blocking(move || command.output().expect("cutover is built"));
    let output = output.await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let body: Value = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), body["checks"].as_array().unwrap().clone())
}

fn with_result<'c>(checks: &'c [Value], result: &str) -> Vec<&'c Value> {
    checks.iter().filter(|check| check["result"] == result).collect()
}

/// The checks must fail at exactly this one, and its remedy must name what to do.
async fn finds(told: &Arguments, check: &str, remedy: &str) {
    let (code, checks) = preflight(told, &[]).await;
    let failed = with_result(&checks, "fail");
    let names: Vec<_> = failed.iter().map(|check| check["check"].as_str().unwrap()).collect();
    assert_eq!(names, [check], "{failed:#?}");
    assert_eq!(code, 9);
    let said = failed[0]["remedy"].as_str().unwrap();
    assert!(said.contains(remedy), "{check}: {said}");
    println!("found: {check}: {} -> {said}", failed[0]["found"].as_str().unwrap());
}

async fn started(worker_variables: BTreeMap<&'static str, String>) -> Stack {
    let mut variables = worker_variables;
    variables.entry("REPORT_INTERVAL_MS").or_insert_with(|| "500".to_owned());
    variables.entry("SNAPSHOT_SOFT_TTL_MS").or_insert_with(|| "500".to_owned());
    let options = Options { worker_variables: variables, runtime: Runtime::Workerd, ..Options::default() };
    let stack = Stack::start(options).await;
    stack.management().apply(&stack.dev_configuration()).await.expect(200);
    stack.tick().await;
    stack
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_is_as_it_should_be_passes() {
    let stack = started(BTreeMap::new()).await;
    let told = Arguments::of(&stack);
    let (code, checks) = preflight(&told, &[]).await;
    assert_eq!((code, with_result(&checks, "fail").len()), (0, 0), "{checks:#?}");
    assert_eq!(with_result(&checks, "skipped").len(), 0, "{checks:#?}");
    // Every phase answers its list, each with something that only it looks at.
    for (phase, only) in [
        ("before", "before: every routed flag has a canary"),
        ("during", "during: requests are measured"),
        ("after", "after: legacy serves nothing"),
    ] {
        let (_, checks) = preflight(&told, &["--phase", phase]).await;
        assert!(checks.iter().any(|check| check["check"] == only), "{phase}: {checks:#?}");
    }
    let (_, checks) = preflight(&told, &["--phase", "after"]).await;
    let warned: Vec<_> = with_result(&checks, "warn").iter().map(|c| c["check"].to_string()).collect();
    assert!(warned.iter().any(|name| name.contains("all users on the new backend")), "{warned:?}");
    let (code, checks) = preflight(&told, &["--ask", &stack.lambda.url("ask")]).await;
    assert!(code == 0 && checks.iter().any(|check| check["check"] == "ask signature"), "{checks:#?}");
    // What was not said is not looked at, and that is said.
    let told = Arguments { edge: String::new(), ingest: String::new(), ..told };
    let (code, checks) = preflight(&told, &[]).await;
    assert_eq!((code, with_result(&checks, "skipped").len()), (0, 2), "{checks:#?}");
}

/// M3: a preflight sent ingest a batch, and evaluation missed the next one of an isolate that did not exist.
#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_is_taken_for_no_isolate() {
    let silence = Duration::from_millis(500);
    let variables = BTreeMap::from([("CUTOVER_ISOLATE_SILENCE_MS", silence.as_millis().to_string())]);
    let options =
        Options { permissions: Some(Mode::Record), function_variables: variables, ..Options::default() };
    let stack = Stack::start(options).await;
    let management = stack.management();
    management.apply(&stack.dev_configuration()).await.expect(200);
    stack.tick().await;
    // Without the Worker, whose isolate is a real one.
    let told = Arguments { edge: String::new(), ..Arguments::of(&stack) };
    let (code, checks) = preflight(&told, &["--ask", &stack.lambda.url("ask")]).await;
    assert_eq!(code, 0, "{checks:#?}");
    let passed = with_result(&checks, "ok");
    for function in ["ask", "ingest"] {
        let signature = format!("{function} signature");
        assert!(passed.iter().any(|check| check["check"] == signature), "{signature}: {checks:#?}");
        let recorder = &stack.recorders[function];
        let called: BTreeSet<String> = recorder.calls().into_keys().collect();
        let reads = ["dynamodb:GetItem", "dynamodb:Query"].map(str::to_owned);
        assert!(!called.is_empty() && called.is_subset(&reads.into()), "{function}: {called:?}");
        assert_eq!(recorder.on_arrivals(), BTreeSet::new(), "{function}");
    }
    assert_eq!(stack.dynamodb.batches(), Vec::<Batch>::new());
    tokio::time::sleep(2 * silence).await;
    let isolates = async || {
        stack.tick().await;
        let metrics = management.get("/metrics").await.expect(200).body;
        ["isolates_active", "isolates_lost"].map(|name| metrics[name].clone())
    };
    assert_eq!(isolates().await, [json!(0), json!(0)]);
    // The same numbers show an isolate that reports once, and falls silent.
    let store = connected(&stack.dynamodb.url(), &[]).store;
    let batch = Batch { open: 1, due_ms: 1, ..Batch::empty("0".repeat(32), 1) };
    assert_eq!(store_batch(&store, &batch).await, BatchStatus::New);
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let seen = isolates().await;
        if seen == [json!(1), json!(1)] {
            break;
        }
        assert!(Instant::now() < deadline, "it is not missed: {seen:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_that_can_be_planted_in_a_running_deployment_are_found() {
    let stack = started(BTreeMap::new()).await;
    let told = Arguments::of(&stack);
    let right = || told.clone();

    // 1, 2: nobody there, somebody unknown.
    finds(
        &Arguments { management: "http://127.0.0.1:9".into(), ..right() },
        "management answers",
        "CUTOVER_URL",
    )
    .await;
    finds(&Arguments { token: "ctv_wrong".into(), ..right() }, "token", "cutover login").await;
    // 3: a clock that is ten minutes off; the stack's own cannot be turned, so its answers are.
    let wrong_clock = RewriteProxy::start(&told.management, |body| {
        let mut answer: Value = serde_json::from_str(&body).unwrap_or_default();
        if let Some(now) = answer.get("now").and_then(Value::as_str) {
            let at: cutover_core::Timestamp = now.parse().unwrap();
            let late = cutover_core::Timestamp::from_millis(at.millis() - 600_000);
            answer["now"] = json!(late);
        }
        if answer.is_null() { body } else { answer.to_string() }
    })
    .await;
    finds(&Arguments { management: wrong_clock.url(), ..right() }, "clocks", "NTP").await;
    // 4, 5: ingest is not there; it is, and has another secret.
    finds(&Arguments { ingest: "http://127.0.0.1:9".into(), ..right() }, "ingest answers", "ingest_url")
        .await;
    finds(&Arguments { ingest_secret: "another".into(), ..right() }, "ingest signature", "Secrets Manager")
        .await;
    // 6, 7: the Worker does not stand there; it does, and has another token.
    finds(&Arguments { edge: stack.legacy.url(), ..right() }, "edge answers", "wrangler.toml").await;
    finds(&Arguments { edge_token: "another".into(), ..right() }, "edge and API agree", "CUTOVER_EDGE_TOKEN")
        .await;

    // 8: an emergency that somebody forgot.
    stack.management().post("/emergency/rollback", &json!({ "reason": "drill" })).await.expect(200);
    finds(&told, "emergency", "emergency-clear").await;
    stack.management().post("/emergency/clear", &json!({ "reason": "over" })).await.expect(200);

    // 9: KV refuses what is written.
    stack.edge.kv().on_writes(Some(Fault::Answer(403, "application/json", Bytes::from_static(b"{}"))));
    finds(&told, "KV round trip", "Workers KV Storage: Edit").await;
    stack.edge.kv().on_writes(None);

    // 10, 11: an origin that answers with errors, and one that is gone.
    stack.new.control().set(cutover_origins::Faults { error_rate: 1.0, ..Default::default() });
    finds(&told, "origin graphql", "this backend").await;
    stack.new.control().set(cutover_origins::Faults::default());
    let gone = json!({ "url": "http://127.0.0.1:9", "timeout_ms": 1000 });
    let mut config = stack.management().get("/config").await.expect(200).body;
    config["origins"]["graphql"] = gone;
    stack.management().put("/config", &config).await.expect(200);
    finds(&told, "origin graphql", "firewall").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_how_it_was_deployed_are_found() {
    // 12: the schedule was never switched on.
    let variables = |name, value: &str| BTreeMap::from([(name, value.to_owned())]);
    let stack = Stack::start(Options::default()).await;
    stack.management().apply(&stack.dev_configuration()).await.expect(200);
    stack.lambda.tick("promote").await.unwrap();
    finds(&Arguments::of(&stack), "schedule of evaluate", "EventBridge Scheduler").await;
    drop(stack);

    // 13: the Worker does not know where to report to.
    let stack = started(variables("INGEST_URL", "")).await;
    finds(&Arguments::of(&stack), "edge reports", "INGEST_URL").await;
    drop(stack);

    // 14: its secret is not the functions'. It asks before it sends anybody anywhere, so nobody is served wrongly.
    let stack = started(variables("CUTOVER_INGEST_SECRET", "another")).await;
    finds(&Arguments::of(&stack), "edge reports", "CUTOVER_INGEST_SECRET").await;
    drop(stack);

    // 15: a variable with a typing mistake.
    let stack = started(variables("SNAPSHOT_HARD_TTL_MS", "5min")).await;
    finds(&Arguments::of(&stack), "edge settings", "wrangler.toml").await;
    drop(stack);

    // 16: no route is for this, and the old backend is somewhere else.
    let stack = started(variables("LEGACY_ORIGIN", "http://127.0.0.1:9")).await;
    finds(&Arguments::of(&stack), "unmatched requests", "LEGACY_ORIGIN").await;
    drop(stack);

    // 17: the Worker reads another namespace than the one that is written: it never hears of what is true.
    let stack = started(variables("INGEST_URL", "")).await;
    let other = started(variables("INGEST_URL", "")).await;
    other
        .management()
        .put("/flags/graphql_reviews_read/rollout", &json!({ "percentage": 7 }))
        .await
        .expect(200);
    let told = Arguments { edge: stack.edge.url(), ..Arguments::of(&other) };
    let (code, checks) = preflight(&told, &[]).await;
    let failed: Vec<_> = with_result(&checks, "fail").iter().map(|c| c["check"].as_str().unwrap()).collect();
    assert_eq!((code, failed.contains(&"edge is up to date")), (9, true), "{checks:#?}");
}
