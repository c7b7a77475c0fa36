//! `cargo xtask dev`: everything of Cutover on this machine, until Ctrl-C.

use cutover_tests::{
    paths,
    stack::{EDGE_TOKEN, Options, ROOT_TOKEN, Runtime, Stack},
};
use serde_json::json;
use std::{io::IsTerminal, time::Duration};
use tokio::signal::unix::{SignalKind, signal};

/// The port that wrangler uses by itself; taken, another one is.
const EDGE_PORT: u16 = 8787;

/// How often the schedule runs: in the cloud every minute, here more often, because somebody is watching.
const SCHEDULE: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    let mut interrupt = signal(SignalKind::interrupt()).expect("Ctrl-C can be listened for");
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be listened for");
    let served = async {
        let stack = start().await;
        loop {
            tokio::time::sleep(SCHEDULE).await;
            for function in ["evaluate", "promote"] {
                if let Err(error) = stack.lambda.tick(function).await {
                    eprintln!("the scheduled {function} failed: {error}");
                }
            }
        }
    };
    tokio::select! {
        () = served => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    // Leaving the select dropped the stack, and with it every process that it started.
    eprintln!("stopped");
    let _ = std::fs::remove_file(paths::root().join("target/dev/endpoints.json"));
}

async fn start() -> Stack {
    eprintln!("==> starting the backends, DynamoDB, the functions and the Worker");
    let free = std::net::TcpListener::bind(("127.0.0.1", EDGE_PORT)).is_ok();
    let options = Options {
        edge_port: if free { EDGE_PORT } else { 0 },
        runtime: Runtime::Wrangler,
        ..Options::default()
    };
    let stack = Stack::start(options).await;
    let applied = stack.management().apply(&stack.dev_configuration()).await.expect(200);
    stack.edge_holds(applied.body["revision"].as_u64().expect("a revision")).await;
    let management = stack.lambda.url("management");
    let endpoints = json!({
        "edge": stack.edge.url(),
        "management": management,
        "ingest": stack.lambda.url("ingest"),
        "token": ROOT_TOKEN,
        "edge_token": EDGE_TOKEN,
        "legacy": stack.legacy.url(),
        "new": stack.new.url(),
        "dynamodb": stack.dynamodb.url(),
        "kv": stack.edge.kv_api(),
    });
    let file = paths::target("dev").join("endpoints.json");
    let text = serde_json::to_string_pretty(&endpoints).expect("endpoints are JSON");
    std::fs::write(&file, text).expect("the endpoints are written");
    print(&endpoints);
    stack
}

fn print(endpoints: &serde_json::Value) {
    let (bold, plain) = if std::io::stdout().is_terminal() { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    println!();
    for (name, what) in [
        ("edge", "the Worker: ask it as your users do"),
        ("management", "the management API, below /api/migration"),
        ("ingest", "where isolates report to, at /v1/batches"),
        ("legacy", "the old backend; PUT /_control makes it fail or slow"),
        ("new", "the new backend, with GraphQL at /graphql"),
        ("dynamodb", "DynamoDB's API"),
        ("kv", "the KV REST API"),
    ] {
        let url = endpoints[name].as_str().unwrap_or_default();
        println!("  {bold}{name:<11}{plain} {url:<50} {what}");
    }
    let (edge, management) = (endpoints["edge"].as_str(), endpoints["management"].as_str());
    let (edge, management) = (edge.unwrap_or_default(), management.unwrap_or_default());
    println!("\n  {bold}ask as two users, and see who answers and why{plain}");
    println!("    curl -si {edge}/api/v1/reviews/7 -H 'x-user-id: user-1' | grep -i '^x-'");
    println!("    curl -si {edge}/api/v1/reviews/7 -H 'x-user-id: user-123' | grep -i '^x-'");
    println!("\n  {bold}move everybody, in a few seconds{plain}");
    println!("    export CUTOVER_URL={management} CUTOVER_TOKEN={ROOT_TOKEN}");
    println!("    target/debug/cutover list");
    println!("    target/debug/cutover rollout graphql_reviews_read 100");
    println!("    target/debug/cutover emergency-rollback 'trying it out'");
    println!("    target/debug/cutover emergency-clear 'tried'");
    println!("\n  {bold}a canary that climbs, and comes back when the new backend fails{plain}");
    println!("    target/debug/cutover canary start graphql_offers_read");
    println!("    target/debug/users {edge}/api/v1/offers/3/reviews &");
    println!("    target/debug/cutover canary watch graphql_offers_read");
    let new = endpoints["new"].as_str().unwrap_or_default();
    println!(
        "    curl -X PUT {new}/_control -H 'content-type: application/json' -d '{{\"error_rate\": 0.3}}'"
    );
    println!("\n  Ctrl-C stops all of it. These URLs are in target/dev/endpoints.json too.\n");
}
