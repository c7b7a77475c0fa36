//! The inspector of workerd: V8's heap, over the Chrome DevTools protocol.

use crate::http;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

/// Time that a command may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Size of V8's heap, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeapUsage {
    /// Objects, and garbage that has not been collected.
    pub used: u64,
    /// All memory that V8 holds for them, free space included.
    pub total: u64,
}

/// A connection to the inspector of one Worker.
pub struct Inspector {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Number of commands so far, which is the id of the last one.
    sent: u64,
}

impl Inspector {
    /// Connects to the inspector that listens on the port, for the Worker of the given name.
    pub async fn open(port: u16, worker: &str) -> Self {
        let url = format!("ws://127.0.0.1:{port}/{worker}");
        let (socket, _) = connect_async(url.as_str()).await.unwrap_or_else(|error| panic!("{url}: {error}"));
        Self { socket, sent: 0 }
    }

    /// Returns the size of the Worker's heap.
    pub async fn heap(&mut self) -> HeapUsage {
        let command = self.send("Runtime.getHeapUsage").await;
        let usage =
            tokio::time::timeout(PATIENCE, self.result(command)).await.expect("the usage of the heap");
        let bytes =
            |name: &str| usage[name].as_f64().unwrap_or_else(|| panic!("no {name}: {usage:#}")) as u64;
        HeapUsage { used: bytes("usedSize"), total: bytes("totalSize") }
    }

    /// Collects the garbage of the Worker, which is requested meanwhile: V8 queues the collection, and the runtime looks into
    /// that queue behind requests only.
    pub async fn collect_garbage(&mut self, worker_port: u16, path: &str) {
        let deadline = Instant::now() + PATIENCE;
        let command = self.send("HeapProfiler.collectGarbage").await;
        while tokio::time::timeout(Duration::from_millis(20), self.result(command)).await.is_err() {
            assert!(Instant::now() < deadline, "no garbage is collected");
            http::get(worker_port, path, &[]).await;
        }
    }

    /// Sends a command. Returns its id.
    async fn send(&mut self, method: &str) -> u64 {
        self.sent += 1;
        let command = json!({ "id": self.sent, "method": method }).to_string();
        self.socket.send(Message::text(command)).await.expect("the inspector takes commands");
        self.sent
    }

    /// Waits for the result of a command, past the events before it.
    async fn result(&mut self, command: u64) -> Value {
        loop {
            let message = self.socket.next().await.expect("the inspector stays").expect("a message");
            let Message::Text(text) = message else { continue };
            let mut answer: Value = serde_json::from_str(&text).expect("a message is JSON");
            if answer["id"] == command {
                assert!(answer["error"].is_null(), "{answer:#}");
                return answer["result"].take();
            }
        }
    }
}
