//! The inspector of workerd: V8's heap, over the Chrome DevTools protocol.

use crate::http;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

/// Time that a command may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Size of V8's heap and of the memory that its objects keep outside it, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeapUsage {
    /// Objects, and garbage that has not been collected.
    pub used: u64,
    /// All memory that V8 holds for them, free space included.
    pub total: u64,
    /// Objects of the runtime in a heap of its own; 0 if V8 does not tell.
    pub embedder: u64,
    /// Contents of buffers and of external strings; 0 if V8 does not tell.
    pub backing: u64,
}

impl HeapUsage {
    /// Reads the result of `Runtime.getHeapUsage`.
    fn read(result: &Value) -> Self {
        let optional = |name: &str| result[name].as_f64().map(|bytes| bytes as u64);
        let bytes = |name: &str| optional(name).unwrap_or_else(|| panic!("no {name}: {result:#}"));
        Self {
            used: bytes("usedSize"),
            total: bytes("totalSize"),
            embedder: optional("embedderHeapUsedSize").unwrap_or_default(),
            backing: optional("backingStorageSize").unwrap_or_default(),
        }
    }

    /// Returns the bytes of all objects with what they keep outside V8's heap.
    pub fn in_use(&self) -> u64 {
        self.used + self.embedder + self.backing
    }
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
        HeapUsage::read(&usage)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_outside_the_heap_is_in_use_too() {
        let known =
            json!({ "usedSize": 5, "totalSize": 9, "embedderHeapUsedSize": 20, "backingStorageSize": 300 });
        assert_eq!(HeapUsage::read(&known), HeapUsage { used: 5, total: 9, embedder: 20, backing: 300 });
        assert_eq!(HeapUsage::read(&known).in_use(), 325);
        // An earlier V8.
        assert_eq!(HeapUsage::read(&json!({ "usedSize": 5, "totalSize": 9 })).in_use(), 5);
    }
}
