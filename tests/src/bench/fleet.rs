//! `cargo xtask bench fleet`: the units that a fleet of isolates consumes, measured with the release binaries of the
//! functions over an emulator of DynamoDB. A fleet does not run for an hour: units of some thousand batches and questions are
//! means, which [`crate::cost`] multiplies by the rates of the fleet.

mod experiments;
mod isolates;
mod world;

use crate::{
    bench::{capacity::Consumed, function::Function},
    cost::{
        page,
        units::{
            EvaluationUnits, ExchangeUnits, ExperimentUnits, FleetUnits, MeasuredUnits, TickUnits, rounded,
        },
    },
    lambda::scheduled_event,
};
use cutover_core::{
    DeploymentId, Revision,
    measurement::{answer::Answer, question::Question},
};
use std::time::Duration;
use world::{World, signed};

/// Fleets of the page of costs.
const FLEETS: [u64; 3] = [500, 5_000, 30_000];

/// Fleet with experiments, and numbers of them that are counted.
const WITH_EXPERIMENTS: u64 = 5_000;
const EXPERIMENTS: [u64; 3] = [0, 1, 8];

/// Batches that are sent through ingest. All others of a minute are stored directly.
const SENT_BATCHES: u64 = 2_000;

/// Questions that are asked.
const QUESTIONS: u64 = 2_000;

/// Exchanges whose quiet logs are measured.
const QUIET: u64 = 200;

/// Fresh heads that are read.
const HEADS: u32 = 10;

/// Time after which a head is stale.
const STALE: Duration = Duration::from_millis(300);

/// Time of an invocation of evaluation with several passes, in milliseconds. The last 12 s of it are kept for its end.
const PASSES_MS: u64 = 24_000;

/// Measures the fleets of the page, writes the units and the tables, and prints these. With other sizes it only prints.
pub async fn run(sizes: &[u64]) {
    let is_page = sizes.is_empty();
    let mut units = MeasuredUnits::default();
    let sizes: &[u64] = if is_page { &FLEETS } else { sizes };
    for isolates in sizes {
        println!("{isolates} isolates");
        let mut world = World::start(*isolates, 0).await;
        units.fleets.push(measure(&mut world).await);
    }
    if is_page {
        units.experiments = experiments().await;
    }
    println!("\n{}", page::tables(&units));
    if is_page {
        units.write();
        write_page(&units);
    }
}

/// Measures only the fleet with experiments of the page, and writes its units and the tables.
pub async fn run_experiments() {
    let units = MeasuredUnits { experiments: experiments().await, ..MeasuredUnits::read() };
    println!("\n{}", page::tables(&units));
    units.write();
    write_page(&units);
}

/// Writes the tables of the page from the units that were measured before.
pub fn rewrite_page() {
    write_page(&MeasuredUnits::read());
}

fn write_page(units: &MeasuredUnits) {
    let path = page::path();
    let before = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    std::fs::write(&path, page::with_tables(&before, &page::tables(units))).expect("docs is writable");
    println!("wrote {}", path.display());
}

/// Measures a fleet by the number of experiments that are counted.
async fn experiments() -> Vec<ExperimentUnits> {
    let mut all = Vec::new();
    for experiments in EXPERIMENTS {
        println!("{WITH_EXPERIMENTS} isolates, {experiments} experiments");
        let mut world = World::start(WITH_EXPERIMENTS, experiments).await;
        let fleet = measure(&mut world).await;
        all.push(ExperimentUnits { experiments, fleet, page_reads: world.page_reads().await });
    }
    all
}

async fn measure(world: &mut World) -> FleetUnits {
    let (batch, batch_writes) = batches(world).await;
    let (question, snapshot_bytes, head_reads) = questions(world).await;
    let evaluation = evaluation(world).await;
    let promote = promote(world).await;
    FleetUnits {
        isolates: world.isolates.count,
        interval_ms: world.isolates.interval_ms,
        batch,
        batch_writes,
        question,
        head_reads,
        snapshot_bytes,
        evaluation,
        promote,
    }
}

/// Sums over exchanges.
#[derive(Default)]
struct Sums {
    requests: u64,
    request_bytes: usize,
    answer_bytes: usize,
}

impl Sums {
    fn units(&self, function: &Function, before: (u64, f64), quiet_log_bytes: f64) -> ExchangeUnits {
        let count = self.requests as f64;
        let (log_bytes, processor_seconds) = before;
        ExchangeUnits {
            request_bytes: rounded(self.request_bytes as f64 / count),
            answer_bytes: rounded(self.answer_bytes as f64 / count),
            log_bytes: rounded((function.log_bytes() - log_bytes) as f64 / count),
            quiet_log_bytes,
            processor_ms: rounded((function.processor_seconds() - processor_seconds) * 1_000.0 / count),
        }
    }
}

/// Sends batches through ingest. Returns their units, and the write units of one.
async fn batches(world: &mut World) -> (ExchangeUnits, f64) {
    let quiet = world.quiet("ingest").await;
    for number in 0..QUIET {
        let (event, _) = world.batch(number);
        quiet.request(&event, 200).await;
    }
    let quiet_log_bytes = rounded(quiet.log_bytes() as f64 / QUIET as f64);
    drop(quiet);
    let function = Function::start("ingest", &world.variables).await;
    // The first requests connect, and read what is kept.
    for number in QUIET..2 * QUIET {
        let (event, _) = world.batch(number);
        function.request(&event, 200).await;
    }
    world.capacity.take();
    let before = (function.log_bytes(), function.processor_seconds());
    let mut sums = Sums::default();
    for number in 2 * QUIET..2 * QUIET + SENT_BATCHES {
        let (event, bytes) = world.batch(number);
        let answer = function.request(&event, 200).await;
        sums.requests += 1;
        sums.request_bytes += bytes;
        sums.answer_bytes += answer.head_bytes + answer.body.len();
    }
    let units = sums.units(&function, before, quiet_log_bytes);
    let consumed = world.capacity.take();
    consumed.print("batches through ingest");
    (units, rounded(consumed.units().writes / SENT_BATCHES as f64))
}

/// Asks questions. Returns their units, the bytes of a snapshot in an answer, and the read units of a fresh head.
async fn questions(world: &World) -> (ExchangeUnits, f64, f64) {
    let revision = world.isolates.revision;
    let ask_as = |deployment: Option<DeploymentId>, revision: Revision| {
        let name = Some("0123456789abcdef0123456789abcdef".to_owned());
        let question = Question { isolate: name, deployment, ..Question::since(revision) }.encode();
        (signed("/v1/questions", "application/json", None, question.as_bytes()), question.len())
    };
    let quiet = world.quiet("ask").await;
    // An isolate learns its deployment with its snapshot, and names it from then on.
    let first = quiet.request(&ask_as(None, revision).0, 200).await;
    let deployment = serde_json::from_slice::<Answer>(&first.body).expect("an answer").deployment;
    let ask = |revision: Revision| ask_as(deployment.clone(), revision);
    let (event, bytes) = ask(revision);
    for _ in 0..QUIET {
        quiet.request(&event, 200).await;
    }
    let quiet_log_bytes = rounded(quiet.log_bytes() as f64 / QUIET as f64);
    drop(quiet);
    let function = Function::start("ask", &world.variables).await;
    let plain = function.request(&event, 200).await;
    let with_snapshot = function.request(&ask(Revision(0)).0, 200).await;
    let snapshot_bytes = with_snapshot.body.len().saturating_sub(plain.body.len()) as f64;
    for _ in 0..QUIET {
        function.request(&event, 200).await;
    }
    let before = (function.log_bytes(), function.processor_seconds());
    let mut sums = Sums::default();
    for _ in 0..QUESTIONS {
        // Signed anew: nobody sends the same question for longer than the tolerance of signatures.
        let (event, _) = ask(revision);
        let answer = function.request(&event, 200).await;
        sums.requests += 1;
        sums.request_bytes += bytes;
        sums.answer_bytes += answer.head_bytes + answer.body.len();
    }
    let units = sums.units(&function, before, quiet_log_bytes);
    world.capacity.take();
    for _ in 0..HEADS {
        tokio::time::sleep(STALE).await;
        function.request(&ask(revision).0, 200).await;
    }
    let consumed = world.capacity.take();
    consumed.print("questions, stale head");
    (units, snapshot_bytes, rounded(consumed.units().reads / f64::from(HEADS)))
}

/// Evaluates a minute of batches, then nothing, then nothing for several passes.
async fn evaluation(world: &mut World) -> EvaluationUnits {
    // The isolates that have not sent yet, and the rest of the minute.
    let minute = world.isolates.count * 60_000 / world.isolates.interval_ms;
    world.store(2 * QUIET + SENT_BATCHES..minute.max(world.isolates.count)).await;
    let (backlog, of_minute, function) = evaluate(world, 0).await;
    let peak_mb = function.memory().peak_mb;
    let log_bytes = function.log_bytes() as f64;
    drop(function);
    let (_, idle, _) = evaluate(world, 0).await;
    let (long, passes, _) = evaluate(world, PASSES_MS).await;
    let more = long.passes.saturating_sub(1).max(1) as f64;
    let pass = passes.units().more_than(idle.units(), more);
    of_minute.print("a minute's evaluation");
    passes.print(&format!("{} idle passes", long.passes));
    EvaluationUnits {
        pass,
        checkpoint: of_minute.units().more_than(pass, 1.0),
        log_bytes,
        batches: backlog.batches,
        seconds: rounded(backlog.seconds),
        peak_mb: rounded(peak_mb),
    }
}

/// Result of an invocation of evaluation.
struct Evaluated {
    batches: u64,
    passes: u64,
    seconds: f64,
}

async fn evaluate(world: &World, ms: u64) -> (Evaluated, Consumed, Function) {
    let mut variables = world.variables.clone();
    variables.insert("CUTOVER_EVALUATION_MS", ms.to_string());
    let function = Function::start("evaluate", &variables).await;
    world.capacity.take();
    let outcome = function.invoke(&scheduled_event()).await;
    assert!(!outcome.is_error && outcome.body["worked"] == true, "{:#}", outcome.body);
    let number = |name: &str| outcome.body[name].as_u64().unwrap_or_default();
    let evaluated = Evaluated {
        batches: number("batches"),
        passes: number("passes"),
        seconds: outcome.duration.as_secs_f64(),
    };
    (evaluated, world.capacity.take(), function)
}

/// Invokes `promote`, which has nothing to do: once to connect, and once to be measured.
async fn promote(world: &World) -> TickUnits {
    let function = Function::start("promote", &world.variables).await;
    function.invoke(&scheduled_event()).await;
    let log_bytes = function.log_bytes();
    world.capacity.take();
    let outcome = function.invoke(&scheduled_event()).await;
    assert!(!outcome.is_error, "{:#}", outcome.body);
    let consumed = world.capacity.take();
    consumed.print("promote");
    TickUnits {
        units: consumed.units(),
        seconds: rounded(outcome.duration.as_secs_f64()),
        log_bytes: (function.log_bytes() - log_bytes) as f64,
    }
}
