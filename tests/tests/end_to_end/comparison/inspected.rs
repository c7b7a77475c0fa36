//! Responses that are inspected for errors behind the status of a success, and compressed ones.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_error_behind_status_200_is_counted_as_one() {
    let stack = started(100.0, "error_when: { path: success, equals: false }", "").await;
    stack.new.control().set(Faults { hidden_error_rate: 1.0, ..Faults::default() });
    let mut connection = Connection::open(stack.edge.port()).await;
    for at in 0..20 {
        let answer = connection.get(LIST, &[("x-user-id", &format!("user-{at}"))]).await;
        assert_eq!((answer.status, answer.json()["success"].as_bool()), (200, Some(false)));
    }
    stack.new.control().set(Faults::default());
    for at in 0..20 {
        connection.get(LIST, &[("x-user-id", &format!("user-{at}"))]).await;
    }
    // What a body says is looked at behind the request.
    let health = all_counted(&stack, 40).await;
    assert_eq!(health["outcomes"]["new"]["requests"], 40, "{health:#}");
    assert_eq!(health["outcomes"]["new"]["errors"], 20, "{health:#}");
}

/// Returns the edge's health when it has counted this many requests of the new arm.
async fn all_counted(stack: &Stack, requests: u64) -> Value {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let health = http::edge_health(stack.edge.port()).await;
        if health["outcomes"]["new"]["requests"].as_u64() >= Some(requests) {
            return health;
        }
        assert!(Instant::now() < deadline, "{health:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Starts the Worker with one route that takes responses without success for errors.
async fn inspecting(origin: &RawOrigin) -> SingleRouteWorker {
    let flag = "enabled: true, rollout_percentage: 100";
    let route = ", error_when: { path: success, equals: false }";
    SingleRouteWorker::configured(&single_route(&origin.url(), &origin.url(), 10_000, flag, route), &[]).await
}

/// A body of the given length that reports an error.
fn failure(length: usize) -> String {
    let (begin, end) = (r#"{"success":false,"text":""#, r#""}"#);
    format!("{begin}{}{end}", "x".repeat(length - begin.len() - end.len()))
}

/// Waits until the new arm has these numbers of requests, errors and responses that were not inspected.
async fn counted(edge: &SingleRouteWorker, expected: [u64; 3]) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let outcomes = &edge.health().await["outcomes"]["new"];
        let found = ["requests", "errors", "uninspected"].map(|name| outcomes[name].as_u64());
        if found == expected.map(Some) {
            break;
        }
        assert!(Instant::now() < deadline, "{outcomes:#}, expected {expected:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// An origin whose bodies report an error. On `/fits` they can be inspected; on `/streamed` their length is not announced.
async fn failing() -> RawOrigin {
    RawOrigin::start(|mut received: ReceivedRequest| async move {
        let body = failure(if received.target() == "/fits" { 65_536 } else { 65_537 });
        let length = match received.target().as_str() {
            "/streamed" => String::new(),
            _ => format!("content-length: {}\r\n", body.len()),
        };
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{length}connection: close\r\n\r\n");
        let _ = received.socket.write_all(format!("{head}{body}").as_bytes()).await;
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_is_too_large_to_inspect_is_counted_by_its_status() {
    let origin = failing().await;
    let edge = inspecting(&origin).await;
    for path in ["/fits", "/large", "/streamed"] {
        let answer = http::get(edge.port(), path, &[("x-user-id", "u1")]).await;
        assert_eq!((answer.status, answer.json()["success"].as_bool()), (200, Some(false)), "{path}");
    }
    counted(&edge, [3, 1, 2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_that_were_not_inspected_are_in_the_metrics() {
    let error_when = "error_when: { path: success, equals: false }";
    let (origin, stack) = (failing().await, started(100.0, error_when, "").await);
    let text = configuration([&origin.url(), &origin.url()], 100.0, error_when, "");
    let applied = stack.management().apply(&text).await.expect(200);
    stack.edge_holds(applied.body["revision"].as_u64().unwrap()).await;
    let answer = http::get(stack.edge.port(), "/api/v1/large", &[("x-user-id", "u1")]).await;
    assert_eq!(answer.status, 200);
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        stack.tick().await;
        let metrics = stack.management().get("/metrics").await.expect(200).body;
        if metrics["responses_uninspected"] == 1 {
            break;
        }
        assert!(Instant::now() < deadline, "{metrics:#}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_are_inspected_up_to_a_sum_of_bytes_at_once() {
    // Eight megabytes, and some more.
    const FITTING: u64 = 128;
    const REQUESTS: u64 = FITTING + 12;
    let (release, released) = watch::channel(false);
    // It sends most of each body when it is told to.
    let origin = RawOrigin::start(move |mut received: ReceivedRequest| {
        let mut released = released.clone();
        async move {
            let body = failure(65_536);
            let (first, rest) = body.split_at(1_000);
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let _ = received.socket.write_all(format!("{head}{first}").as_bytes()).await;
            let _ = released.wait_for(|is_released| *is_released).await;
            let _ = received.socket.write_all(rest.as_bytes()).await;
        }
    })
    .await;
    let edge = inspecting(&origin).await;
    let port = edge.port();
    let asked: Vec<_> =
        (0..REQUESTS).map(|_| tokio::spawn(http::get(port, "/", &[("x-user-id", "u1")]))).collect();
    // The others are counted when their bodies have been read.
    counted(&edge, [REQUESTS - FITTING, 0, REQUESTS - FITTING]).await;
    release.send(true).expect("the origin waits");
    for answer in asked {
        assert_eq!(answer.await.expect("an answer").status, 200);
    }
    counted(&edge, [REQUESTS, FITTING, REQUESTS - FITTING]).await;
    // There is room again.
    assert_eq!(http::get(port, "/", &[("x-user-id", "u1")]).await.status, 200);
    counted(&edge, [REQUESTS + 1, FITTING + 1, REQUESTS - FITTING]).await;
}

fn review(is_success: bool, rating: u32) -> String {
    format!("{{\"success\":{is_success},\"rating\":{rating},\"text\":\"{}\"}}", "good ".repeat(500))
}

/// An origin that compresses its reviews. For a path with `broken` its body reports an error.
async fn compressing(rating: u32) -> RawOrigin {
    RawOrigin::start(move |mut received: ReceivedRequest| async move {
        let body = gzip::compress(review(!received.target().contains("broken"), rating).as_bytes());
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n",
            body.len()
        );
        let _ = received.socket.write_all(head.as_bytes()).await;
        let _ = received.socket.write_all(&body).await;
    })
    .await
}

/// The runtime decodes a body that is read. The client's must not suffer, and the reader must see through it.
#[tokio::test(flavor = "multi_thread")]
async fn compressed_bodies_reach_the_client_whole_and_are_compared_and_inspected() {
    let (legacy, new) = (compressing(4).await, compressing(5).await);
    let stack = started(100.0, EVERYTHING, "").await;
    let routes = "  - { id: plain, match: { path: \"/plain/{*rest}\" }, flag: offers, legacy: rest, new: graphql }\n  \
                  - { id: hiding, match: { path: \"/hiding/{*rest}\" }, flag: offers, legacy: rest, new: graphql, \
                  error_when: { path: success, equals: false } }\n";
    let text = configuration([&legacy.url(), &new.url()], 100.0, EVERYTHING, routes);
    let applied = stack.management().apply(&text).await.expect(200);
    stack.edge_holds(applied.body["revision"].as_u64().unwrap()).await;
    for path in ["/plain/1", "/plain/broken", "/api/v1/1", "/hiding/1", "/hiding/broken"] {
        let headers = [("x-user-id", "u1"), ("accept-encoding", "gzip")];
        let answer = http::get(stack.edge.port(), path, &headers).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-encoding").as_deref(), Some("gzip"), "{path}");
        let expected = review(!path.contains("broken"), 5);
        assert_eq!(gzip::decompress(&answer.body), expected.as_bytes(), "{path}");
    }
    let told = report(&stack, |held| held["compared"] == 1).await;
    let differs: Vec<(String, String)> = found(&told, false).into_keys().collect();
    assert_eq!(differs, [("rating".to_owned(), "number".to_owned())], "{told:#}");
    assert_eq!(told["skipped"], serde_json::json!({}), "{told:#}");
    // Only the route with `error_when` takes the body for an error.
    let health = all_counted(&stack, 5).await;
    assert_eq!(health["outcomes"]["new"]["requests"], 5, "{health:#}");
    assert_eq!(health["outcomes"]["new"]["errors"], 1, "{health:#}");
}
