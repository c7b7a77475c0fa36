//! `cargo xtask dev`: all of Cutover on this machine, until Ctrl-C.

use cutover_tests::{
    http::EDGE_TOKEN,
    paths,
    stack::{Options, ROOT_TOKEN, Runtime, Stack},
};
use serde_json::json;
use std::{io::IsTerminal, time::Duration};
use tokio::signal::unix::{SignalKind, signal};

/// Default port of the Worker. If it is taken, a free one is used.
const EDGE_PORT: u16 = 8787;

/// Interval of the schedule: one minute in the cloud, shorter here for a user who is watching.
const SCHEDULE: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    let mut interrupt = signal(SignalKind::interrupt()).expect("a handler for Ctrl-C can be installed");
    let mut terminate = signal(SignalKind::terminate()).expect("a handler for SIGTERM can be installed");
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
    // Leaving the select dropped the stack, which stops every process that it started.
    eprintln!("stopped");
    let _ = std::fs::remove_file(paths::root().join("target/dev/endpoints.json"));
}

async fn start() -> Stack {
    eprintln!("==> starting the backends, DynamoDB, the functions and the Worker");
    let free = std::net::TcpListener::bind(("127.0.0.1", EDGE_PORT)).is_ok();
    let options = Options {
        edge_port: if free { EDGE_PORT } else { 0 },
        // With `wrangler dev`, an edited Worker is rebuilt; workerd alone is ten times as fast and its memory stays bounded.
        runtime: if std::env::args().any(|argument| argument == "--wrangler") {
            Runtime::Wrangler
        } else {
            Runtime::Workerd
        },
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
        "ask": stack.lambda.url("ask"),
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
    for (name, description) in [
        ("edge", "the Worker: send requests here as your users do"),
        ("management", "the management API, below /api/migration"),
        ("ingest", "receives the reports of isolates, at /v1/batches"),
        ("ask", "answers the questions of isolates, at /v1/questions"),
        ("legacy", "the old backend; PUT /_control makes it fail or slow down"),
        ("new", "the new backend, with GraphQL at /graphql"),
        ("dynamodb", "DynamoDB's API"),
        ("kv", "the KV REST API"),
    ] {
        let url = endpoints[name].as_str().unwrap_or_default();
        println!("  {bold}{name:<11}{plain} {url:<50} {description}");
    }
    let (edge, management) = (endpoints["edge"].as_str(), endpoints["management"].as_str());
    let (edge, management) = (edge.unwrap_or_default(), management.unwrap_or_default());
    println!("\n  {bold}send requests as two users, and see which backend responds and why{plain}");
    println!("    curl -si {edge}/api/v1/reviews/7 -H 'x-user-id: user-1' | grep -i '^x-'");
    println!("    curl -si {edge}/api/v1/reviews/7 -H 'x-user-id: user-123' | grep -i '^x-'");
    println!("\n  {bold}move all users, in a few seconds{plain}");
    println!("    export CUTOVER_URL={management} CUTOVER_TOKEN={ROOT_TOKEN}");
    println!("    target/debug/cutover list");
    println!("    target/debug/cutover rollout graphql_reviews_read 100");
    println!("    target/debug/cutover emergency-rollback 'trying it out'");
    println!("    target/debug/cutover emergency-clear 'tried'");
    println!("\n  {bold}run a canary, which is rolled back when the new backend fails{plain}");
    println!("    target/debug/cutover canary start graphql_offers_read");
    println!("    target/debug/users {edge}/api/v1/offers/3/reviews &");
    println!("    target/debug/cutover canary watch graphql_offers_read");
    let new = endpoints["new"].as_str().unwrap_or_default();
    println!(
        "    curl -X PUT {new}/_control -H 'content-type: application/json' -d '{{\"error_rate\": 0.3}}'"
    );
    println!("\n  Ctrl-C stops everything. These URLs are also in target/dev/endpoints.json.\n");
}
