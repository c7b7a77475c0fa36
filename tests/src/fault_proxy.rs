//! An HTTP proxy in front of a real part, which can respond in its place, or not at all.

use crate::server::Server;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode},
    response::Response,
};
use std::{
    collections::{HashSet, VecDeque},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Period of the limit of requests.
const SECOND: Duration = Duration::from_secs(1);

/// A fault that the proxy injects.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The proxy responds with this status, content type and body, without forwarding the request.
    Answer(u16, &'static str, Bytes),
    /// The proxy does not respond for ten minutes.
    Hang,
    /// The request is forwarded and takes effect, but its response is lost.
    Lost,
    /// The request is forwarded and takes effect, but the proxy does not respond for ten minutes.
    Silent,
    /// The request is forwarded: a fault for a later one.
    None,
}

#[derive(Default)]
struct Faults {
    /// Fault of every write.
    writes: Option<Fault>,
    /// Faults of every second write, in turn.
    half: Vec<Fault>,
    /// Faults of the first attempt of each write, in turn.
    first: Vec<Fault>,
    /// Bodies of the writes that had such a fault.
    attempted: HashSet<Bytes>,
    /// Number of those that came again.
    repeated: u64,
    /// Faults of single requests, each for the next request whose header contains a string.
    next: VecDeque<(&'static str, &'static str, Fault)>,
}

impl Faults {
    /// Returns the fault of a write with this body; `None` if it came before.
    fn first_attempt(&mut self, body: Bytes) -> Option<Fault> {
        let turn = self.attempted.len();
        if self.attempted.insert(body) {
            return self.first.get(turn % self.first.len().max(1)).cloned();
        }
        self.repeated += 1;
        None
    }
}

/// A request for an action of DynamoDB, with the times at which it came and was answered.
#[derive(Debug, Clone)]
pub struct Call {
    /// Name of the action, such as `GetItem`.
    pub action: String,
    /// Time at which it came.
    pub began: Instant,
    /// Time at which it was answered.
    pub ended: Instant,
}

/// Requests allowed in any second, as Lambda allows ten times a function's concurrency.
#[derive(Default)]
struct RateLimit {
    /// Most requests in any second; `None` for no limit.
    limit: Option<usize>,
    /// Arrivals of the requests that were let through in the last second.
    passed: VecDeque<Instant>,
}

impl RateLimit {
    /// Returns true if a request may pass.
    fn passes(&mut self, now: Instant) -> bool {
        let Some(limit) = self.limit else { return true };
        while self.passed.front().is_some_and(|passed| now.duration_since(*passed) >= SECOND) {
            self.passed.pop_front();
        }
        let passes = self.passed.len() < limit;
        if passes {
            self.passed.push_back(now);
        }
        passes
    }
}

/// A running proxy.
pub struct FaultProxy {
    shared: Arc<Shared>,
    server: Server,
}

struct Shared {
    target: String,
    client: reqwest::Client,
    faults: Mutex<Faults>,
    rate: Mutex<RateLimit>,
    writes: AtomicU64,
    /// Calls so far, if they are recorded.
    calls: Mutex<Option<Vec<Call>>>,
}

impl FaultProxy {
    /// Starts a proxy in front of an address.
    pub async fn start(target: SocketAddr) -> Self {
        let shared = Arc::new(Shared {
            target: format!("http://{target}"),
            client: reqwest::Client::new(),
            faults: Mutex::default(),
            rate: Mutex::default(),
            writes: AtomicU64::new(0),
            calls: Mutex::default(),
        });
        let app = Router::new().fallback(forward).with_state(Arc::clone(&shared));
        Self { shared, server: Server::start(app).await }
    }

    /// Returns the base URL.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Sets the fault of every write (any method but GET) from now on.
    pub fn on_writes(&self, fault: Option<Fault>) {
        self.shared.faults.lock().expect("no handler panics").writes = fault;
    }

    /// Sets the faults of every second write from now on, to be used in turn.
    pub fn on_half_of_writes(&self, faults: Vec<Fault>) {
        self.shared.faults.lock().expect("no handler panics").half = faults;
    }

    /// Sets the faults of the first attempt of each write from now on, to be used in turn. A write that comes again, byte
    /// for byte, is forwarded.
    pub fn on_first_attempts(&self, faults: Vec<Fault>) {
        self.shared.faults.lock().expect("no handler panics").first = faults;
    }

    /// Returns the number of writes whose first attempt had a fault, and how often such a one came again.
    pub fn attempts(&self) -> (u64, u64) {
        let faults = self.shared.faults.lock().expect("no handler panics");
        (faults.attempted.len() as u64, faults.repeated)
    }

    /// Adds a fault for the next request whose header contains a string.
    pub fn on_next(&self, header: &'static str, holds: &'static str, fault: Fault) {
        self.shared.faults.lock().expect("no handler panics").next.push_back((header, holds, fault));
    }

    /// Forgets the faults for next requests that did not come.
    pub fn forget_next(&self) {
        self.shared.faults.lock().expect("no handler panics").next.clear();
    }

    /// Returns the number of faults for next requests that did not come yet.
    pub fn awaited(&self) -> usize {
        self.shared.faults.lock().expect("no handler panics").next.len()
    }

    /// Records calls from now on.
    pub fn record_calls(&self) {
        *self.shared.calls.lock().expect("no handler panics") = Some(Vec::new());
    }

    /// Returns the calls that were recorded, in the order of their answers.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.calls.lock().expect("no handler panics").clone().unwrap_or_default()
    }

    /// Limits the requests of any second from now on, as Lambda does in front of a function URL: those beyond it are
    /// answered with 429. `None` lifts the limit.
    pub fn rps_limit(&self, limit: Option<usize>) {
        *self.shared.rate.lock().expect("no handler panics") = RateLimit { limit, passed: VecDeque::new() };
    }

    /// Returns the number of writes that arrived, including those not forwarded.
    pub fn writes(&self) -> u64 {
        self.shared.writes.load(Ordering::Relaxed)
    }
}

async fn forward(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let target = request.headers().get("x-amz-target").and_then(|value| value.to_str().ok());
    let action = target.and_then(|target| target.rsplit('.').next()).unwrap_or_default().to_owned();
    let began = Instant::now();
    let response = respond(&shared, request).await;
    if let Some(calls) = shared.calls.lock().expect("no handler panics").as_mut() {
        calls.push(Call { action, began, ended: Instant::now() });
    }
    response
}

async fn respond(shared: &Shared, request: Request) -> Response {
    let writes = request.method() != Method::GET;
    let number = if writes { shared.writes.fetch_add(1, Ordering::Relaxed) } else { 0 };
    let knows_attempts = !shared.faults.lock().expect("no handler panics").first.is_empty();
    let (request, attempt) =
        if writes && knows_attempts { with_body(request).await } else { (request, None) };
    let fault = {
        let mut faults = shared.faults.lock().expect("no handler panics");
        let hit = faults.next.iter().position(|(header, holds, _)| {
            request
                .headers()
                .get(*header)
                .and_then(|value| value.to_str().ok())
                .is_some_and(|v| v.contains(holds))
        });
        match hit.and_then(|index| faults.next.remove(index)) {
            Some((_, _, fault)) => Some(fault),
            None if writes && number % 2 == 1 && !faults.half.is_empty() => {
                let turn = usize::try_from(number / 2).expect("a few writes") % faults.half.len();
                Some(faults.half[turn].clone())
            }
            None if attempt.is_some() => attempt.and_then(|body| faults.first_attempt(body)),
            None => faults.writes.clone().filter(|_| writes),
        }
    };
    match fault {
        Some(Fault::Answer(status, kind, body)) => {
            answer(StatusCode::from_u16(status).expect("a valid status"), kind, body)
        }
        Some(Fault::Hang) => silence().await,
        Some(Fault::Silent) => {
            let _ = pass_on(&shared.client, &shared.target, request).await;
            silence().await
        }
        Some(Fault::Lost) => {
            let _ = pass_on(&shared.client, &shared.target, request).await;
            let mut response = Response::new(Body::from("the response was lost"));
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            response
        }
        Some(Fault::None) | None
            if !shared.rate.lock().expect("no handler panics").passes(Instant::now()) =>
        {
            answer(
                StatusCode::TOO_MANY_REQUESTS,
                "application/json",
                Bytes::from_static(br#"{"message":"Rate Exceeded."}"#),
            )
        }
        Some(Fault::None) | None => pass_on(&shared.client, &shared.target, request).await,
    }
}

/// Reads the body of a request, and returns the request with it.
async fn with_body(request: Request) -> (Request, Option<Bytes>) {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.expect("the request's body is read");
    (Request::from_parts(parts, Body::from(body.clone())), Some(body))
}

/// Responds after ten minutes, which nobody waits for.
async fn silence() -> Response {
    tokio::time::sleep(Duration::from_secs(600)).await;
    Response::new(Body::empty())
}

/// Forwards a request to a base URL.
pub(crate) async fn pass_on(client: &reqwest::Client, base: &str, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.expect("the request's body is read");
    let target = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let mut headers = parts.headers;
    headers.remove("host");
    let sent =
        client.request(parts.method, format!("{base}{target}")).headers(headers).body(body).send().await;
    let Ok(received) = sent else {
        let mut response = Response::new(Body::from("the proxy's target could not be reached"));
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        return response;
    };
    returned(received).await
}

/// Builds a response of a proxy's own.
pub(crate) fn answer(status: StatusCode, kind: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", HeaderValue::from_static(kind));
    response
}

/// Turns the response of a proxy's target into the proxy's own.
pub(crate) async fn returned(received: reqwest::Response) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = received.status();
    for (name, value) in received.headers().iter().filter(|(name, _)| *name != "transfer-encoding") {
        response.headers_mut().append(name, value.clone());
    }
    *response.body_mut() = Body::from(received.bytes().await.unwrap_or_default());
    response
}
