//! Requests that are answered without an evaluation, sent to all Workers of the benchmark: each has to do the work
//! that the others do for every request.

use super::{
    COMPILED, FLAGD, OURS, PATH, TOKEN,
    flags::{Callers, MEASURED},
    start,
};
use crate::http::{self, Answer};

/// A page that may read the answers.
const PAGE: &str = "https://app.example";

/// Bytes of a body over the limit.
const OVER_LIMIT: usize = 65_537;

/// Requests after which one of two in a row was in the second of the other, also on a busy machine.
const ATTEMPTS: usize = 20;

/// Headers that the Workers must agree on; the entity tag is each Worker's own.
const COMPARED: [&str; 11] = [
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "access-control-max-age",
    "allow",
    "cache-control",
    "content-type",
    "retry-after",
    "vary",
    "www-authenticate",
];

/// The part of an answer that all Workers must agree on.
#[derive(Debug, PartialEq)]
struct Refusal {
    status: u16,
    headers: Vec<(&'static str, String)>,
    is_tagged: bool,
    /// Code of the error in the body, if it has one.
    code: Option<String>,
    has_body: bool,
}

impl Refusal {
    fn of(answer: &Answer) -> Self {
        let header = |name: &'static str| Some((name, answer.header(name)?));
        let has_body = !answer.body.is_empty();
        let code = has_body.then(|| answer.json()["errorCode"].as_str().map(str::to_owned)).flatten();
        Self {
            status: answer.status,
            headers: COMPARED.into_iter().filter_map(header).collect(),
            is_tagged: answer.header("etag").is_some(),
            code,
            has_body,
        }
    }
}

/// Sends a request of the page.
async fn send(port: u16, method: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut all = vec![("origin", PAGE)];
    all.extend(headers);
    http::send(port, method, PATH, &all, body.as_bytes()).await
}

/// Sends a request of each kind to a Worker but those that come too fast.
async fn refusals(port: u16, body: &str) -> Vec<Refusal> {
    let authorization = format!("Bearer {TOKEN}");
    let token = ("authorization", authorization.as_str());
    let preflight =
        [("access-control-request-method", "POST"), ("access-control-request-headers", "authorization")];
    let tag = send(port, "POST", &[token], body).await.header("etag").expect("an entity tag");
    let held = ("if-none-match", tag.as_str());
    let large = " ".repeat(OVER_LIMIT);
    let mut refusals = Vec::new();
    for (method, headers, body, status) in [
        ("POST", vec![], body, 401),
        ("POST", vec![("authorization", "Bearer stranger")], body, 401),
        ("POST", vec![token], large.as_str(), 413),
        ("POST", vec![token], "{", 400),
        ("POST", vec![token], r#"{"context":1}"#, 400),
        ("OPTIONS", preflight.to_vec(), "", 204),
        ("GET", vec![], "", 405),
        ("POST", vec![token, held], body, 304),
        // A stranger is one also after a token that is known.
        ("POST", vec![("authorization", "Bearer stranger")], body, 401),
    ] {
        let answer = send(port, method, &headers, body).await;
        assert_eq!(answer.status, status, "{method} {headers:?}");
        refusals.push(Refusal::of(&answer));
    }
    refusals
}

/// Sends requests to a Worker that takes one in a second, until it refuses one.
async fn too_fast(port: u16, body: &str) -> Refusal {
    let authorization = format!("Bearer {TOKEN}");
    for _ in 0..ATTEMPTS {
        let answer = send(port, "POST", &[("authorization", &authorization)], body).await;
        if answer.status == 429 {
            return Refusal::of(&answer);
        }
    }
    panic!("{ATTEMPTS} requests in a row, and none was too fast");
}

/// Checks that all Workers refuse the same requests in the same way.
pub async fn check() {
    let callers = Callers { origins: &[PAGE], ..MEASURED };
    let bench = start(callers).await;
    let body = &bench.bodies[0];
    let ours = refusals(bench.workerd.port(OURS), body).await;
    for name in [FLAGD, COMPILED] {
        assert_eq!(refusals(bench.workerd.port(name), body).await, ours, "{name}");
    }
    let slow = start(Callers { per_second: 1, ..callers }).await;
    let ours = too_fast(slow.workerd.port(OURS), body).await;
    for name in [FLAGD, COMPILED] {
        assert_eq!(too_fast(slow.workerd.port(name), body).await, ours, "{name}");
    }
}
