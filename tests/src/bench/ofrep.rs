//! `cargo xtask bench ofrep`: all of 100 flags over OFREP, by our Worker and by a JavaScript Worker around flagd's evaluation
//! core, in one workerd process, in interleaved runs.

mod flags;
pub mod refusals;

use self::flags::{BenchFlag, Callers, MEASURED};
use super::{
    edge::start_ingest,
    load,
    pairing::{self, Spread},
};
use crate::{
    http,
    kv_server::KvServer,
    paths,
    server::Server,
    terraform::run as run_command,
    workerd::{Worker, Workerd},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
    sync::Arc,
    time::Duration,
};

/// Least ratio of the processor time per request, flagd's core over our Worker, when it answers with all flags.
pub const BAR: f64 = 3.0;

const CONNECTIONS: usize = 16;
const WARM_UP: Duration = Duration::from_secs(5);
const PATH: &str = "/ofrep/v1/evaluate/flags";
const TOKEN: &str = "server-token";
const TOKEN_SHA256: &str = "92e6f5d9714df393665cfceda28fad274ac294a2614e6ba3aebbcfae133a16c2";

const OURS: &str = "edge";
/// flagd's core as it can be configured while requests come, which is how our Worker is.
const FLAGD: &str = "flagd";
/// flagd's core with its rules as functions, which a Worker can compile only when it starts.
const COMPILED: &str = "flagd-compiled";
/// A Worker that reads the request and answers with constant bytes, as many as all flags take: no Worker costs less.
const CONSTANT: &str = "constant";

/// Requests with one kind of answer, and the Worker that is measured beside ours.
struct Comparison {
    name: &'static str,
    theirs: &'static str,
    status: u16,
}

/// The first one has the bar; the others are for information.
const COMPARISONS: [Comparison; 4] = [
    Comparison { name: "all flags", theirs: FLAGD, status: 200 },
    Comparison { name: "304 to If-None-Match", theirs: FLAGD, status: 304 },
    Comparison { name: "all flags, rules compiled at the start", theirs: COMPILED, status: 200 },
    Comparison { name: "nothing evaluated, as many bytes answered", theirs: CONSTANT, status: 200 },
];

/// Ratios of a comparison.
pub struct Ratios {
    /// The requests.
    pub name: &'static str,
    /// Processor time per request, the other Worker over ours.
    pub cpu: Spread,
    /// Requests per second, our Worker over the other one.
    pub throughput: Spread,
}

/// Results of the benchmark.
pub struct Report {
    /// All flags, with the bar.
    pub all: Ratios,
    /// For information: the same without an answer to send, with flagd's rules compiled, and without any evaluation.
    pub others: Vec<Ratios>,
}

impl Report {
    /// Returns true if the bar is met, by the median.
    pub fn is_within_bar(&self) -> bool {
        self.all.cpu.median >= BAR
    }
}

/// Answer of a Worker to one context.
struct BulkAnswer {
    values: BTreeMap<String, Value>,
    etag: String,
}

/// The Workers, and the servers that ours uses.
struct Bench {
    workerd: Workerd,
    flags: Vec<BenchFlag>,
    bodies: Vec<String>,
    _store: KvServer,
    _ingest: Server,
}

/// Bundles the JavaScript Worker as our own is.
fn bundle(output: &Path) {
    let folder = paths::root().join("tests/ofrep-clients");
    let installed = folder.join("node_modules/@openfeature/flagd-core");
    assert!(
        installed.is_dir(),
        "{} is missing; run `cargo xtask bench ofrep`, which installs it",
        installed.display()
    );
    let mut esbuild = Command::new(paths::node_tool("esbuild"));
    esbuild
        .arg(folder.join("flagd-worker.mjs"))
        .args(["--bundle", "--minify", "--format=esm", "--log-level=warning", "--external:cloudflare:*"])
        .arg(format!("--outfile={}", output.display()))
        .env("PATH", paths::search_path());
    let (is_bundled, printed) = run_command(&mut esbuild);
    assert!(is_bundled, "{printed}");
}

async fn start(callers: Callers) -> Bench {
    let flags = flags::all();
    let store = KvServer::configured(&flags::of_cutover(&flags, TOKEN_SHA256, callers).to_string()).await;
    let ingest = start_ingest().await;
    let directory = tempfile::tempdir().expect("a directory for the bundle");
    let script = directory.path().join("worker.mjs");
    bundle(&script);
    let constant = directory.path().join("constant.mjs");
    let answer = " ".repeat(flags::ANSWER_BYTES);
    let text = format!(
        "const headers = {{ 'content-type': 'application/json' }};\nconst answer = new TextEncoder().encode('{answer}');\n\
         export default {{ async fetch(request) {{ await request.arrayBuffer(); return new Response(answer, {{ headers }}); }} }};\n"
    );
    std::fs::write(&constant, text).expect("a script is written");
    let configuration = flags::of_flagd(&flags).to_string();
    let flagd = |name, is_compiled: bool| {
        Worker::javascript(name, &script)
            .with("FLAGS", &configuration)
            .with("TOKEN_SHA256", TOKEN_SHA256)
            .with("REQUESTS_PER_SECOND", callers.per_second.to_string())
            .with("ORIGINS", callers.origins.join(" "))
            .with("COMPILED", is_compiled.to_string())
    };
    let workerd = Workerd::start(&[
        Worker::edge(OURS, store.port()).with("INGEST_URL", ingest.url()),
        flagd(FLAGD, false),
        flagd(COMPILED, true),
        Worker::javascript(CONSTANT, &constant),
    ]);
    Bench { workerd, flags, bodies: flags::bodies(), _store: store, _ingest: ingest }
}

/// Builds a request, with the entity tag that the client holds.
fn request(body: &str, etag: Option<&str>) -> String {
    let held = etag.map(|etag| format!("if-none-match: {etag}\r\n")).unwrap_or_default();
    format!(
        "POST {PATH} HTTP/1.1\r\nhost: api.example.com\r\nauthorization: Bearer {TOKEN}\r\n\
         content-type: application/json\r\n{held}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn evaluate(port: u16, body: &str) -> BulkAnswer {
    let response = http::exchange(port, request(body, None).as_bytes()).await;
    assert_eq!(response.status, 200, "{}", String::from_utf8_lossy(&response.body));
    let bytes = response.body.len();
    assert!(bytes.abs_diff(flags::ANSWER_BYTES) < flags::ANSWER_BYTES / 10, "{bytes} bytes");
    let etag = response.header("etag").expect("an entity tag");
    let answer = response.json();
    let flags = answer["flags"].as_array().expect("a list of flags").iter();
    let name = |flag: &Value| flag["key"].as_str().expect("a key").to_owned();
    BulkAnswer { values: flags.map(|flag| (name(flag), flag["value"].clone())).collect(), etag }
}

/// Checks that every flag is in each answer, and has as many values as its rule or split gives out.
fn assert_evaluated(flags: &[BenchFlag], answers: &[BulkAnswer]) {
    let expected: BTreeSet<&str> = flags.iter().map(|flag| flag.name.as_str()).collect();
    for answer in answers {
        let found: BTreeSet<&str> = answer.values.keys().map(String::as_str).collect();
        assert_eq!(found, expected);
    }
    for flag in flags {
        let values: BTreeSet<String> =
            answers.iter().map(|answer| answer.values[&flag.name].to_string()).collect();
        assert_eq!(values.len(), flag.values(), "{}: {values:?}", flag.name);
    }
}

impl Bench {
    /// Evaluates the flags for every context.
    async fn answers(&self, name: &str) -> Vec<BulkAnswer> {
        let mut answers = Vec::new();
        for body in &self.bodies {
            answers.push(evaluate(self.workerd.port(name), body).await);
        }
        answers
    }

    /// Checks that all Workers do the same job, without which their costs cannot be compared: for every context, flags that are
    /// not split have the same values. Returns the entity tags of each Worker, by context.
    async fn check(&self) -> BTreeMap<&'static str, Vec<String>> {
        let ours = self.answers(OURS).await;
        assert_evaluated(&self.flags, &ours);
        let mut tags = BTreeMap::new();
        for name in [FLAGD, COMPILED] {
            let theirs = self.answers(name).await;
            assert_evaluated(&self.flags, &theirs);
            for (body, (ours, theirs)) in self.bodies.iter().zip(ours.iter().zip(&theirs)) {
                for flag in self.flags.iter().filter(|flag| !flag.is_split()) {
                    let [ours, theirs] = [ours, theirs].map(|answer| &answer.values[&flag.name]);
                    assert_eq!(ours, theirs, "{} of {name} for {body}", flag.name);
                }
            }
            tags.insert(name, theirs.into_iter().map(|answer| answer.etag).collect());
        }
        tags.insert(CONSTANT, vec![String::new(); self.bodies.len()]);
        tags.insert(OURS, ours.into_iter().map(|answer| answer.etag).collect());
        tags
    }

    /// Returns the requests of a comparison to a Worker that gave these entity tags.
    fn requests(&self, comparison: &Comparison, tags: &[String]) -> Arc<Vec<String>> {
        let is_held = comparison.status == 304;
        let pairs = self.bodies.iter().zip(tags);
        Arc::new(pairs.map(|(body, tag)| request(body, Some(tag.as_str()).filter(|_| is_held))).collect())
    }

    /// Sends requests to a Worker. Returns their number per second.
    async fn load(&self, name: &str, requests: &Arc<Vec<String>>, status: u16, duration: Duration) -> f64 {
        let requests = Arc::clone(requests);
        let write = move |number: u64, request: &mut String| {
            let index = usize::try_from(number).expect("a few requests") % requests.len();
            request.push_str(&requests[index]);
        };
        load::send(self.workerd.port(name), CONNECTIONS, duration, status, write).await
    }
}

/// Checks that our Worker and flagd's core give the same values to flags that are not split.
pub async fn check() {
    start(MEASURED).await.check().await;
}

/// Runs the benchmark.
pub async fn run(rounds: usize, seconds: f64) -> Report {
    let bench = start(MEASURED).await;
    let tags = bench.check().await;
    let prepared = COMPARISONS.map(|comparison| {
        let names = [comparison.theirs, OURS];
        let requests = names.map(|name| bench.requests(&comparison, &tags[name]));
        (comparison, names, requests)
    });
    for (comparison, names, requests) in &prepared {
        for (name, requests) in names.iter().zip(requests) {
            // Warms up until the runtime has compiled the hot functions.
            bench.load(name, requests, comparison.status, WARM_UP).await;
        }
    }
    let duration = Duration::from_secs_f64(seconds / 2.0);
    let mut measured = prepared.each_ref().map(|_| (Vec::new(), Vec::new()));
    for round in 1..=rounds {
        for ((comparison, names, requests), (costs, rates)) in prepared.iter().zip(&mut measured) {
            let load = async |index: usize| {
                bench.load(names[index], &requests[index], comparison.status, duration).await
            };
            let (rate, cost) = pairing::pair(bench.workerd.id(), load).await;
            costs.push(cost);
            rates.push(1.0 / rate);
        }
        let [all, held, compiled, constant] = measured.each_ref().map(|(costs, _)| costs[costs.len() - 1]);
        eprintln!(
            "round {round:2}: processor time, all flags {all:.2}, 304 {held:.2}, compiled {compiled:.2}, constant {constant:.2}"
        );
    }
    let mut ratios = prepared.iter().zip(measured).map(|((comparison, ..), (costs, rates))| Ratios {
        name: comparison.name,
        cpu: Spread::of(costs),
        throughput: Spread::of(rates),
    });
    let all = ratios.next().expect("four comparisons");
    Report { all, others: ratios.collect() }
}
