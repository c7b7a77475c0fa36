//! Workers KV as workerd reads it, `GET /KEY?urlencoded=true`, and as the publisher writes it,
//! through the REST API. The binding in the Worker is the real one; this is the store behind it,
//! which counts reads and writes, returns other values, fails, hangs, limits writes and makes them late.

use crate::server::Server;
use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    routing::get,
};
use cutover_core::{Snapshot, config::Config, vocabulary::revision::Revision};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Behaviour of the store's reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Reads return the stored value.
    #[default]
    Healthy,
    /// Reads fail with this status.
    Status(u16),
    /// Reads do not respond for ten minutes.
    Hang,
}

#[derive(Default)]
struct Store {
    values: BTreeMap<String, String>,
    mode: Mode,
    reads: u64,
    traces: Vec<String>,
    writes: u64,
    /// Time of the last write that was accepted.
    written: Option<Instant>,
    /// Time after an accepted write in which the next one is refused.
    interval: Duration,
    /// Time until the next write takes effect.
    delay: Option<Duration>,
}

/// A running store.
pub struct KvServer {
    store: Arc<Mutex<Store>>,
    server: Server,
}

impl KvServer {
    /// Starts an empty store on a free port.
    pub async fn start() -> Self {
        let store = Arc::new(Mutex::new(Store::default()));
        let app = Router::new()
            .route("/storage/kv/namespaces/{namespace}/values/{key}", get(read_rest).put(write_rest))
            .route("/{*key}", get(read))
            .with_state(Arc::clone(&store));
        Self { store, server: Server::start(app).await }
    }

    /// Starts a store that holds a snapshot.
    pub async fn holding(snapshot: &Snapshot) -> Self {
        let store = Self::start().await;
        store.put("snapshot", snapshot.encode().expect("a snapshot is JSON"));
        store
    }

    /// Starts a store that holds the snapshot of a configuration, with revision 1.
    pub async fn configured(yaml: &str) -> Self {
        let config = Config::from_yaml(yaml).unwrap_or_else(|problems| panic!("{problems:?}"));
        Self::holding(&config.snapshot(Revision(1), None)).await
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.server.address().port()
    }

    /// Stores a value.
    pub fn put(&self, key: &str, value: impl Into<String>) {
        self.store.lock().expect("no test panics inside").values.insert(key.to_owned(), value.into());
    }

    /// Returns the stored value of a key.
    pub fn get(&self, key: &str) -> Option<String> {
        self.store.lock().expect("no test panics inside").values.get(key).cloned()
    }

    /// Sets the behaviour of reads from now on.
    pub fn set_mode(&self, mode: Mode) {
        self.store.lock().expect("no test panics inside").mode = mode;
    }

    /// Returns the `traceparent` header of every write so far.
    pub fn traces(&self) -> Vec<String> {
        self.store.lock().expect("no test panics inside").traces.clone()
    }

    /// Refuses writes with status 429 that come sooner than this after an accepted one, as Workers KV does.
    pub fn limit_writes(&self, interval: Duration) {
        self.store.lock().expect("no test panics inside").interval = interval;
    }

    /// Lets the next write take effect, and respond, after a time: also if its client has left by then.
    pub fn delay_next_write(&self, delay: Duration) {
        self.store.lock().expect("no test panics inside").delay = Some(delay);
    }

    /// Returns the number of writes that were accepted so far.
    pub fn writes(&self) -> u64 {
        self.store.lock().expect("no test panics inside").writes
    }

    /// Returns the number of reads so far.
    pub fn reads(&self) -> u64 {
        self.store.lock().expect("no test panics inside").reads
    }
}

async fn read(State(store): State<Arc<Mutex<Store>>>, Path(key): Path<String>) -> (StatusCode, String) {
    let (mode, value) = {
        let mut store = store.lock().expect("no test panics inside");
        store.reads += 1;
        (store.mode, store.values.get(&key).cloned())
    };
    match mode {
        Mode::Healthy => match value {
            Some(value) => (StatusCode::OK, value),
            None => (StatusCode::NOT_FOUND, String::new()),
        },
        Mode::Status(status) => {
            (StatusCode::from_u16(status).expect("a valid status"), "the store fails in this test".to_owned())
        }
        Mode::Hang => {
            tokio::time::sleep(Duration::from_secs(600)).await;
            (StatusCode::GATEWAY_TIMEOUT, String::new())
        }
    }
}

async fn read_rest(
    State(store): State<Arc<Mutex<Store>>>,
    Path((_, key)): Path<(String, String)>,
) -> (StatusCode, String) {
    match store.lock().expect("no test panics inside").values.get(&key) {
        Some(value) => (StatusCode::OK, value.clone()),
        None => (StatusCode::NOT_FOUND, String::new()),
    }
}

async fn write_rest(
    State(store): State<Arc<Mutex<Store>>>,
    Path((_, key)): Path<(String, String)>,
    headers: HeaderMap,
    value: String,
) -> (StatusCode, [(&'static str, &'static str); 1], &'static str) {
    let delay = {
        let mut store = store.lock().expect("no test panics inside");
        if store.written.is_some_and(|written| written.elapsed() < store.interval) {
            let body = r#"{"success":false,"errors":[{"code":10048}]}"#;
            return (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")], body);
        }
        store.written = Some(Instant::now());
        store.writes += 1;
        let trace = headers.get("traceparent").and_then(|trace| Some(trace.to_str().ok()?.to_owned()));
        store.traces.extend(trace);
        store.delay.take()
    };
    // In a task of its own, which goes on when the client has left.
    let write = tokio::spawn(async move {
        tokio::time::sleep(delay.unwrap_or_default()).await;
        store.lock().expect("no test panics inside").values.insert(key, value);
    });
    write.await.expect("no test panics inside");
    let body = r#"{"success":true,"errors":[],"messages":[],"result":{}}"#;
    (StatusCode::OK, [("content-type", "application/json")], body)
}
