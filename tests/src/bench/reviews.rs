//! A GraphQL origin over raw sockets that costs less than workerd: it returns one review or twenty
//! and, under some ids, the other outcomes of querying a backend.

use std::sync::{Arc, Mutex, PoisonError};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// The ids, or pages, that provoke a situation, and its name.
pub const SITUATIONS: [(u32, &str); 12] = [
    (900_001, "null"),
    (900_002, "a mapped error"),
    (900_003, "an unmapped error"),
    (900_004, "not JSON"),
    (900_005, "a status of 500"),
    (900_006, "an id that is not a number"),
    (900_007, "a body over the limit"),
    (900_008, "a body over the limit, in chunks"),
    (900_009, "a header that is kept"),
    (900_010, "a redirect"),
    (900_011, "a closed connection"),
    (900_012, "a timeout"),
];

/// A running origin.
pub struct Reviews {
    /// The port on which it listens.
    pub port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

struct Answers {
    one: Vec<u8>,
    list: Vec<u8>,
}

fn review(id: &str) -> String {
    format!(
        r#"{{"id":"{id}","offerId":"4","authorId":"user-1","rating":5,"text":"Très bien, would buy again.","createdAt":"2024-01-08T12:00:00Z","updatedAt":"2024-01-08T12:00:00Z","isModerated":false}}"#
    )
}

fn answer(status: &str, more: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{more}content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn data(first: &str) -> String {
    let more = (2..=20).map(|id| review(&id.to_string()));
    let list: Vec<String> = std::iter::once(review(first)).chain(more).collect();
    format!(r#"{{"data":{{"review":{},"reviews":[{}]}}}}"#, review(first), list.join(","))
}

impl Reviews {
    /// Starts the origin on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("a bound address").port();
        let one = format!(r#"{{"data":{{"review":{}}}}}"#, review("7"));
        let answers =
            Arc::new(Answers { one: answer("200 OK", "", &one), list: answer("200 OK", "", &data("7")) });
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&answers), Arc::clone(&noted)));
            }
        });
        Self { port, asked }
    }

    /// Returns the queries since the last call that provoked a situation, as their variables, and
    /// the other requests, as method and target.
    pub fn asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner));
        asked.sort();
        asked
    }
}

async fn serve(mut socket: TcpStream, answers: Arc<Answers>, asked: Arc<Mutex<Vec<String>>>) {
    let _ = socket.set_nodelay(true);
    let mut buffer = Vec::with_capacity(16 * 1024);
    loop {
        // A request ends with its body, whose length is in its head.
        let end = loop {
            let text = String::from_utf8_lossy(&buffer);
            let whole = text.split_once("\r\n\r\n").map(|(head, _)| {
                let length = head.lines().find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
                });
                head.len() + 4 + length.unwrap_or_default()
            });
            match whole {
                Some(end) if buffer.len() >= end => break end,
                _ => {}
            }
            if !matches!(socket.read_buf(&mut buffer).await, Ok(1..)) {
                return;
            }
        };
        let request = String::from_utf8_lossy(&buffer[..end]).into_owned();
        buffer.drain(..end);
        let is_list = request.contains("query Reviews(");
        let is_question = request.starts_with("POST /graphql ");
        let usual = if is_list { &answers.list } else { &answers.one };
        // The load generator never requests the ids of situations.
        let unusual =
            if !is_question || request.contains("9000") { situation(&request, &asked) } else { None };
        let response = match &unusual {
            Some(Some(bytes)) => bytes,
            Some(None) => return,
            None => usual,
        };
        if socket.write_all(response).await.is_err() {
            return;
        }
    }
}

/// Returns the response to a request that provokes a situation, where `Some(None)` closes the
/// connection, and `None` for every other request.
fn situation(request: &str, asked: &Mutex<Vec<String>>) -> Option<Option<Vec<u8>>> {
    let note = |what: &str| asked.lock().unwrap_or_else(PoisonError::into_inner).push(what.to_owned());
    let (head, body) = request.split_once("\r\n\r\n")?;
    if !head.starts_with("POST /graphql ") {
        note(head.split(" HTTP").next().unwrap_or_default());
        return Some(Some(answer("200 OK", "", r#"{"legacy":true}"#)));
    }
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    let variables = body.get("variables")?;
    note(&variables.to_string());
    let number = |name: &str| {
        let value = variables.get(name)?;
        value.as_str().and_then(|text| text.parse().ok()).or_else(|| value.as_u64())
    };
    // With one review per page, page n has the offset n - 1.
    let id = number("id").or_else(|| Some(number("offset")? + 1))?;
    let (_, what) = SITUATIONS.iter().find(|(held, _)| u64::from(*held) == id)?;
    let error = |code: &str| {
        let error = format!(
            r#"{{"data":null,"errors":[{{"message":"an error","extensions":{{"code":"{code}"}}}}]}}"#
        );
        answer("200 OK", "", &error)
    };
    let large = format!(r#"{{"data":{{"review":null}},"more":"{}"}}"#, "x".repeat(5_000_000));
    Some(Some(match *what {
        "null" => answer("200 OK", "", r#"{"data":{"review":null,"reviews":null}}"#),
        "a mapped error" => error("CONFLICT"),
        "an unmapped error" => error("OTHER"),
        "not JSON" => answer("200 OK", "", "<html>"),
        "a status of 500" => answer("500 Internal Server Error", "", "{}"),
        "an id that is not a number" => answer("200 OK", "", &data("seven")),
        "a body over the limit" => answer("200 OK", "", &large),
        "a body over the limit, in chunks" => {
            let size = large.len();
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n{size:x}\r\n{large}\r\n0\r\n\r\n")
                .into_bytes()
        }
        "a header that is kept" => answer("200 OK", "x-backend: new\r\n", &data("7")),
        "a redirect" => answer("302 Found", "location: /elsewhere\r\n", ""),
        "a timeout" => Vec::new(),
        _ => return Some(None),
    }))
}
