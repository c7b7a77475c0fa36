//! `cargo xtask bench lambda`: the time from the start of a function's process to its first request for an event, and to the
//! answer to its first event, and its memory when it is idle. The release binaries run on this machine, over an emulator of
//! DynamoDB; Lambda adds what it needs to make a sandbox, and gives 256 MB a seventh of a processor.

use crate::{
    bench::function::{Function, request},
    dynamodb::DynamoDb,
    functions::platform,
    kv_server::KvServer,
    lambda::scheduled_event,
    stack::{INGEST_SECRET, environment},
};
use cutover_core::{
    Revision,
    measurement::{batch::Batch, question::Question},
    signature,
};
use cutover_lambda::clock;
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};

/// Longest median time to the first answer, in milliseconds.
pub const START_BAR_MS: f64 = 30.0;

/// Most resident memory of an idle function, in MB.
pub const RESIDENT_BAR_MB: f64 = 25.0;

/// The functions.
const FUNCTIONS: [&str; 5] = ["ask", "ingest", "management", "evaluate", "promote"];

/// Spread of a time.
#[derive(Debug, Clone, Copy)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        Self { median: times[times.len() / 2], max: times[times.len() - 1] }
    }
}

/// Measured starts of a function.
#[derive(Debug, Clone)]
pub struct Starts {
    /// Name of the function.
    pub function: &'static str,
    /// Time from the start to the first request for an event, in milliseconds.
    pub request_ms: Spread,
    /// Time from the start to the answer to an event that was waiting, in milliseconds.
    pub answer_ms: Spread,
    /// Largest resident memory before the first event, in MB.
    pub resident_mb: f64,
}

impl Starts {
    /// Returns true if the bars are met.
    pub fn is_within_bars(&self) -> bool {
        self.answer_ms.median <= START_BAR_MS && self.resident_mb <= RESIDENT_BAR_MB
    }
}

/// Measures all functions.
pub async fn run(rounds: usize) -> Vec<Starts> {
    let dynamodb = DynamoDb::start().await;
    let kv = KvServer::start().await;
    let kv_api = format!("http://127.0.0.1:{}", kv.port());
    let _platform = platform(&dynamodb, &[("CUTOVER_KV_API", kv_api.as_str())]).await;
    let variables = environment(&dynamodb.url(), &kv_api);
    let mut measured = Vec::new();
    for function in FUNCTIONS {
        measured.push(starts(function, rounds.max(1), &variables).await);
    }
    measured
}

async fn starts(name: &'static str, rounds: usize, variables: &BTreeMap<&'static str, String>) -> Starts {
    let ms = |duration: Duration| duration.as_secs_f64() * 1_000.0;
    let (mut requests, mut answers, mut resident_mb) = (Vec::new(), Vec::new(), 0.0_f64);
    for round in 0..rounds {
        let function = Function::start(name, variables).await;
        let started = function.start_time().await;
        resident_mb = resident_mb.max(function.memory().resident_mb);
        let outcome = function.invoke(&event(name, round)).await;
        assert!(!outcome.is_error, "{name}: {:#}", outcome.body);
        requests.push(ms(started));
        answers.push(ms(started + outcome.duration));
    }
    Starts { function: name, request_ms: Spread::of(requests), answer_ms: Spread::of(answers), resident_mb }
}

/// Returns the event that a function answers in its first round: what it is there for, except a management request without
/// a token.
fn event(name: &str, round: usize) -> Value {
    match name {
        "ask" => signed("/v1/questions", Question::since(Revision(0)).encode().as_bytes()),
        "ingest" => {
            let batch = Batch::empty(format!("{:032x}", round + 1), 1);
            signed("/v1/batches", batch.encode().as_bytes())
        }
        "management" => request("GET", "/api/migration/status", &[], b""),
        _ => scheduled_event(),
    }
}

fn signed(path: &str, body: &[u8]) -> Value {
    let now = clock::now().millis();
    let headers = [
        ("content-type", "application/json".to_owned()),
        (signature::TIMESTAMP, now.to_string()),
        (signature::SIGNATURE, signature::sign(INGEST_SECRET, now, body)),
    ];
    request("POST", path, &headers, body)
}
