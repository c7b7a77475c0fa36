//! `cutover preflight`: a deployment seen from outside, part by part, and what to do about what is wrong. Beside the
//! management API it asks the Worker, ingest and the origins, as their users do; it changes nothing but publishing what
//! is true once more.

mod control;
mod edge;
mod ingest;
mod migration;

use crate::{
    client::Client,
    failure::Failure,
    output::{self, Format},
};
use clap::{Args, ValueEnum};
use reqwest::blocking;
use serde_json::{Value, json};
use std::{fmt, time::Duration};

/// How long one question may take.
const TIMEOUT: Duration = Duration::from_secs(8);

/// What is checked.
#[derive(Debug, Args)]
pub struct Options {
    /// The Worker: the URL that users call.
    #[arg(long, env = "CUTOVER_EDGE_URL")]
    edge: Option<String>,
    /// The Worker's CUTOVER_EDGE_TOKEN.
    #[arg(long, env = "CUTOVER_EDGE_TOKEN", hide_env_values = true)]
    edge_token: Option<String>,
    /// The URL of the ingest function.
    #[arg(long, env = "CUTOVER_INGEST_URL")]
    ingest: Option<String>,
    /// What isolates sign their reports with.
    #[arg(long, env = "CUTOVER_INGEST_SECRET", hide_env_values = true)]
    ingest_secret: Option<String>,
    /// Which check list; by how far the migration is, where it is not said.
    #[arg(long, value_enum)]
    phase: Option<Phase>,
}

/// Where a migration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Phase {
    /// Nobody is on the new backend.
    Before,
    /// Some are.
    During,
    /// Everybody is.
    After,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Ok,
    /// Worth a look; nothing is broken.
    Warn,
    Fail,
    /// Could not be made, for want of something that was not said.
    Skipped,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
            Verdict::Skipped => "skipped",
        })
    }
}

/// One thing that was looked at.
#[derive(Debug)]
struct Check {
    name: String,
    verdict: Verdict,
    found: String,
    remedy: String,
}

impl Check {
    fn new(name: &str, verdict: Verdict, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name: name.to_owned(), verdict, found: found.into(), remedy: remedy.into() }
    }

    fn ok(name: &str, found: impl Into<String>) -> Self {
        Self::new(name, Verdict::Ok, found, "")
    }

    fn fail(name: &str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(name, Verdict::Fail, found, remedy)
    }

    fn warn(name: &str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(name, Verdict::Warn, found, remedy)
    }

    fn skipped(name: &str, remedy: impl Into<String>) -> Self {
        Self::new(name, Verdict::Skipped, "not looked at", remedy)
    }

    /// What a request that brought no answer means.
    fn unanswered(name: &str, failure: &Failure) -> Self {
        let text = failure.to_string();
        let (found, remedy) = text.split_once("\n  hint: ").unwrap_or((&text, ""));
        Self::fail(name, found.trim_start_matches("error: "), remedy)
    }
}

/// A plain client, for everything that is not the management API.
fn http() -> Result<blocking::Client, Failure> {
    blocking::Client::builder()
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("cutover-preflight/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| Failure::Unreachable(format!("no HTTP client can be built: {error}")))
}

/// Why no answer came, in few words.
fn unreachable(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "it did not answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the exchange broke off"
    }
}

/// Looks at everything, and says what was found.
pub fn run(options: &Options, client: &Client, format: Format) -> Result<(), Failure> {
    let http = http()?;
    let mut checks = Vec::new();
    let status = control::check(client, &mut checks);
    ingest::check(options, &http, &mut checks);
    edge::check(options, &http, client, status.as_ref(), &mut checks);
    if let Some(status) = &status {
        migration::origins(client, &http, &mut checks);
        migration::check(options.phase, client, status, &mut checks);
    }
    show(&checks, format);
    match checks.iter().filter(|check| check.verdict == Verdict::Fail).count() {
        0 => Ok(()),
        failed => Err(Failure::Preflight(failed)),
    }
}

fn show(checks: &[Check], format: Format) {
    if format == Format::Json {
        let rows: Vec<Value> = checks
            .iter()
            .map(|check| {
                let verdict = check.verdict.to_string().to_lowercase();
                json!({ "check": check.name, "result": verdict, "found": check.found, "remedy": check.remedy })
            })
            .collect();
        output::json(&json!({ "checks": rows }));
        return;
    }
    let width = checks.iter().map(|check| check.name.chars().count()).max().unwrap_or_default();
    for check in checks {
        println!("{:<8} {:<width$}  {}", check.verdict, check.name, check.found);
        if !check.remedy.is_empty() {
            println!("{:<8} {:<width$}  -> {}", "", "", check.remedy);
        }
    }
}
