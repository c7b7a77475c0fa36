//! The whole of Cutover, started together: the Worker and KV, the functions behind cargo-lambda,
//! DynamoDB's API, and the two backends.

use crate::{
    client::Management,
    dynamodb::{DynamoDb, TABLE},
    edge::Edge,
    fault_proxy::FaultProxy,
    http,
    http::EDGE_TOKEN,
    lambda::Lambda,
    paths,
    process::free_port,
    recorder::{Mode, Recorder},
    wrangler,
};
use cutover_lambda::{settings::environment::Settings, store::Store};
use cutover_origins::{Backend, Data, Origin};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Root token of every local stack.
pub const ROOT_TOKEN: &str = "local-root-token-for-development";

/// Secret with which isolates sign batches, in every local stack.
pub const INGEST_SECRET: &str = "local-ingest-secret";

/// Options of a [`Stack`].
#[derive(Debug, Clone)]
pub struct Options {
    /// Port of the Worker; 0 picks a free one.
    pub edge_port: u16,
    /// Port of the functions; 0 picks a free one.
    pub functions_port: u16,
    /// Port of the old backend; 0 picks a free one.
    pub legacy_port: u16,
    /// Port of the new backend; 0 picks a free one.
    pub new_port: u16,
    /// Runtime of the Worker.
    pub runtime: Runtime,
    /// Variables of the Worker, which override those of every local stack.
    pub worker_variables: BTreeMap<&'static str, String>,
    /// Variables of the functions, which override those of every local stack.
    pub function_variables: BTreeMap<&'static str, String>,
    /// Processes of the management function, which is the number of requests handled concurrently.
    pub management_processes: usize,
    /// Processes of each scheduled function, which is the number of concurrent ticks.
    pub scheduled_processes: usize,
    /// Isolates that run the Worker; ignored behind wrangler, which runs one.
    pub isolates: usize,
    /// Recording of each function's calls to DynamoDB, or also their refusal if the function's policy does not allow
    /// them; `None` leaves them alone.
    pub permissions: Option<Mode>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            edge_port: 0,
            functions_port: 0,
            legacy_port: 0,
            new_port: 0,
            runtime: Runtime::Workerd,
            worker_variables: BTreeMap::new(),
            function_variables: BTreeMap::new(),
            management_processes: 2,
            scheduled_processes: 1,
            isolates: 1,
            permissions: None,
        }
    }
}

impl Options {
    /// Returns the same options for a stack in which DynamoDB refuses calls that the policies of `infra` do not allow.
    pub fn enforcing(self) -> Self {
        Self { permissions: Some(Mode::Enforce), ..self }
    }
}

/// Program that runs the Worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    /// `wrangler dev`, as developers use it, with wrangler's own proxies around workerd.
    Wrangler,
    /// workerd alone: the same Worker, fast enough for tests with many requests.
    Workerd,
}

/// A running stack.
pub struct Stack {
    /// The functions.
    pub lambda: Lambda,
    /// The Worker and KV.
    pub edge: Edge,
    /// The ingest function as isolates see it; the proxy can inject faults.
    pub ingest: FaultProxy,
    /// The ask function as isolates see it.
    pub ask: FaultProxy,
    /// The table.
    pub dynamodb: DynamoDb,
    /// The recorded calls of each function, if [`Options::permissions`] is set.
    pub recorders: BTreeMap<&'static str, Recorder>,
    /// The old backend.
    pub legacy: Origin,
    /// The new backend.
    pub new: Origin,
    state: TempDir,
    variables: BTreeMap<&'static str, String>,
}

impl Stack {
    /// Starts all parts.
    pub async fn start(options: Options) -> Self {
        let state = tempfile::tempdir().expect("a directory for state");
        let data = Arc::new(Data::default());
        let legacy = Origin::start_on(Backend::Legacy, Arc::clone(&data), options.legacy_port).await;
        let new = Origin::start_on(Backend::New, data, options.new_port).await;
        let dynamodb = DynamoDb::start().await;
        let lambda_port = if options.functions_port == 0 { free_port() } else { options.functions_port };
        let ingest = FaultProxy::start(([127, 0, 0, 1], lambda_port).into()).await;
        let ask = FaultProxy::start(([127, 0, 0, 1], lambda_port).into()).await;
        let mut variables = BTreeMap::from([
            ("LEGACY_ORIGIN", legacy.url()),
            ("DECISION_HEADERS", "arm,reason,revision".to_owned()),
            ("CUTOVER_EDGE_TOKEN", EDGE_TOKEN.to_owned()),
            ("INGEST_URL", format!("{}/lambda-url/ingest", ingest.url())),
            ("ASK_URL", format!("{}/lambda-url/ask", ask.url())),
            ("CUTOVER_INGEST_SECRET", INGEST_SECRET.to_owned()),
        ]);
        variables.extend(options.worker_variables);
        let edge = match options.runtime {
            Runtime::Wrangler => Edge::wrangler(state.path(), options.edge_port, &variables).await,
            Runtime::Workerd => Edge::workerd(options.edge_port, &variables, options.isolates).await,
        };
        let mut environment = environment(&dynamodb.url(), &edge.kv_api());
        environment.extend(options.function_variables);
        create_table(&environment).await;
        let functions = [
            ("management", options.management_processes),
            ("ingest", 2),
            ("ask", 2),
            ("evaluate", options.scheduled_processes),
            ("promote", options.scheduled_processes),
        ];
        let mut recorders = BTreeMap::new();
        if let Some(mode) = options.permissions {
            for (name, _) in functions {
                recorders.insert(name, Recorder::start(dynamodb.url(), name, mode).await);
            }
        }
        let of_function = |name: &str| {
            let mut environment = environment.clone();
            if let Some(recorder) = recorders.get(name) {
                environment.insert("AWS_ENDPOINT_URL_DYNAMODB", recorder.url());
            }
            environment
        };
        let lambda = Lambda::start(lambda_port, &functions, of_function).await;
        Self { lambda, edge, ingest, ask, dynamodb, recorders, legacy, new, state, variables }
    }

    /// Returns the directory in which the Worker keeps its state.
    pub fn state(&self) -> &Path {
        self.state.path()
    }

    /// Stops the Worker and starts it again on the same KV.
    pub async fn restart_worker(mut self) -> Self {
        self.edge = self.edge.restart(self.state.path(), &self.variables).await;
        self
    }

    /// Returns the example configuration with the URLs of the two local backends.
    pub fn dev_configuration(&self) -> String {
        self.configuration("tests/dev.yaml")
    }

    /// Returns a configuration of the workspace with the URLs of the two local backends.
    pub fn configuration(&self, name: &str) -> String {
        let path = paths::root().join(name);
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        text.replace("LEGACY_URL", &self.legacy.url()).replace("NEW_URL", &self.new.url())
    }

    /// Waits until the edge holds a revision, sending a few requests meanwhile.
    pub async fn edge_holds(&self, revision: u64) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let health = http::edge_health(self.edge.port()).await;
            if health["revision"].as_u64().is_some_and(|held| held >= revision) {
                return;
            }
            assert!(Instant::now() < deadline, "revision {revision} does not reach the edge: {health:#}");
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// Runs the schedule once: `evaluate`, then `promote`. Returns the results of both.
    pub async fn tick(&self) -> (serde_json::Value, serde_json::Value) {
        let evaluated = self.lambda.tick("evaluate").await.expect("evaluate answers");
        let promoted = self.lambda.tick("promote").await.expect("promote answers");
        (evaluated, promoted)
    }

    /// Returns a description of each call to DynamoDB that the policies do not allow, if [`Options::permissions`] is set.
    pub fn denied(&self) -> Vec<String> {
        self.recorders.values().flat_map(Recorder::denied).collect()
    }

    /// Lets a change that waits for a second person expire.
    pub fn expire(&self, change: &str) {
        let text = self.dynamodb.replace("PENDING", change, "pending", "{}");
        let mut pending: serde_json::Value = serde_json::from_str(&text).expect("a pending change is JSON");
        pending["expires_at"] = serde_json::json!("2020-01-01T00:00:00Z");
        self.dynamodb.replace("PENDING", change, "pending", &pending.to_string());
    }

    /// Returns a client of the management API.
    pub fn management(&self) -> Management {
        Management::new(&self.lambda.url("management"), ROOT_TOKEN)
    }
}

/// Returns the variables of the functions of a local stack.
pub(crate) fn environment(dynamodb: &str, kv_api: &str) -> BTreeMap<&'static str, String> {
    [
        ("CUTOVER_TABLE", TABLE),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
        ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb),
        ("CUTOVER_KV_API", kv_api),
        ("CUTOVER_KV_NAMESPACE", wrangler::NAMESPACE),
        ("CUTOVER_KV_TOKEN", "local"),
        ("CUTOVER_KV_TIMEOUT_MS", "2000"),
        // The local store takes any number of writes; tests of the publication set a limit of their own.
        ("CUTOVER_KV_INTERVAL_MS", "0"),
        ("CUTOVER_ROOT_TOKEN", ROOT_TOKEN),
        ("CUTOVER_INGEST_SECRET", INGEST_SECRET),
    ]
    .into_iter()
    .map(|(name, value)| (name, value.to_owned()))
    .collect()
}

async fn create_table(environment: &BTreeMap<&'static str, String>) {
    let settings = Settings::read(|name| environment.get(name).cloned()).expect("the settings are complete");
    Store::new(&settings).create_table().await.expect("the table is created");
}
