//! Batches that isolates send while the secret of ingest comes late, is empty and is rotated, and while every second response
//! fails: each is sent again until it is stored, and each is counted once.

use axum::body::Bytes;
use cutover_core::{Arm, measurement::batch::Batch};
use cutover_lambda::measurement::{evaluate::invocation, ingest};
use cutover_tests::{
    batches::{cell, counts, post_batch, requests_in_ledger},
    dynamodb::DynamoDb,
    fault_proxy::{Fault, FaultProxy},
    functions::{connected, platform},
    is_deep,
    moto::Moto,
    patience::until,
    server::Server,
};
use serde_json::json;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinHandle;

/// The secret's name.
const SECRET: &str = "ingest";

/// The flag of all batches, each of which has one request.
const FLAG: &str = "one";

/// Number of isolates.
const ISOLATES: u64 = 4;

/// Number of batches, and of refusals, after which a state of the secret has been seen by every isolate.
const MANY: u64 = 5 * ISOLATES;

/// Time for which a state of the secret is waited for: a process reads a value that was rejected again after 20 s.
const PATIENCE: Duration = Duration::from_secs(40);

/// A process of ingest, every second of whose responses fails: the request is refused, or stored and its response lost.
struct Process {
    proxy: FaultProxy,
    _server: Server,
}

impl Process {
    async fn start(dynamodb: &DynamoDb, variables: &[(&'static str, &str)]) -> Self {
        let server = Server::start(ingest::router(connected(&dynamodb.url(), variables))).await;
        let proxy = FaultProxy::start(server.address()).await;
        let overloaded = Fault::Answer(503, "application/json", Bytes::from_static(b"{}"));
        proxy.on_half_of_writes(vec![Fault::Lost, overloaded]);
        Self { proxy, _server: server }
    }
}

/// The edge: the secret that isolates sign with, and the processes of ingest that they come to.
struct Edge {
    secret: Mutex<String>,
    processes: Mutex<Vec<String>>,
    /// Number of batches that were answered as stored.
    stored: AtomicU64,
    /// Number of those among them that had been stored before.
    repeated: AtomicU64,
    /// Number of signatures that were refused.
    refused: AtomicU64,
    is_over: AtomicBool,
}

impl Edge {
    /// Begins with a secret that nobody else has.
    fn new() -> Arc<Self> {
        Arc::new(Self {
            secret: Mutex::new("of nobody".to_owned()),
            processes: Mutex::default(),
            stored: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        })
    }

    fn sign_with(&self, secret: &str) {
        *self.secret.lock().unwrap() = secret.to_owned();
    }

    fn send_to(&self, processes: &[&Process]) {
        *self.processes.lock().unwrap() = processes.iter().map(|process| process.proxy.url()).collect();
    }

    fn stored(&self) -> u64 {
        self.stored.load(Ordering::Relaxed)
    }

    fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Waits until many more batches are stored.
    async fn stores(&self, expected: &str) {
        let before = self.stored();
        until(PATIENCE, expected, async || self.stored() >= before + MANY).await;
    }

    /// Waits until many more signatures are refused.
    async fn refuses(&self, expected: &str) {
        let before = self.refused();
        until(PATIENCE, expected, async || self.refused() >= before + MANY).await;
    }

    /// Sends batches as an isolate does, one after the other, each until it is stored. Returns their number.
    async fn report(self: Arc<Self>, isolate: u64) -> u64 {
        let client = reqwest::Client::new();
        let (mut sequence, mut sent) = (0, 0);
        while !self.is_over.load(Ordering::Relaxed) {
            sequence += 1;
            let cells = vec![cell(FLAG, None, Arm::New, counts(1, 0))];
            let batch = Batch { cells, ..Batch::empty(format!("{isolate:032x}"), sequence) };
            loop {
                sent += 1;
                let secret = self.secret.lock().unwrap().clone();
                let url = {
                    let processes = self.processes.lock().unwrap();
                    processes[sent % processes.len()].clone()
                };
                let (status, answer) = post_batch(&client, &url, &batch, &secret).await;
                match status {
                    200 => break self.note_stored(answer["duplicate"] == json!(true)),
                    401 => self.refused.fetch_add(1, Ordering::Relaxed),
                    502 | 503 => 0,
                    _ => panic!("{status}: {answer:#}"),
                };
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        sequence
    }

    fn note_stored(&self, is_repeated: bool) {
        self.repeated.fetch_add(u64::from(is_repeated), Ordering::Relaxed);
        self.stored.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_are_exact_while_the_secret_comes_late_is_empty_and_is_rotated() {
    let (moto, dynamodb) = (Moto::start().await, DynamoDb::start().await);
    moto.create_secret(SECRET).await;
    let url = moto.url();
    let variables =
        [("CUTOVER_INGEST_SECRET_ARN", SECRET), ("AWS_ENDPOINT_URL_SECRETS_MANAGER", url.as_str())];
    let platform = platform(&dynamodb, &variables).await;
    let first = Process::start(&dynamodb, &variables).await;
    let edge = Edge::new();
    edge.sign_with("the first value");
    edge.send_to(&[&first]);
    let isolates: Vec<JoinHandle<u64>> =
        (0..ISOLATES).map(|isolate| tokio::spawn(Arc::clone(&edge).report(isolate))).collect();

    edge.refuses("refused without a value").await;
    moto.put_secret(SECRET, " \n").await;
    edge.refuses("refused with an empty value").await;
    assert_eq!((edge.stored(), dynamodb.batches().len()), (0, 0), "stored without a secret");
    moto.put_secret(SECRET, "the first value").await;
    edge.stores("stored although the secret has come").await;

    // The control plane has the new value before the edge has: no signature is refused.
    moto.put_secret(SECRET, "the second value").await;
    let second = Process::start(&dynamodb, &variables).await;
    edge.send_to(&[&first, &second]);
    let refused = edge.refused();
    edge.stores("stored under the previous value").await;
    assert_eq!(edge.refused(), refused, "the previous value is refused");

    // The edge has the value before an old process of ingest has.
    edge.sign_with("the second value");
    edge.stores("stored under the new value").await;
    if is_deep() {
        edge.send_to(&[&first]);
        edge.stores("stored by the old process").await;
    } else {
        edge.send_to(&[&second]);
    }

    // A value that the edge never gets.
    moto.put_secret(SECRET, "another value").await;
    moto.put_secret(SECRET, "yet another value").await;
    let third = Process::start(&dynamodb, &variables).await;
    edge.send_to(&[&third]);
    edge.refuses("refused under a value that was replaced twice").await;
    edge.sign_with("yet another value");
    edge.stores("stored under the newest value").await;

    edge.is_over.store(true, Ordering::Relaxed);
    let mut sent = 0;
    for isolate in isolates {
        sent += tokio::time::timeout(PATIENCE, isolate).await.expect("the last batch is stored").unwrap();
    }
    let repeated = edge.repeated.load(Ordering::Relaxed);
    println!("{sent} batches, {} signatures refused, {repeated} batches stored before", edge.refused());
    assert!(repeated > 0, "no response was lost");
    assert_eq!((edge.stored(), dynamodb.batches().len() as u64), (sent, sent));
    // Twice, so that what is counted again would be seen.
    for _ in 0..2 {
        assert!(invocation(&platform).await.unwrap().worked, "somebody holds the lease");
        assert_eq!(requests_in_ledger(&platform.store, FLAG).await, sent);
        assert_eq!(platform.store.cursor().await.unwrap().totals.batches, sent);
    }
}
