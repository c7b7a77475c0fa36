//! Origins that cannot answer: legacy stands in where a second request is safe, and otherwise the client is told.

use cutover_tests::{
    http::{self, Answer},
    proxied::SingleRouteWorker,
    raw_origin::{RawOrigin, ReceivedRequest},
};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;

const USER: (&str, &str) = ("x-user-id", "u1");

/// Time limit of the backends, which a healthy one keeps on a busy machine.
const LIMIT_MS: u32 = 1_000;

async fn refused() -> String {
    format!("http://127.0.0.1:{}", cutover_tests::process::free_port())
}

async fn hanging() -> RawOrigin {
    RawOrigin::start(|received: ReceivedRequest| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(received);
    })
    .await
}

fn problem(answer: &Answer) -> (u16, String, String) {
    (
        answer.status,
        answer.header("content-type").unwrap_or_default(),
        answer.json()["code"].as_str().unwrap().to_owned(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_origin_that_cannot_answer_is_replaced_by_legacy_where_that_is_safe() {
    let legacy = RawOrigin::start(|mut received: ReceivedRequest| async move {
        let body = received.body().await;
        let head = format!(
            "HTTP/1.1 200 OK\r\nx-backend: legacy\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        let _ = received.socket.write_all(head.as_bytes()).await;
        let _ = received.socket.write_all(&body).await;
    })
    .await;
    let hanging = hanging().await;
    for (new, late) in [(refused().await, false), (hanging.url(), true)] {
        let edge = SingleRouteWorker::start(&legacy.url(), &new, LIMIT_MS).await;
        // An answer that did not come in time says nothing about what was carried out, so only reads are sent again.
        let again: &[(&str, &[u8])] = if late {
            &[("GET", b""), ("HEAD", b"")]
        } else {
            &[("GET", b""), ("HEAD", b""), ("DELETE", b""), ("PUT", b"small body")]
        };
        for (method, body) in again.iter().copied() {
            let started = Instant::now();
            let answer = http::send(edge.port(), method, "/x?y=1", &[USER], body).await;
            assert_eq!(answer.status, 200, "{method} {new}");
            assert_eq!(answer.header("x-backend").as_deref(), Some("legacy"), "{method} {new}");
            assert_eq!(answer.header("x-cutover-arm").as_deref(), Some("legacy"));
            assert_eq!(answer.header("x-cutover-reason").as_deref(), Some("FALLBACK"));
            if method == "PUT" {
                assert_eq!(answer.body, body);
            }
            assert!(started.elapsed() < Duration::from_secs(10), "it waited for what hangs");
        }
        let counts = edge.health().await;
        assert_eq!(counts["outcomes"]["new"]["errors"], again.len(), "{counts:#}");
        assert_eq!(counts["outcomes"]["legacy"]["requests"], again.len(), "{counts:#}");
        // What may have been carried out is not sent twice; a body too large to keep cannot be.
        let edge = SingleRouteWorker::start(&legacy.url(), &new, LIMIT_MS).await;
        for (method, body) in
            [("POST", b"order".to_vec()), ("PATCH", b"order".to_vec()), ("PUT", vec![b'x'; 100_000])]
        {
            let answer = http::send(edge.port(), method, "/x", &[USER], &body).await;
            let (status, code) = if late { (504, "origin_timeout") } else { (502, "origin_unreachable") };
            assert_eq!(
                problem(&answer),
                (status, "application/problem+json".to_owned(), code.to_owned()),
                "{method}"
            );
        }
        let counts = edge.health().await;
        assert_eq!(counts["outcomes"]["new"]["errors"], 3, "{counts:#}");
        assert_eq!(counts["outcomes"]["legacy"]["requests"], 0, "{counts:#}");
    }
    // Neither answers.
    let edge = SingleRouteWorker::start(&refused().await, &refused().await, LIMIT_MS).await;
    let answer = http::get(edge.port(), "/x", &[USER]).await;
    assert_eq!(problem(&answer).0, 502);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_began_in_time_may_take_its_time() {
    let new = RawOrigin::start(|mut received: ReceivedRequest| async move {
        let _ = received
            .socket
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nab")
            .await;
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        let _ = received.socket.write_all(b"cd").await;
    })
    .await;
    let edge = SingleRouteWorker::start(&refused().await, &new.url(), LIMIT_MS).await;
    let answer = http::get(edge.port(), "/slow", &[USER]).await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"abcd"[..]));
}
