//! A small origin and a closed-loop load generator over raw sockets, both cheaper than workerd, so
//! that workerd limits the throughput.

use std::{
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Body of the origin's responses: small JSON, as a reviews API returns it.
const BODY: &str =
    r#"{"success":true,"data":{"id":17,"offer_id":4,"author_id":"u1","rating":5,"text":"Good."}}"#;

/// Starts an origin that gives every request the same response. Returns its port.
pub async fn start_origin() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("a bound address").port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = socket.set_nodelay(true);
                let response = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{BODY}",
                    BODY.len()
                );
                let mut buffer = vec![0; 16 * 1024];
                let mut held = 0;
                // Requests have no body here, so each ends with its empty line.
                while let Ok(read @ 1..) = socket.read(&mut buffer[held..]).await {
                    held += read;
                    if buffer[..held].ends_with(b"\r\n\r\n") {
                        held = 0;
                        if socket.write_all(response.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    port
}

/// Sends GET requests of the given number of users, as [`send`] does. Returns the responses per second. Every response must
/// have status 200.
pub async fn run(port: u16, connections: usize, duration: Duration, users: u64) -> f64 {
    let write = move |number: u64, request: &mut String| {
        let user = number % users;
        write!(
            request,
            "GET /api/v1/reviews/{user}?page=2 HTTP/1.1\r\nhost: api.example.com\r\nx-user-id: user-{user}\r\n\
             accept: application/json\r\nuser-agent: bench\r\n\r\n"
        )
        .expect("writing to a string cannot fail");
    };
    send(port, connections, duration, 200, write).await
}

/// Sends requests over the given number of connections for a while, each as soon as the previous
/// one is answered. `write` appends the request with a number. Returns the responses per second.
/// Every response must have the given status.
pub async fn send<W>(port: u16, connections: usize, duration: Duration, status: u16, write: W) -> f64
where
    W: Fn(u64, &mut String) + Send + Sync + 'static,
{
    let stop = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicU64::new(0));
    let write = Arc::new(write);
    let mut tasks = Vec::new();
    let started = Instant::now();
    for connection in 0..connections {
        let (stop, answered, write) = (Arc::clone(&stop), Arc::clone(&answered), Arc::clone(&write));
        tasks.push(tokio::spawn(async move {
            let mut socket = TcpStream::connect(("127.0.0.1", port)).await.expect("the Worker listens");
            let _ = socket.set_nodelay(true);
            let mut buffer = vec![0; 64 * 1024];
            let mut number = connection as u64 * 7919;
            let mut request = String::new();
            while !stop.load(Ordering::Relaxed) {
                number += 1;
                request.clear();
                write(number, &mut request);
                socket.write_all(request.as_bytes()).await.expect("the request is sent");
                read_response(&mut socket, &mut buffer, status).await;
                answered.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    tokio::time::sleep(duration).await;
    let elapsed = started.elapsed().as_secs_f64();
    let count = answered.load(Ordering::Relaxed);
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.expect("the task of a connection succeeds");
    }
    count as f64 / elapsed
}

async fn read_response(socket: &mut TcpStream, buffer: &mut [u8], status: u16) {
    let mut held = 0;
    loop {
        let read = socket.read(&mut buffer[held..]).await.expect("the response is read");
        assert!(read > 0, "the Worker closed the connection: {}", String::from_utf8_lossy(&buffer[..held]));
        held += read;
        let response = &buffer[..held];
        if let Some(end) = response.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = std::str::from_utf8(&response[..end]).expect("the head is text");
            let found = head.get(9..12).and_then(|digits| digits.parse::<u16>().ok());
            assert_eq!(found, Some(status), "{}", String::from_utf8_lossy(response));
            // Such a response has no body, whatever its headers say.
            if status == 304 {
                return;
            }
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            match length {
                Some(length) if held >= end + 4 + length => return,
                None if response.ends_with(b"0\r\n\r\n") => return,
                _ => {}
            }
        }
    }
}
