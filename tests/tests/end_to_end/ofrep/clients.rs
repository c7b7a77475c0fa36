//! The providers of OpenFeature, each in a program of its own below `tests/ofrep-clients`, against the Worker.

use super::{Evaluating, SERVER, WEB};
use cutover_tests::{paths, status_proxy::StatusProxy, terraform::run};
use std::{path::PathBuf, process::Command};

/// Folder of the programs and of the lists of their packages.
fn folder() -> PathBuf {
    paths::root().join("tests/ofrep-clients")
}

/// Runs a program with the addresses of a Worker and of the proxy in front of it.
async fn passes(mut command: Command) {
    let edge = Evaluating::start("").await;
    let proxy = StatusProxy::start(([127, 0, 0, 1], edge.port()).into()).await;
    command
        .current_dir(folder())
        .env("OFREP_URL", proxy.url())
        .env("OFREP_TOKEN", SERVER)
        .env("OFREP_WEB_TOKEN", WEB)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("NO_PROXY", "127.0.0.1")
        .env("PATH", paths::search_path());
    let (passed, printed) = tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap();
    assert!(passed, "{printed}");
    assert!(printed.contains("all cases passed"), "{printed}");
}

fn node(script: &str) -> Command {
    let installed = folder().join("node_modules/@openfeature");
    assert!(
        installed.is_dir(),
        "{} is missing; run `cargo xtask test`, which installs it",
        installed.display()
    );
    let mut command = Command::new(paths::root().join(".tools/node/bin/node"));
    command.arg(script);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn the_web_provider_evaluates_caches_and_recovers() {
    passes(node("web.mjs")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_provider_evaluates_and_recovers() {
    passes(node("server.mjs")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_provider_evaluates_and_recovers() {
    let mut command = Command::new(paths::root().join(".tools/tests/bin/python"));
    command.arg("client.py");
    passes(command).await;
}
