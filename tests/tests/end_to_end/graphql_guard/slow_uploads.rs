//! Uploads of which only the first part arrives: the part that the isolate holds is bounded, and free when their clients
//! leave.

use super::{GOOD, Guarded, JSON};
use crate::teardown::Ingest;
use cutover_tests::http::Answer;
use std::time::{Duration, Instant};
use tokio::{io::AsyncWriteExt, net::TcpStream};

/// Uploads of 64 KB that fill the 16 MB of an isolate.
const UPLOADS: usize = 256;

/// Time for anything that must happen, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Begins an upload, whose length is announced or not.
async fn begin_upload(port: u16, is_announced: bool) -> TcpStream {
    let mut client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let framing = if is_announced { "content-length: 65536" } else { "transfer-encoding: chunked" };
    let beginning = if is_announced { "{" } else { "1\r\n{\r\n" };
    let head = format!(
        "POST /graphql HTTP/1.1\r\nhost: h\r\nx-user-id: u1\r\ncontent-type: application/json\r\n{framing}\r\n\r\n"
    );
    client.write_all(format!("{head}{beginning}").as_bytes()).await.unwrap();
    client
}

/// Sends good requests until one has this status.
async fn until_answered(guarded: &Guarded, status: u16) -> Answer {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = guarded.post(GOOD).await;
        if answer.status == status {
            return answer;
        }
        assert!(Instant::now() < deadline, "{}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_uploads_are_bounded_and_leave_room_when_their_clients_leave() {
    let ingest = Ingest::start().await;
    let ingest_url = ingest.url();
    let variables = [
        ("INGEST_URL", ingest_url.as_str()),
        ("CUTOVER_INGEST_SECRET", "secret-of-the-guard-test"),
        ("REPORT_INTERVAL_MS", "300"),
    ];
    let guarded = Guarded::reporting(", guard: {}", &variables).await;
    // Requests that come before the snapshot are not checked.
    assert_eq!(guarded.post(GOOD).await.status, 200);
    let mut uploads = Vec::new();
    // A few more than fit, because one may come to its end for a reason of its own.
    for number in 0..UPLOADS + 8 {
        uploads.push(begin_upload(guarded.edge.port(), number % 2 == 0).await);
    }
    let busy = until_answered(&guarded, 503).await;
    assert_eq!(busy.json()["code"], "guard_busy");
    assert_eq!(busy.header("retry-after").as_deref(), Some("1"));
    assert_eq!(busy.header("x-cutover-reason").as_deref(), Some("GUARDED"));
    // What has no body needs no room.
    let target = "/graphql?query=%7Ba%7D";
    assert_eq!(guarded.send("GET", target, &[], b"").await.status, 200);
    // One that is announced to be too large is not held.
    let large = vec![b' '; 65_537];
    assert_eq!(guarded.send("POST", "/graphql", &[JSON], &large).await.status, 413);
    for left in [16, UPLOADS - 8] {
        drop(uploads.split_off(uploads.len() - left));
        until_answered(&guarded, 200).await;
    }
    assert!(uploads.is_empty());
    // No backend was asked for any of them.
    let deadline = Instant::now() + PATIENCE;
    while ingest.gave_up("GUARDED") < UPLOADS as u64 - 8 {
        assert!(Instant::now() < deadline, "{:?} {:?}", ingest.decided("GUARDED"), ingest.decided("ROLLOUT"));
        assert_eq!(guarded.post(GOOD).await.status, 200);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!((ingest.gave_up("GUARDED"), ingest.gave_up("ROLLOUT")), (UPLOADS as u64, 0));
    // Those that found no room are counted too.
    assert!(ingest.decided("GUARDED")[0] > UPLOADS as u64 + 1);
}
