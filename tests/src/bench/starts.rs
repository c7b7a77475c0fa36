//! `cargo xtask bench lambda`: the time from the start of a function's process to its first request for an event, and to the
//! answer to its first event, and its memory when it is idle, before it has handled an event and after. The release binaries run
//! on this machine, over an emulator of DynamoDB; Lambda adds what it needs to make a sandbox, and gives 256 MB a seventh of a
//! processor.

use crate::{
    bench::function::{Function, request},
    dynamodb::DynamoDb,
    functions::platform,
    kv_server::KvServer,
    lambda::scheduled_event,
    stack::{INGEST_SECRET, ROOT_TOKEN, environment},
};
use cutover_core::{
    Revision,
    measurement::{batch::Batch, question::Question},
    signature,
};
use cutover_lambda::clock;
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};

/// Longest time to the first answer, in milliseconds, in every start.
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
    pub fresh_mb: f64,
    /// Largest resident memory after an event was handled, in MB.
    pub used_mb: f64,
}

impl Starts {
    /// Returns a sentence for each figure that is above its bar. Every start counts: a median hides those that users wait for.
    pub fn misses(&self) -> Vec<String> {
        let figures = [
            ("the slowest first answer", self.answer_ms.max, START_BAR_MS, "ms"),
            ("the memory before the first event", self.fresh_mb, RESIDENT_BAR_MB, "MB"),
            ("the memory after an event", self.used_mb, RESIDENT_BAR_MB, "MB"),
        ];
        let missed = figures.into_iter().filter(|(_, measured, bar, _)| measured > bar || measured.is_nan());
        let sentence = |(figure, measured, bar, unit): (&str, f64, f64, &str)| {
            format!("{}: {figure} is {measured:.1} {unit}, above the bar of {bar} {unit}", self.function)
        };
        missed.map(sentence).collect()
    }
}

/// Judges the starts of all functions.
///
/// # Errors
///
/// Returns the figures that are above their bars, one in each line, and says so if nothing was measured.
pub fn judge(measured: &[Starts]) -> Result<(), String> {
    if measured.is_empty() {
        return Err("nothing was measured".to_owned());
    }
    let misses: Vec<String> = measured.iter().flat_map(Starts::misses).collect();
    if misses.is_empty() { Ok(()) } else { Err(misses.join("\n")) }
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
    let (mut requests, mut answers) = (Vec::new(), Vec::new());
    let (mut fresh_mb, mut used_mb) = (0.0_f64, 0.0_f64);
    for round in 0..rounds {
        let function = Function::start(name, variables).await;
        let started = function.start_time().await;
        fresh_mb = fresh_mb.max(function.memory().resident_mb);
        let outcome = function.invoke(&event(name, round)).await;
        assert!(!outcome.is_error, "{name}: {:#}", outcome.body);
        requests.push(ms(started));
        answers.push(ms(started + outcome.duration));
        if name == "management" {
            // Its first event was refused. This one reads the table.
            let token = [("authorization", format!("Bearer {ROOT_TOKEN}"))];
            function.request(&request("GET", "/api/migration/flags", &token, b""), 200).await;
        }
        used_mb = used_mb.max(function.memory().resident_mb);
    }
    let (request_ms, answer_ms) = (Spread::of(requests), Spread::of(answers));
    Starts { function: name, request_ms, answer_ms, fresh_mb, used_mb }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(function: &'static str) -> Starts {
        let answer_ms = Spread { median: 12.0, max: START_BAR_MS };
        let request_ms = Spread { median: 5.0, max: 9.0 };
        Starts { function, request_ms, answer_ms, fresh_mb: 18.0, used_mb: RESIDENT_BAR_MB }
    }

    #[test]
    fn a_figure_above_its_bar_is_an_error_that_names_it() {
        assert_eq!(judge(&[starts("ask"), starts("ingest")]), Ok(()));
        assert_eq!(judge(&[]), Err("nothing was measured".to_owned()));
        // One slow start is enough, whatever the median.
        let slow = Starts { answer_ms: Spread { median: 12.0, max: 30.1 }, ..starts("ask") };
        let expected = "ask: the slowest first answer is 30.1 ms, above the bar of 30 ms";
        assert_eq!(judge(&[starts("ingest"), slow.clone()]), Err(expected.to_owned()));
        let large = Starts { fresh_mb: 25.1, used_mb: 31.0, ..starts("evaluate") };
        let [first, second] = [
            "evaluate: the memory before the first event is 25.1 MB, above the bar of 25 MB",
            "evaluate: the memory after an event is 31.0 MB, above the bar of 25 MB",
        ];
        assert_eq!(judge(&[slow, large]), Err(format!("{expected}\n{first}\n{second}")));
        let unknown = Starts { used_mb: f64::NAN, ..starts("ask") };
        assert!(judge(&[unknown]).is_err());
    }
}
