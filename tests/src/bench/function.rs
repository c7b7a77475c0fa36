//! The release binary of a function, behind a runtime API of our own that hands out events and notes times.

use crate::{bench::pairing::processor_seconds, paths, process::Process, server::Server};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, State},
    http::{HeaderName, HeaderValue, StatusCode},
    response::Response,
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use cutover_lambda::clock;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot, watch};

/// Time for which a start, or the answer to an event, is waited for.
const PATIENCE: Duration = Duration::from_secs(240);

/// Bytes that CloudWatch counts for each line of a log besides its text.
const LINE_BYTES: u64 = 26;

/// The first part of the paths of the runtime API.
const API: &str = "/2018-06-01/runtime";

/// Result of an event.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The function's result, or its error.
    pub(super) body: Value,
    /// True if it is an error.
    pub(super) is_error: bool,
    /// Time from the event to the result.
    pub(super) duration: Duration,
}

struct Answered {
    body: Value,
    is_error: bool,
    at: Instant,
}

struct Invocation {
    id: String,
    event: String,
    answer: oneshot::Sender<Answered>,
}

/// State of the runtime API of one function.
struct Shared {
    events: tokio::sync::Mutex<mpsc::UnboundedReceiver<Invocation>>,
    answering: Mutex<BTreeMap<String, oneshot::Sender<Answered>>>,
    /// Time at which the function requested its first event.
    ready: watch::Sender<Option<Instant>>,
}

/// A running function.
pub(super) struct Function {
    process: Process,
    shared: Arc<Shared>,
    events: mpsc::UnboundedSender<Invocation>,
    _server: Server,
    log: PathBuf,
    started: Instant,
    number: AtomicU64,
    _folder: TempDir,
}

impl Function {
    /// Starts a function with these variables, and waits until it requests its first event.
    pub(super) async fn start(name: &str, variables: &BTreeMap<&'static str, String>) -> Self {
        let (events, received) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            events: tokio::sync::Mutex::new(received),
            answering: Mutex::default(),
            ready: watch::Sender::new(None),
        });
        let app = Router::new()
            .route(&format!("{API}/invocation/next"), get(next))
            .route(&format!("{API}/invocation/{{id}}/response"), post(respond))
            .route(&format!("{API}/invocation/{{id}}/error"), post(fail))
            .with_state(Arc::clone(&shared));
        let server = Server::start(app).await;
        let folder = tempfile::tempdir().expect("a directory for the log");
        let log = folder.path().join("function.log");
        let mut command = Command::new(paths::release_function(name));
        command
            .env_remove("RUST_LOG")
            .env("AWS_LAMBDA_FUNCTION_NAME", name)
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_RUNTIME_API", server.address().to_string())
            .envs(variables);
        let started = Instant::now();
        let process = Process::start(name, command, &log);
        let number = AtomicU64::new(0);
        let function =
            Self { process, shared, events, _server: server, log, started, number, _folder: folder };
        function.start_time().await;
        function
    }

    /// Returns the time from the start of the process to its first request for an event.
    pub(super) async fn start_time(&self) -> Duration {
        let mut ready = self.shared.ready.subscribe();
        let waiting = ready.wait_for(Option::is_some);
        let found = tokio::time::timeout(PATIENCE, waiting).await;
        let found = found.unwrap_or_else(|_| panic!("no request for an event:\n{}", self.process.output()));
        let at: Option<Instant> = *found.expect("the API is running");
        at.expect("waited for").duration_since(self.started)
    }

    /// Hands out an event, and returns the result.
    pub(super) async fn invoke(&self, event: &Value) -> Outcome {
        let (answer, answered) = oneshot::channel();
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        // As long as the ids of the platform, because they are in the logs.
        let id = format!("00000000-0000-4000-8000-{number:012x}");
        let began = Instant::now();
        let invocation = Invocation { id, event: event.to_string(), answer };
        assert!(self.events.send(invocation).is_ok(), "the API is running");
        let waited = tokio::time::timeout(PATIENCE, answered).await;
        let waited = waited.unwrap_or_else(|_| panic!("no answer:\n{}", self.process.output()));
        let Answered { body, is_error, at } = waited.expect("the API is running");
        Outcome { body, is_error, duration: at.duration_since(began) }
    }

    /// Hands out a request to the function URL, and returns the response. Its status must be this one.
    pub(super) async fn request(&self, event: &Value, status: u64) -> HttpAnswer {
        let outcome = self.invoke(event).await;
        let found = outcome.body["statusCode"].as_u64();
        assert!(!outcome.is_error && found == Some(status), "{:#}\n{}", outcome.body, self.process.output());
        HttpAnswer::of(&outcome.body)
    }

    /// Returns the bytes of the log so far, as CloudWatch counts them.
    pub(super) fn log_bytes(&self) -> u64 {
        let log = std::fs::read(&self.log).expect("the log is there");
        let lines = log.iter().filter(|byte| **byte == b'\n').count() as u64;
        log.len() as u64 + lines * LINE_BYTES
    }

    /// Returns the processor time of the process so far, in seconds.
    pub(super) fn processor_seconds(&self) -> f64 {
        processor_seconds(self.process.id())
    }

    /// Returns the resident memory of the process and its peak, in MB.
    pub(super) fn memory(&self) -> Memory {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(path).expect("the process runs");
        let megabytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
            kilobytes.expect("Linux counts it") * 1_024.0 / 1e6
        };
        Memory { resident_mb: megabytes("VmRSS:"), peak_mb: megabytes("VmHWM:") }
    }
}

/// Memory of a process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory {
    /// Resident memory now, in MB.
    pub(super) resident_mb: f64,
    /// Largest resident memory so far, in MB.
    pub(super) peak_mb: f64,
}

/// A response of a function URL.
#[derive(Debug)]
pub(super) struct HttpAnswer {
    /// Bytes of the function's headers, as lines of HTTP.
    pub(super) head_bytes: usize,
    /// The body.
    pub(super) body: Vec<u8>,
}

impl HttpAnswer {
    fn of(result: &Value) -> Self {
        let headers = result["headers"].as_object();
        let lines = headers.into_iter().flatten().map(|(name, value)| {
            // A colon, a space and the end of the line.
            name.len() + value.as_str().unwrap_or_default().len() + 4
        });
        let head_bytes: usize = lines.sum();
        let text = result["body"].as_str().unwrap_or_default();
        let body = if result["isBase64Encoded"] == true {
            STANDARD.decode(text).expect("base64")
        } else {
            text.as_bytes().to_vec()
        };
        Self { head_bytes, body }
    }
}

/// Builds the event of a request to a function URL.
pub(super) fn request(method: &str, path: &str, headers: &[(&str, String)], body: &[u8]) -> Value {
    let headers: BTreeMap<&str, &str> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers,
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "bench",
            "domainName": "bench.lambda-url.us-east-1.on.aws",
            "domainPrefix": "bench",
            "http": {
                "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "bench",
            },
            "requestId": "00000000-0000-4000-8000-000000000000",
            "routeKey": "$default",
            "stage": "$default",
            "time": "01/Jan/2026:00:00:00 +0000",
            "timeEpoch": 1_767_225_600_000_i64,
        },
        "body": STANDARD.encode(body),
        "isBase64Encoded": true,
    })
}

async fn next(State(shared): State<Arc<Shared>>) -> Response {
    let now = Instant::now();
    shared.ready.send_if_modified(|ready| {
        let is_first = ready.is_none();
        ready.get_or_insert(now);
        is_first
    });
    let received = shared.events.lock().await.recv().await;
    let Some(Invocation { id, event, answer }) = received else {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        return response;
    };
    let deadline = clock::now().millis() + 900_000;
    let mut response = Response::new(Body::from(event));
    for (name, value) in [
        ("lambda-runtime-aws-request-id", id.clone()),
        ("lambda-runtime-deadline-ms", deadline.to_string()),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:us-east-1:123456789012:function:bench:live".to_owned(),
        ),
        ("content-type", "application/json".to_owned()),
    ] {
        let value = HeaderValue::from_str(&value).expect("a header");
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
    shared.answering.lock().expect("no handler panics").insert(id, answer);
    response
}

async fn respond(State(shared): State<Arc<Shared>>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    finish(&shared, &id, &body, false)
}

async fn fail(State(shared): State<Arc<Shared>>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    finish(&shared, &id, &body, true)
}

fn finish(shared: &Shared, id: &str, body: &[u8], is_error: bool) -> StatusCode {
    let at = Instant::now();
    let body = serde_json::from_slice(body).unwrap_or_default();
    let answer = shared.answering.lock().expect("no handler panics").remove(id);
    if let Some(answer) = answer {
        let _ = answer.send(Answered { body, is_error, at });
    }
    StatusCode::ACCEPTED
}
