//! An origin that shows a test the exact bytes of each request, and responds with arbitrary bytes.

use std::{future::Future, sync::Arc};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A request as it was received.
pub struct ReceivedRequest {
    /// The request line and headers, byte for byte.
    pub head: Vec<u8>,
    /// The part of the body that arrived with the head.
    pub rest: Vec<u8>,
    /// The connection, for reading the rest of the body and for the response.
    pub socket: TcpStream,
}

impl ReceivedRequest {
    /// Returns the head as a string, with replacement characters for bytes that are not UTF-8.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.head).into_owned()
    }

    /// Returns the method.
    pub fn method(&self) -> String {
        self.text().split(' ').next().unwrap_or_default().to_owned()
    }

    /// Returns the target as it was sent.
    pub fn target(&self) -> String {
        self.text().split(' ').nth(1).unwrap_or_default().to_owned()
    }

    /// Returns all values of a header as bytes. The name must be in lower case.
    pub fn header(&self, name: &str) -> Vec<Vec<u8>> {
        self.head
            .split(|byte| *byte == b'\n')
            .filter_map(|line| {
                let colon = line.iter().position(|byte| *byte == b':')?;
                (line[..colon].to_ascii_lowercase() == name.as_bytes())
                    .then(|| line[colon + 1..].trim_ascii().to_vec())
            })
            .collect()
    }

    /// Reads the whole body, if its length was announced.
    pub async fn body(&mut self) -> Vec<u8> {
        let length = self.header("content-length");
        let length: usize = length
            .first()
            .and_then(|value| std::str::from_utf8(value).ok())
            .and_then(|text| text.parse().ok())
            .unwrap_or_default();
        let mut buffer = vec![0; 64 * 1024];
        while self.rest.len() < length {
            let read = self.socket.read(&mut buffer).await.expect("the body is read");
            assert!(read > 0, "the body ends early");
            self.rest.extend_from_slice(&buffer[..read]);
        }
        std::mem::take(&mut self.rest)
    }
}

/// A running origin.
pub struct RawOrigin {
    port: u16,
    server: JoinHandle<()>,
}

impl RawOrigin {
    /// Starts an origin. Each connection carries one request, which `answer` handles.
    pub async fn start<F, A>(answer: A) -> Self
    where
        A: Fn(ReceivedRequest) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("a bound address").port();
        let answer = Arc::new(answer);
        let server = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let answer = Arc::clone(&answer);
                tokio::spawn(async move {
                    if let Some(received) = receive(socket).await {
                        answer(received).await;
                    }
                });
            }
        });
        Self { port, server }
    }

    /// Returns the base URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for RawOrigin {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn receive(mut socket: TcpStream) -> Option<ReceivedRequest> {
    let mut held = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = socket.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        held.extend_from_slice(&buffer[..read]);
        if let Some(end) = held.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = held.split_off(end + 4);
            return Some(ReceivedRequest { head: held, rest, socket });
        }
    }
}
