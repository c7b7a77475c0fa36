//! An HTTP client that sends bytes exactly as given and returns them exactly as received: no
//! normalisation, no decompression, no redirects. HTTP libraries hide precisely the details that
//! the tests of a proxy check.

use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Token of every Worker that the tests start.
pub const EDGE_TOKEN: &str = "local-edge-token";

/// A response as it was received.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers in order, with names in lower case and values as bytes.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body, without chunk framing.
    pub body: Vec<u8>,
}

impl Answer {
    /// Returns the first header of a name, as a string.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers
            .iter()
            .find(|(held, _)| held == name)
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    }

    /// Returns all headers of a name, as strings.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.headers
            .iter()
            .filter(|(held, _)| held == name)
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            .collect()
    }

    /// Parses the body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(&self.body)))
    }
}

/// Sends a GET over a new connection.
pub async fn get(port: u16, target: &str, headers: &[(&str, &str)]) -> Answer {
    send(port, "GET", target, headers, b"").await
}

/// Returns the state of an isolate, as the holder of the edge token sees it.
pub async fn edge_health(port: u16) -> serde_json::Value {
    let bearer = format!("Bearer {EDGE_TOKEN}");
    get(port, "/_cutover/health", &[("authorization", &bearer)]).await.json()
}

/// Sends a request over a new connection and reads the whole response.
pub async fn send(port: u16, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut head = format!("{method} {target} HTTP/1.1\r\nhost: api.example.com\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    let mut request = head.into_bytes();
    request.extend_from_slice(body);
    exchange(port, &request).await
}

/// Sends bytes over a new connection and reads one response.
pub async fn exchange(port: u16, request: &[u8]) -> Answer {
    let answer = tokio::time::timeout(Duration::from_secs(60), async {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).await.expect("a server listens");
        socket.write_all(request).await.expect("the request is sent");
        let head_only = request.starts_with(b"HEAD ");
        let mut received = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            if let Some(answer) = parse(&received, head_only) {
                return answer;
            }
            match socket.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(read) => received.extend_from_slice(&buffer[..read]),
            }
        }
        parse_closed(&received)
            .unwrap_or_else(|| panic!("no complete response: {:?}", String::from_utf8_lossy(&received)))
    });
    answer.await.expect("a response within a minute")
}

/// Parses the head of a response. Returns it with the offset of the body.
pub fn parse_head(bytes: &[u8]) -> Option<(Answer, usize)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let mut lines =
        bytes[..end - 4].split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let status = std::str::from_utf8(lines.next()?).ok()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines
        .filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = String::from_utf8_lossy(&line[..colon]).to_ascii_lowercase();
            Some((name, line[colon + 1..].trim_ascii().to_vec()))
        })
        .collect();
    Some((Answer { status, headers, body: Vec::new() }, end))
}

fn parse(bytes: &[u8], head_only: bool) -> Option<Answer> {
    let (mut answer, start) = parse_head(bytes)?;
    if matches!(answer.status, 100 | 103) {
        return parse(&bytes[start..], head_only);
    }
    let rest = &bytes[start..];
    if head_only || matches!(answer.status, 101 | 204 | 304) {
        return Some(answer);
    }
    if answer.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        answer.body = dechunk(rest)?;
        return Some(answer);
    }
    let length: usize = answer.header("content-length")?.parse().ok()?;
    answer.body = rest.get(..length)?.to_vec();
    Some(answer)
}

/// Parses a response whose body ends with the connection.
fn parse_closed(bytes: &[u8]) -> Option<Answer> {
    let (mut answer, start) = parse_head(bytes)?;
    answer.body = bytes[start..].to_vec();
    Some(answer)
}

fn dechunk(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(&bytes[..end]).ok()?.split(';').next()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        bytes = &bytes[end + 2..];
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(bytes.get(..size)?);
        bytes = bytes.get(size + 2..)?;
    }
}

/// A connection that stays open between requests.
pub struct Connection {
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects to a port of this machine.
    pub async fn open(port: u16) -> Self {
        let socket = TcpStream::connect(("127.0.0.1", port)).await.expect("a server listens");
        let _ = socket.set_nodelay(true);
        Self { socket, buffer: vec![0; 64 * 1024] }
    }

    /// Sends a GET and reads its response.
    pub async fn get(&mut self, target: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = format!("GET {target} HTTP/1.1\r\nhost: api.example.com\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        self.socket.write_all(request.as_bytes()).await.expect("the request is sent");
        let mut received = Vec::new();
        loop {
            let read = tokio::time::timeout(Duration::from_secs(30), self.socket.read(&mut self.buffer));
            let read = read.await.expect("a response within half a minute").expect("the response is read");
            assert!(read > 0, "the connection was closed: {:?}", String::from_utf8_lossy(&received));
            received.extend_from_slice(&self.buffer[..read]);
            if let Some(answer) = parse(&received, false) {
                return answer;
            }
        }
    }
}
