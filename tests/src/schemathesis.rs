//! Requests made from an OpenAPI document, with answers that are checked against it.

use crate::{is_deep, paths, terraform::run};
use std::{path::Path, process::Command};

/// Sends requests that a document allows, or nearly allows, to a base URL, and panics if an answer is not described.
pub async fn check(document: &Path, url: &str, token: &str) {
    // Other requests in each deep run; schemathesis prints the seed, and CUTOVER_SEED repeats a run.
    let drawn = || if is_deep() { std::process::id().to_string() } else { "7".to_owned() };
    let seed = std::env::var("CUTOVER_SEED").unwrap_or_else(|_| drawn());
    let mut command = Command::new(paths::root().join(".tools/tests/bin/schemathesis"));
    command
        .arg("run")
        .arg(document)
        .args(["--url", url])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args([
            "--checks",
            "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        ])
        .args([
            "--max-examples",
            if is_deep() { "30" } else { "3" },
            "--seed",
            &seed,
            "--workers",
            "1",
            "--continue-on-failure",
            "--no-color",
        ])
        .args(["--generation-codec", "ascii", "--generation-database", "none", "--request-timeout", "40"])
        .current_dir(paths::target("schemathesis"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let (passed, printed) = tokio::task::spawn_blocking(move || run(&mut command)).await.expect("no panic");
    let summary: Vec<&str> = printed.lines().rev().take(25).collect();
    println!("{}", summary.into_iter().rev().collect::<Vec<_>>().join("\n"));
    assert!(passed, "{printed}");
}
