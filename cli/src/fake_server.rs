//! A server for unit tests that gives every request the same answer.

use flate2::{Compression, write::GzEncoder};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
};

/// Starts a server. Returns its URL, and the paths that have been requested so far.
pub fn answering(status: u16, body: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    start(Answer::new(status, body), |request| request.path)
}

/// Starts a server whose responses have a header. Returns its URL, and the paths that have been requested so far.
pub fn answering_with(
    status: u16,
    body: &'static str,
    header: (&'static str, &'static str),
) -> (String, Arc<Mutex<Vec<String>>>) {
    start(Answer { header: Some(header), ..Answer::new(status, body) }, |request| request.path)
}

/// Starts a server. Returns its URL, and the `Idempotency-Key` of each request so far.
pub fn answering_keys(status: u16, body: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    start(Answer::new(status, body), |request| request.key)
}

/// Starts a server that answers paths below `/api/migration` with a status and a body each, and all others with 200 and
/// another body. Returns its URL, and the paths that have been requested so far.
pub fn answering_by_path(
    paths: &[(&'static str, u16, &'static str)],
    body: &'static str,
) -> (String, Arc<Mutex<Vec<String>>>) {
    start(Answer { paths: paths.to_vec(), ..Answer::new(200, body) }, |request| request.path)
}

/// Starts a server that answers the first requests with 503, and the others with a body. Returns its URL, and the paths that
/// have been requested so far.
pub fn failing_first(failures: usize, body: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    start(Answer { failures, ..Answer::new(200, body) }, |request| request.path)
}

/// Starts a server whose responses are compressed with gzip. Returns its URL, and the `Accept-Encoding` of each request so
/// far.
pub fn answering_packed(body: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body.as_bytes()).unwrap();
    let (body, header) = (encoder.finish().unwrap(), Some(("content-encoding", "gzip")));
    start(Answer { body, header, ..Answer::new(200, "") }, |request| request.encoding)
}

/// The answer to every request, except for the first ones if these fail.
struct Answer {
    status: u16,
    body: Vec<u8>,
    header: Option<(&'static str, &'static str)>,
    /// Number of requests that are answered with 503 first.
    failures: usize,
    /// Paths below `/api/migration` with a status and a body of their own.
    paths: Vec<(&'static str, u16, &'static str)>,
}

impl Answer {
    fn new(status: u16, body: &str) -> Self {
        Self { status, body: body.as_bytes().to_vec(), header: None, failures: 0, paths: Vec::new() }
    }
}

/// Starts a server. Returns its URL, and the `If-Match` of each request so far.
pub fn answering_tags(status: u16, body: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    start(Answer::new(status, body), |request| request.tag)
}

/// A request to the server.
struct Request {
    path: String,
    /// The `If-Match`, empty if there is none.
    tag: String,
    /// The `Idempotency-Key`, empty if there is none.
    key: String,
    /// The `Accept-Encoding`, empty if there is none.
    encoding: String,
}

/// Starts a server that keeps a part of each request.
fn start(answer: Answer, part: fn(Request) -> String) -> (String, Arc<Mutex<Vec<String>>>) {
    let Answer { status, body, header, failures, paths } = answer;
    let header = header.map_or_else(String::new, |(name, value)| format!("{name}: {value}\r\n"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let parts = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&parts);
    thread::spawn(move || {
        for (count, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
            let own = paths.iter().find(|(own, ..)| path == format!("/api/migration{own}"));
            let (status, body) =
                own.map_or((status, &body[..]), |(_, status, body)| (*status, body.as_bytes()));
            let mut request =
                Request { path, tag: String::new(), key: String::new(), encoding: String::new() };
            let mut length = 0;
            loop {
                let mut header = String::new();
                reader.read_line(&mut header).unwrap();
                match header.trim().to_lowercase().split_once(':') {
                    Some(("content-length", value)) => length = value.trim().parse().unwrap(),
                    Some(("idempotency-key", value)) => value.trim().clone_into(&mut request.key),
                    Some(("accept-encoding", value)) => value.trim().clone_into(&mut request.encoding),
                    Some(("if-match", value)) => value.trim().clone_into(&mut request.tag),
                    Some(_) => {}
                    None => break,
                }
            }
            kept.lock().unwrap().push(part(request));
            reader.read_exact(&mut vec![0; length]).unwrap();
            if count < failures {
                let failure =
                    "HTTP/1.1 503 x\r\nretry-after: 0\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                stream.write_all(failure.as_bytes()).unwrap();
                continue;
            }
            let head =
                format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
            stream.write_all(&[format!("{head}{header}\r\n").as_bytes(), body].concat()).unwrap();
        }
    });
    (url, parts)
}
