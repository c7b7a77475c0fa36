//! The bill of a month: measured units, times the rates of the fleet, times list prices. Settings of the deployment are
//! those of `infra`.

use crate::cost::{
    prices,
    units::{FleetUnits, REQUESTS_PER_SECOND, Units},
};

/// Seconds of a month of 30 days.
pub const MONTH: f64 = 2_592_000.0;

/// Minutes of a month.
const MINUTES: f64 = MONTH / 60.0;

/// Bytes of a GB.
const GB: f64 = 1e9;

/// Memory of the functions that answer, in MB.
const ANSWERING_MB: f64 = 256.0;

/// Memory of evaluation, in MB.
pub const EVALUATION_MB: f64 = 512.0;

/// Seconds for which an invocation of evaluation works or stands by.
const EVALUATION_SECONDS: f64 = 170.0;

/// Memory at which Lambda gives a function one whole processor, in MB.
const WHOLE_PROCESSOR_MB: f64 = 1_769.0;

/// Time that DynamoDB takes for a write, in milliseconds. An assumption.
const WRITE_MS: f64 = 6.0;

/// Time that DynamoDB takes for a read, in milliseconds. An assumption.
const READ_MS: f64 = 3.0;

/// Instances that are awake for each one that is busy. An assumption.
pub const SPARE: f64 = 4.0;

/// Heads that an instance reads in a second: one answers for a quarter of a second.
pub const HEADS_PER_SECOND: f64 = 4.0;

/// Seconds between two passes of evaluation.
const PASS_SECONDS: f64 = 2.0;

/// Seconds for which a batch is stored: 26 hours, and a day until DynamoDB has removed it.
const KEPT_SECONDS: f64 = 50.0 * 3_600.0;

/// Bytes of an item of a batch that are not its body: names of attributes, key, times, and 100 for DynamoDB.
const ITEM_BYTES: f64 = 140.0;

/// Head of a response as a function URL sends it, without the headers of the function.
const PLATFORM_HEAD: &str = "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: 1234\r\n\
     Connection: keep-alive\r\nx-amzn-RequestId: 00000000-0000-4000-8000-000000000000\r\n\
     X-Amzn-Trace-Id: Root=1-00000000-000000000000000000000000;Parent=0000000000000000;Sampled=0\r\n\r\n";

/// Bytes that TLS adds to a response.
const TLS_RECORD: f64 = 29.0;

/// Bytes that the server sends in a TLS handshake, mostly certificates.
pub const HANDSHAKE_BYTES: f64 = 5_000.0;

/// Exchanges over one connection, if connections are reused. An assumption.
pub const EXCHANGES_PER_CONNECTION: f64 = 100.0;

/// Metrics that the alarms of `infra` watch. An alarm that adds several up is billed for each.
pub const ALARMS: f64 = 51.0;

/// Metrics that the log filters of `infra` make.
const METRICS: f64 = 12.0;

/// Secrets of `infra`.
const SECRETS: f64 = 4.0;

/// Changes of the configuration in a day. An assumption.
pub const CHANGES_PER_DAY: f64 = 20.0;

/// Hours that an isolate lives. An assumption.
pub const ISOLATE_HOURS: f64 = 1.0;

/// Processor time of the Worker for a request, in milliseconds. An assumption, above what workerd takes in docs/BENCHMARKS.md.
pub const WORKER_MS: f64 = 0.2;

/// Level of the logs of the functions that answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logging {
    /// A line for each batch and each question.
    Info,
    /// Lines for warnings and errors, as `infra` deploys it.
    Deployed,
}

/// Circumstances of a bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circumstances {
    /// Level of the logs.
    pub logging: Logging,
    /// True if Cloudflare sends many requests to a function URL over one connection.
    pub reuses_connections: bool,
}

impl Circumstances {
    /// The circumstances of the main table.
    pub const MAIN: Self = Self { logging: Logging::Deployed, reuses_connections: true };
}

/// Part of a deployment that a line belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Cutover's control plane.
    ControlPlane,
    /// The Worker itself, which grows with requests.
    Worker,
}

/// A line of a bill.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// Name of the line.
    pub name: &'static str,
    /// Part that it belongs to.
    pub part: Part,
    /// Dollars in a month.
    pub dollars: f64,
}

/// Load of a function that answers isolates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Exchanges in a second.
    pub rate: f64,
    /// Mean number of instances that are busy.
    pub busy: f64,
    /// Milliseconds of an exchange that are billed.
    pub billed_ms: f64,
    /// Heads read in a second, by all instances.
    pub heads: f64,
}

impl Load {
    fn of(rate: f64, processor_ms: f64, waiting_ms: f64) -> Self {
        let own_ms = processor_ms * WHOLE_PROCESSOR_MB / ANSWERING_MB + waiting_ms;
        let awake = (rate * own_ms / 1_000.0 * SPARE).ceil().max(1.0);
        let heads = rate.min(awake * HEADS_PER_SECOND);
        let ms = own_ms + if rate > 0.0 { READ_MS * heads / rate } else { 0.0 };
        Self { rate, busy: rate * ms / 1_000.0, billed_ms: ms.ceil(), heads }
    }

    /// Returns the load of `ask`.
    pub fn of_questions(fleet: &FleetUnits) -> Self {
        Self::of(fleet.questions_per_second(), fleet.question.processor_ms, 0.0)
    }

    /// Returns the load of `ingest`.
    pub fn of_batches(fleet: &FleetUnits) -> Self {
        Self::of(fleet.batches_per_second(), fleet.batch.processor_ms, WRITE_MS)
    }

    /// Returns the dollars for its duration.
    fn duration(&self) -> f64 {
        gb_seconds(ANSWERING_MB, self.rate * self.billed_ms / 1_000.0 * MONTH)
    }
}

fn gb_seconds(memory_mb: f64, seconds: f64) -> f64 {
    memory_mb / 1_024.0 * seconds * prices::LAMBDA_GB_SECOND
}

fn capacity(units: Units) -> f64 {
    units.reads * prices::READ_UNIT + units.writes * prices::WRITE_UNIT
}

/// Returns the lines of a month's bill, in the same order for every fleet.
pub fn lines(fleet: &FleetUnits, circumstances: Circumstances) -> Vec<Line> {
    let (questions, batches) = (Load::of_questions(fleet), Load::of_batches(fleet));
    let line = |name, dollars| Line { name, part: Part::ControlPlane, dollars };
    let worker = |name, dollars| Line { name, part: Part::Worker, dollars };
    let heads = (questions.heads + batches.heads) * fleet.head_reads * prices::READ_UNIT * MONTH;
    let written = batches.rate * fleet.batch_writes * prices::WRITE_UNIT * MONTH;
    let stored = batches.rate * KEPT_SECONDS * (fleet.batch.request_bytes + ITEM_BYTES) / GB;
    let requests = REQUESTS_PER_SECOND * MONTH;
    vec![
        line("Lambda: requests of `ask`", questions.rate * MONTH * prices::LAMBDA_REQUEST),
        line("Lambda: requests of `ingest`", batches.rate * MONTH * prices::LAMBDA_REQUEST),
        line("Lambda: duration of `ask` and `ingest`", questions.duration() + batches.duration()),
        line("Lambda: `evaluate` with its stand-by, and `promote`", scheduled(fleet)),
        line("DynamoDB: writes of batches", written),
        line("DynamoDB: reads for answers", heads),
        line("DynamoDB: `evaluate` and `promote`", evaluation(fleet)),
        line("DynamoDB: reads of the stream", stream(fleet)),
        line("DynamoDB: storage of batches, removed by TTL", stored * prices::TABLE_GB),
        line("CloudWatch: logs", logs(fleet, circumstances.logging)),
        line("Egress: answers", answers(fleet)),
        line("Egress: TLS handshakes", handshakes(fleet, circumstances.reuses_connections)),
        line(
            "Alarms, metrics, secrets",
            ALARMS * prices::ALARM + METRICS * prices::METRIC + SECRETS * prices::SECRET,
        ),
        line("Workers KV: reads", kv(fleet)),
        worker(
            "Workers: requests, and the plan",
            prices::WORKERS_PLAN + (requests - prices::INCLUDED_REQUESTS).max(0.0) * prices::WORKER_REQUEST,
        ),
        worker(
            "Workers: processor time",
            (requests * WORKER_MS - prices::INCLUDED_MS).max(0.0) * prices::WORKER_MS,
        ),
    ]
}

/// Returns the sum of the lines of a part.
pub fn total(lines: &[Line], part: Part) -> f64 {
    lines.iter().filter(|line| line.part == part).map(|line| line.dollars).sum()
}

/// Lambda for the scheduled functions. Invocations of evaluation start every minute, and each lives for nearly three.
fn scheduled(fleet: &FleetUnits) -> f64 {
    let requests = 2.0 * MINUTES * prices::LAMBDA_REQUEST;
    let evaluate = gb_seconds(EVALUATION_MB, EVALUATION_SECONDS * MINUTES);
    requests + evaluate + gb_seconds(ANSWERING_MB, fleet.promote.seconds * MINUTES)
}

/// DynamoDB for the scheduled functions. Each invocation that stands by looks at the lease every second.
fn evaluation(fleet: &FleetUnits) -> f64 {
    let standing_by = EVALUATION_SECONDS / 60.0 - 1.0;
    let minutely = capacity(fleet.evaluation.checkpoint) + capacity(fleet.promote.units);
    let passes = capacity(fleet.evaluation.pass) * MONTH / PASS_SECONDS;
    minutely * MINUTES + passes + standing_by * MONTH * prices::READ_UNIT
}

fn stream(fleet: &FleetUnits) -> f64 {
    let idle = fleet.evaluation.pass.stream_reads * MONTH / PASS_SECONDS;
    let reads = idle + fleet.evaluation.checkpoint.stream_reads * MINUTES;
    (reads - prices::FREE_STREAM_READS).max(0.0) * prices::STREAM_READ
}

/// Logs, stored for a month.
fn logs(fleet: &FleetUnits, logging: Logging) -> f64 {
    let (batch, question) = match logging {
        Logging::Info => (fleet.batch.log_bytes, fleet.question.log_bytes),
        Logging::Deployed => (fleet.batch.quiet_log_bytes, fleet.question.quiet_log_bytes),
    };
    let exchanges = batch * fleet.batches_per_second() + question * fleet.questions_per_second();
    let ticks = (fleet.evaluation.log_bytes + fleet.promote.log_bytes) * MINUTES;
    (exchanges * MONTH + ticks) / GB * (prices::LOG_GB + prices::STORED_LOG_GB)
}

fn answers(fleet: &FleetUnits) -> f64 {
    let around = PLATFORM_HEAD.len() as f64 + TLS_RECORD;
    let batches = fleet.batches_per_second() * (fleet.batch.answer_bytes + around);
    let questions = fleet.questions_per_second() * (fleet.question.answer_bytes + around);
    let snapshots = CHANGES_PER_DAY * 30.0 * fleet.isolates as f64 * fleet.snapshot_bytes;
    ((batches + questions) * MONTH + snapshots) / GB * prices::EGRESS_GB
}

fn handshakes(fleet: &FleetUnits, are_reused: bool) -> f64 {
    let exchanges = (fleet.batches_per_second() + fleet.questions_per_second()) * MONTH;
    let handshakes = exchanges / if are_reused { EXCHANGES_PER_CONNECTION } else { 1.0 };
    handshakes * HANDSHAKE_BYTES / GB * prices::EGRESS_GB
}

/// Reads of KV: one for each isolate that starts, and one for each isolate and change.
fn kv(fleet: &FleetUnits) -> f64 {
    let starts = 30.0 * 24.0 / ISOLATE_HOURS;
    let reads = fleet.isolates as f64 * (starts + CHANGES_PER_DAY * 30.0);
    (reads - prices::INCLUDED_READS).max(0.0) * prices::KV_READ
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::units::{EvaluationUnits, ExchangeUnits, rounded};

    /// A fleet with an interval of 20 s and one unit of everything.
    fn fleet() -> FleetUnits {
        let exchange =
            |log_bytes| ExchangeUnits { answer_bytes: 300.0, log_bytes, ..ExchangeUnits::default() };
        let pass = Units { reads: 2.0, writes: 1.0, stream_reads: 4.0 };
        FleetUnits {
            isolates: 5_000,
            interval_ms: 20_000,
            batch: ExchangeUnits { request_bytes: 750.0, ..exchange(400.0) },
            batch_writes: 1.0,
            question: exchange(400.0),
            head_reads: 2.0,
            evaluation: EvaluationUnits { pass, ..EvaluationUnits::default() },
            ..FleetUnits::default()
        }
    }

    fn dollars(name: &str, circumstances: Circumstances) -> f64 {
        let lines = lines(&fleet(), circumstances);
        let line = lines.iter().find(|line| line.name.contains(name));
        rounded(line.unwrap_or_else(|| panic!("no line {name}")).dollars)
    }

    /// Each figure is computed here by hand from the rates: 277.78 batches and 997.47 questions a second.
    #[test]
    fn a_line_is_units_times_rate_times_price() {
        let main = Circumstances::MAIN;
        // 720 million batches of one unit.
        assert_eq!(dollars("writes of batches", main), 450.0);
        assert_eq!(dollars("requests of `ingest`", main), 144.0);
        // 2 585.45 million questions.
        assert_eq!(dollars("requests of `ask`", main), 517.09);
        // 1 296 000 passes of 2 reads and 1 write, and 1.8333 looks at the lease a second.
        assert_eq!(dollars("DynamoDB: `evaluate`", main), 1.73);
        // 5 184 000 calls, 2 500 000 of them for nothing.
        assert_eq!(dollars("reads of the stream", main), 0.54);
        // 50 million batches of 890 bytes.
        assert_eq!(dollars("storage", main), 11.13);
        // 3 305.45 million lines of 400 bytes.
        assert_eq!(dollars("logs", Circumstances { logging: Logging::Info, ..main }), 700.76);
        assert_eq!(dollars("logs", main), 0.0);
        // 5 000 bytes for each exchange, or for each hundredth.
        assert_eq!(dollars("TLS", Circumstances { reuses_connections: false, ..main }), 1_487.45);
        assert_eq!(dollars("TLS", main), 14.87);
        // 25 920 million requests, 10 million of them in the plan of 5 dollars.
        assert_eq!(dollars("Workers: requests", main), 7_778.0);
        assert_eq!(dollars("Workers: processor", main), 103.08);
    }

    #[test]
    fn stand_by_invocations_are_billed() {
        // 170 s of half a GB, 43 200 times; and 86 400 requests.
        assert_eq!(dollars("`evaluate` with its stand-by", Circumstances::MAIN), 48.98);
    }

    #[test]
    fn a_total_is_the_sum_of_its_lines() {
        let lines = lines(&fleet(), Circumstances::MAIN);
        let all: f64 = lines.iter().map(|line| line.dollars).sum();
        let parts = total(&lines, Part::ControlPlane) + total(&lines, Part::Worker);
        assert!((all - parts).abs() < 1e-6);
        assert!(lines.iter().all(|line| line.dollars >= 0.0 && line.dollars.is_finite()));
    }

    #[test]
    fn an_answer_is_billed_in_whole_milliseconds() {
        // 0.1 ms on a whole processor is 0.69 ms on a seventh of one.
        let load = Load::of(1_000.0, 0.1, 0.0);
        assert_eq!((load.billed_ms, load.heads), (1.0, 12.0));
        assert_eq!(Load::of(0.0, 0.1, 6.0).heads, 0.0);
        assert_eq!(Load::of(1.0, 0.1, 6.0).heads, 1.0, "an instance reads no head that nobody asks for");
    }
}
