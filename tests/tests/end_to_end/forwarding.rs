//! Forwarding is faithful: what a client sends arrives, what an origin answers comes back, byte for byte.

use cutover_tests::{
    gzip,
    http::{self, parse_head},
    proxied::SingleRouteWorker,
    raw_origin::{RawOrigin, ReceivedRequest},
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{mpsc, oneshot},
};

const USER: (&str, &str) = ("x-user-id", "u1");

/// An origin that answers everything with these bytes.
async fn answering(bytes: &'static [u8]) -> RawOrigin {
    RawOrigin::start(move |mut received: ReceivedRequest| async move {
        received.body().await;
        let _ = received.socket.write_all(bytes).await;
    })
    .await
}

/// An origin with empty responses, and what the function returns for each of its requests and their bodies.
async fn watching<T: Send + 'static>(
    look: impl Fn(&ReceivedRequest, Vec<u8>) -> T + Send + Sync + 'static,
) -> (RawOrigin, mpsc::UnboundedReceiver<T>) {
    let (seen, arrived) = mpsc::unbounded_channel();
    let look = Arc::new(look);
    let origin = RawOrigin::start(move |mut received: ReceivedRequest| {
        let (seen, look) = (seen.clone(), Arc::clone(&look));
        async move {
            let body = received.body().await;
            let _ = received
                .socket
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .await;
            let _ = seen.send(look(&received, body));
        }
    })
    .await;
    (origin, arrived)
}

/// The Worker in front of a new origin; legacy answers 299, so that nothing is mistaken for it.
async fn in_front_of(new: &RawOrigin) -> (SingleRouteWorker, RawOrigin) {
    let legacy =
        answering(b"HTTP/1.1 299 Legacy\r\ncontent-length: 6\r\nconnection: close\r\n\r\nlegacy").await;
    (SingleRouteWorker::start(&legacy.url(), &new.url(), 10_000).await, legacy)
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_paths_queries_headers_and_bodies_arrive_as_sent() {
    let (new, mut arrived) =
        watching(|received, body| (received.method(), received.target(), received.header("x-test"), body))
            .await;
    let (edge, _legacy) = in_front_of(&new).await;
    let targets = [
        "/",
        "/a%2Fb/%E2%82%AC",
        "/a?x=1&x=2&y=&z&&=v",
        "/a?q=%20+%2B%zz",
        "/a/?",
        "/a//b/;p=1/~x",
        "/a?u=http://other/path",
        "/a'b(c)!*,$@:",
    ];
    for target in targets {
        http::send(edge.port(), "GET", target, &[USER], b"").await;
        let (method, arrived_target, ..) = arrived.recv().await.unwrap();
        // A lone question mark is the one thing that the runtime's URL parser does not keep.
        assert_eq!((method.as_str(), arrived_target.as_str()), ("GET", target));
    }
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"] {
        let body: &[u8] =
            if matches!(method, "POST" | "PUT" | "PATCH" | "DELETE") { b"\x00\xffbody\r\n" } else { b"" };
        http::send(edge.port(), method, "/m", &[USER, ("x-test", "a b")], body).await;
        let (arrived_method, _, header, arrived_body) = arrived.recv().await.unwrap();
        assert_eq!((arrived_method.as_str(), arrived_body.as_slice()), (method, body));
        assert_eq!(header, [b"a b".to_vec()]);
    }
    // Header values outside ASCII: UTF-8 as an application writes it.
    http::send(edge.port(), "GET", "/h", &[USER, ("x-test", "grüße €")], b"").await;
    assert_eq!(arrived.recv().await.unwrap().2, ["grüße €".as_bytes().to_vec()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_come_back_as_given() {
    let new = RawOrigin::start(|mut received: ReceivedRequest| async move {
        let answer = match received.target().as_str() {
            "/cookies" => {
                "200 OK\r\nset-cookie: a=1; Path=/\r\nset-cookie: b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT\r\n\
                 x-gr\u{fc}n: no\r\nx-text: gr\u{fc}\u{df}e \u{20ac}\r\ncontent-length: 2\r\n\r\nok"
                    .replace("x-gr\u{fc}n: no\r\n", "")
            }
            "/redirect" => "302 Found\r\nlocation: http://elsewhere.example/x?y=1\r\ncontent-length: 0\r\n\r\n".to_owned(),
            "/304" => "304 Not Modified\r\netag: \"v1\"\r\n\r\n".to_owned(),
            "/204" => "204 No Content\r\nx-kept: 1\r\n\r\n".to_owned(),
            "/head" => "200 OK\r\ncontent-length: 1234\r\ncontent-type: text/plain\r\n\r\n".to_owned(),
            "/chunked" => "200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n".to_owned(),
            status => format!("{} Any Text\r\ncontent-length: 4\r\nx-kept: 1\r\n\r\nbody", status.trim_start_matches('/')),
        };
        let answer = format!("HTTP/1.1 {answer}").replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
        let _ = received.socket.write_all(answer.as_bytes()).await;
    })
    .await;
    let (edge, _legacy) = in_front_of(&new).await;
    let get = async |target: &str| http::get(edge.port(), target, &[USER]).await;

    let answer = get("/cookies").await;
    let expected = ["a=1; Path=/", "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT"];
    assert_eq!(answer.all("set-cookie"), expected);
    assert_eq!(answer.header("x-text").as_deref(), Some("grüße €"));
    assert_eq!(answer.body, b"ok");

    let answer = get("/redirect").await;
    assert_eq!(
        (answer.status, answer.header("location").as_deref()),
        (302, Some("http://elsewhere.example/x?y=1"))
    );
    let answer = get("/304").await;
    assert_eq!(
        (answer.status, answer.header("etag").as_deref(), answer.body.len()),
        (304, Some("\"v1\""), 0)
    );
    let answer = get("/204").await;
    assert_eq!((answer.status, answer.header("x-kept").as_deref()), (204, Some("1")));
    let answer = http::send(edge.port(), "HEAD", "/head", &[USER], b"").await;
    assert_eq!((answer.status, answer.header("content-length").as_deref()), (200, Some("1234")));
    assert_eq!(get("/chunked").await.body, b"abcde");

    for status in [
        200, 201, 202, 203, 206, 207, 226, 299, 300, 301, 303, 307, 308, 400, 401, 402, 403, 404, 405, 409,
        410, 412, 415, 418, 422, 425, 428, 429, 431, 451, 499, 500, 501, 505, 507, 511, 527, 599,
    ] {
        let answer = get(&format!("/{status}")).await;
        assert_eq!((answer.status, answer.header("x-kept").as_deref()), (status, Some("1")), "{status}");
        assert_eq!(answer.body, b"body", "{status}");
        assert_eq!(answer.header("x-cutover-arm").as_deref(), Some("new"), "{status}");
    }
}

/// `abc…` compressed by gzip; and bytes that only claim to be br, which a proxy that looks inside would break.
#[tokio::test(flavor = "multi_thread")]
async fn compressed_bodies_are_not_touched() {
    let gzipped = gzip::compress(&b"reviews ".repeat(500));
    let brotli: Vec<u8> = vec![0x8b, 0x01, 0x80, b'a', b'b', b'c', b'd', 0x03];
    let bodies = Arc::new([gzipped.clone(), brotli.clone()]);
    let new = RawOrigin::start(move |mut received: ReceivedRequest| {
        let bodies = Arc::clone(&bodies);
        async move {
            let (coding, body) = if received.target() == "/gzip" { ("gzip", &bodies[0]) } else { ("br", &bodies[1]) };
            assert_eq!(received.header("accept-encoding"), [b"gzip, br".to_vec()], "the client's wish arrives");
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let _ = received.socket.write_all(head.as_bytes()).await;
            let _ = received.socket.write_all(body).await;
        }
    })
    .await;
    let (edge, _legacy) = in_front_of(&new).await;
    for (target, coding, body) in [("/gzip", "gzip", &gzipped), ("/br", "br", &brotli)] {
        let answer = http::get(edge.port(), target, &[USER, ("accept-encoding", "gzip, br")]).await;
        assert_eq!(answer.header("content-encoding").as_deref(), Some(coding));
        assert_eq!(&answer.body, body, "{coding}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_stream_both_ways() {
    let (first_up, first_up_arrived) = oneshot::channel::<()>();
    let (go_on, may_go_on) = oneshot::channel::<()>();
    let channels = Arc::new(Mutex::new(Some((first_up, may_go_on))));
    let new = RawOrigin::start(move |mut received: ReceivedRequest| {
        let (first_up, may_go_on) = channels.lock().unwrap().take().expect("one request");
        async move {
            let mut buffer = [0; 1024];
            while !received.rest.windows(5).any(|window| window == b"first") {
                let read = received.socket.read(&mut buffer).await.unwrap();
                received.rest.extend_from_slice(&buffer[..read]);
            }
            first_up.send(()).unwrap();
            while !received.rest.ends_with(b"0\r\n\r\n") {
                let read = received.socket.read(&mut buffer).await.unwrap();
                received.rest.extend_from_slice(&buffer[..read]);
            }
            let head =
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n5\r\nearly\r\n";
            received.socket.write_all(head).await.unwrap();
            may_go_on.await.unwrap();
            received.socket.write_all(b"4\r\nlate\r\n0\r\n\r\n").await.unwrap();
        }
    })
    .await;
    let (edge, _legacy) = in_front_of(&new).await;
    let mut client = TcpStream::connect(("127.0.0.1", edge.port())).await.unwrap();
    client
        .write_all(b"POST /s HTTP/1.1\r\nhost: h\r\nx-user-id: u\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        .await
        .unwrap();
    // The origin has the first chunk before the client sends the last.
    tokio::time::timeout(Duration::from_secs(10), first_up_arrived).await.expect("upload streams").unwrap();
    client.write_all(b"4\r\nlast\r\n0\r\n\r\n").await.unwrap();
    let mut received = Vec::new();
    let mut buffer = [0; 1024];
    // The client has the first chunk before the origin sends the last.
    while !received.windows(5).any(|window| window == b"early") {
        let read = tokio::time::timeout(Duration::from_secs(10), client.read(&mut buffer)).await;
        received.extend_from_slice(&buffer[..read.expect("download streams").unwrap()]);
    }
    assert!(!received.windows(4).any(|window| window == b"late"));
    go_on.send(()).unwrap();
    while !received.ends_with(b"0\r\n\r\n") {
        let read = client.read(&mut buffer).await.unwrap();
        assert!(read > 0);
        received.extend_from_slice(&buffer[..read]);
    }
    assert!(received.windows(4).any(|window| window == b"late"));
}

fn resident_kilobytes(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_megabytes_pass_without_the_worker_growing() {
    const SIZE: usize = 200 * 1024 * 1024;
    let new = RawOrigin::start(|mut received: ReceivedRequest| async move {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\nconnection: close\r\n\r\n");
        received.socket.write_all(head.as_bytes()).await.unwrap();
        let block = vec![b'x'; 64 * 1024];
        for _ in 0..SIZE / block.len() {
            received.socket.write_all(&block).await.unwrap();
        }
    })
    .await;
    let (edge, _legacy) = in_front_of(&new).await;
    http::get(edge.port(), "/_cutover/health", &[]).await;
    let before = resident_kilobytes(edge.workerd.id());
    let mut client = TcpStream::connect(("127.0.0.1", edge.port())).await.unwrap();
    client.write_all(b"GET /large HTTP/1.1\r\nhost: h\r\nx-user-id: u\r\n\r\n").await.unwrap();
    let (mut total, mut peak) = (0_usize, before);
    let mut buffer = vec![0; 256 * 1024];
    let mut head = Vec::new();
    while total < SIZE {
        let read = client.read(&mut buffer).await.unwrap();
        assert!(read > 0, "the body ends after {total} bytes");
        if total == 0 && parse_head(&head).is_none() {
            head.extend_from_slice(&buffer[..read]);
            if let Some((answer, start)) = parse_head(&head) {
                assert_eq!(answer.status, 200);
                total = head.len() - start;
            }
        } else {
            total += read;
        }
        if total % (8 * 1024 * 1024) < read {
            peak = peak.max(resident_kilobytes(edge.workerd.id()));
        }
    }
    println!("200 MB: workerd grew by {} KB", peak - before);
    assert!(peak - before < 32 * 1024, "workerd grew from {before} KB to {peak} KB");
}

#[tokio::test(flavor = "multi_thread")]
async fn decision_headers_of_a_client_change_no_decision_and_reach_no_response() {
    let new = answering(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\nnew").await;
    let (edge, _legacy) = in_front_of(&new).await;
    let headers =
        [USER, ("x-cutover-arm", "legacy"), ("x-cutover-reason", "EMERGENCY"), ("x-cutover-revision", "999")];
    let answer = http::get(edge.port(), "/x", &headers).await;
    assert_eq!(answer.body, b"new");
    assert_eq!(answer.all("x-cutover-arm"), ["new"]);
    assert_eq!(answer.all("x-cutover-reason"), ["ROLLOUT"]);
    assert_eq!(answer.all("x-cutover-revision"), ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_anonymous_client_gets_one_cookie_and_keeps_its_place() {
    let new = answering(
        b"HTTP/1.1 200 OK\r\nset-cookie: own=1\r\ncontent-length: 3\r\nconnection: close\r\n\r\nnew",
    )
    .await;
    let legacy = format!("http://127.0.0.1:{}", cutover_tests::process::free_port());
    // Without decision headers, which is how it is deployed.
    let yaml = format!(
        "feature_flags: {{ most: {{ enabled: true, rollout_percentage: 99.9999 }} }}\n\
         origins: {{ old: {{ url: \"{legacy}\" }}, new: {{ url: \"{}\" }} }}\n\
         routes: [{{ id: all, match: {{ path: \"/{{*rest}}\" }}, flag: most, legacy: old, new: new }}]\n",
        new.url()
    );
    let edge = SingleRouteWorker::configured(&yaml, &[]).await;
    let first = http::get(edge.port(), "/x", &[]).await;
    let cookies = first.all("set-cookie");
    assert_eq!((cookies.len(), cookies[0].as_str()), (2, "own=1"));
    let minted = cookies[1].split(';').next().unwrap().to_owned();
    let id = minted.strip_prefix("cutover_uid=").unwrap();
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(cookies[1], format!("{minted}; Path=/; Max-Age=31536000; HttpOnly; Secure; SameSite=Lax"));
    assert_eq!(first.header("x-cutover-arm"), None);
    let second = http::get(edge.port(), "/x", &[("cookie", &minted)]).await;
    assert_eq!(second.all("set-cookie"), ["own=1"]);
    let known = http::get(edge.port(), "/x", &[USER]).await;
    assert_eq!(known.all("set-cookie"), ["own=1"]);
}

/// The answer to the key of a handshake (RFC 6455, 4.2.2).
pub(super) fn websocket_accept(key: &[u8]) -> String {
    use base64::Engine;
    use sha1::{Digest, Sha1};
    let digest =
        Sha1::new().chain_update(key).chain_update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize();
    base64::engine::general_purpose::STANDARD.encode(digest)
}

#[tokio::test(flavor = "multi_thread")]
async fn websockets_pass() {
    let new = RawOrigin::start(|mut received: ReceivedRequest| async move {
        // The runtime is a party to the handshake, so the key is its own, not the client's.
        let accept = websocket_accept(&received.header("sec-websocket-key")[0]);
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
             sec-websocket-accept: {accept}\r\n\r\n"
        );
        received.socket.write_all(head.as_bytes()).await.unwrap();
        received.socket.write_all(b"\x81\x05hello").await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
    })
    .await;
    let (edge, _legacy) = in_front_of(&new).await;
    let mut client = TcpStream::connect(("127.0.0.1", edge.port())).await.unwrap();
    let request =
        b"GET /ws HTTP/1.1\r\nhost: h\r\nx-user-id: u\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
                    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    client.write_all(request).await.unwrap();
    let mut received = Vec::new();
    let mut buffer = [0; 1024];
    while !received.windows(5).any(|window| window == b"hello") {
        let read = tokio::time::timeout(Duration::from_secs(10), client.read(&mut buffer)).await;
        let read = read.expect("the message comes").unwrap();
        assert!(read > 0, "{:?}", String::from_utf8_lossy(&received));
        received.extend_from_slice(&buffer[..read]);
    }
    let (answer, _) = parse_head(&received).unwrap();
    assert_eq!(answer.status, 101);
    assert_eq!(
        answer.header("sec-websocket-accept").as_deref(),
        Some(websocket_accept(b"dGhlIHNhbXBsZSBub25jZQ==").as_str())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_no_backend_shall_see_do_not_arrive() {
    let (new, mut arrived) = watching(|received, body| {
        let names: Vec<String> = received
            .text()
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':').map(|(name, _)| name.to_ascii_lowercase()))
            .collect();
        (names, body)
    })
    .await;
    let legacy =
        answering(b"HTTP/1.1 299 Legacy\r\ncontent-length: 6\r\nconnection: close\r\n\r\nlegacy").await;
    let sent = [
        USER,
        ("x-cutover-arm", "new"),
        ("X-Cutover-Anything", "1"),
        ("x-internal", "1"),
        ("x-internal-not", "1"),
        ("te", "trailers"),
        ("keep-alive", "timeout=5"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    let variables = [("STRIP_REQUEST_HEADERS", "x-cutover-, X-Internal")];
    let edge = SingleRouteWorker::with_variables(&legacy.url(), &new.url(), 10_000, &variables).await;
    http::send(edge.port(), "POST", "/", &sent, b"a body").await;
    let (names, body) = arrived.recv().await.unwrap();
    assert_eq!(body, b"a body", "the request is otherwise as it was");
    assert!(!names.iter().any(|name| name.starts_with("x-cutover-")), "{names:?}");
    assert!(!names.contains(&"x-internal".to_owned()), "{names:?}");
    for kept in ["x-internal-not", "traceparent", USER.0] {
        assert!(names.contains(&kept.to_owned()), "{kept} is gone: {names:?}");
    }
    // What belongs to one connection, the runtime itself keeps from the next one.
    for name in ["te", "keep-alive"] {
        assert!(!names.contains(&name.to_owned()), "{names:?}");
    }
    // Switched off it is off.
    let edge = SingleRouteWorker::with_variables(&legacy.url(), &new.url(), 10_000, &[]).await;
    http::send(edge.port(), "GET", "/", &sent, b"").await;
    assert!(arrived.recv().await.unwrap().0.contains(&"x-cutover-arm".to_owned()));
}
