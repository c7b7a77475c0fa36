//! All checks in order, and their output.

use super::{
    check::{Check, Finding},
    control, edge, gate, ingest, migration,
    options::Options,
};
use crate::{
    client::Client,
    failure::Failure,
    http,
    output::{self, Format},
    style,
};
use serde_json::{Value, json};
use std::{io::stdout, time::Duration};

/// Longest wait for one response.
const TIMEOUT: Duration = Duration::from_secs(8);

/// Makes all checks and prints them.
///
/// # Errors
///
/// Fails if a check does.
pub fn run(options: &Options, client: &Client, format: Format) -> Result<(), Failure> {
    let http = http::client(TIMEOUT, TIMEOUT)?;
    let mut checks = Vec::new();
    let status = control::check(client, &http, &mut checks);
    gate::emergency(&http, options.emergency.as_deref(), &mut checks);
    ingest::check(options, &http, &mut checks);
    edge::check(options, &http, client, status.as_ref(), &mut checks);
    if let Some(status) = &status {
        migration::origins(client, &http, &mut checks);
        migration::check(options.phase, client, status, &mut checks);
    }
    output::show(format, &json(&checks), || print(&checks));
    match checks.iter().filter(|check| check.finding == Finding::Fail).count() {
        0 => Ok(()),
        failed => Err(Failure::Preflight(failed)),
    }
}

fn json(checks: &[Check]) -> Value {
    let rows: Vec<Value> = checks
        .iter()
        .map(|check| {
            let result = check.finding.to_string().to_lowercase();
            json!({ "check": check.name, "result": result, "found": check.detail, "remedy": check.remedy })
        })
        .collect();
    json!({ "checks": rows })
}

fn print(checks: &[Check]) {
    let width = checks.iter().map(|check| check.name.chars().count()).max().unwrap_or_default();
    for check in checks {
        let finding = format!("{:<8}", check.finding);
        let style = style::of_state(finding.trim_end()).unwrap_or_default();
        println!("{} {:<width$}  {}", style::painted(&finding, style, &stdout()), check.name, check.detail);
        if !check.remedy.is_empty() {
            println!("{:<8} {:<width$}  -> {}", "", "", check.remedy);
        }
    }
}
