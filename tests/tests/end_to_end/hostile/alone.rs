//! The floods, one after the other: they measure memory and time.

use super::*;

/// A token that a known key seems to have signed, of about the given length and different for each number.
fn forged(number: u64, length: usize) -> String {
    let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","kid":"ec"}"#);
    let signature = "A".repeat(86);
    let payload = format!("{number:012}{}", "x".repeat(length - head.len() - signature.len() - 14));
    format!("{head}.{payload}.{signature}")
}

/// Time for which clients stay that leave.
const STAY: Duration = Duration::from_secs(1);

/// Sends an upload, and disconnects after a while, answered or not.
async fn upload_and_leave(port: u16, body: &[u8]) {
    let begun = Instant::now();
    let head = format!(
        "POST /up HTTP/1.1\r\nhost: h\r\nx-user-id: u1\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let sending = async {
        if socket.write_all(head.as_bytes()).await.is_ok() && socket.write_all(body).await.is_ok() {
            let mut received = [0; 1_024];
            let _ = socket.read(&mut received).await;
        }
    };
    let _ = tokio::time::timeout(STAY, sending).await;
    // An answer does not make the flood faster.
    tokio::time::sleep(STAY.saturating_sub(begun.elapsed())).await;
}

/// Requests a response, reads hardly any of it, and disconnects after a while.
async fn read_slowly_and_leave(port: u16, path: &str, number: u64) {
    let begun = Instant::now();
    let socket = TcpSocket::new_v4().unwrap();
    // Bytes that the kernel takes in do not burden the Worker.
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut socket = socket.connect(([127, 0, 0, 1], port).into()).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: h\r\nx-user-id: user-{number}\r\n\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut received = [0; 512];
    let read = socket.read(&mut received).await.unwrap();
    assert!(
        received[..read].starts_with(b"HTTP/1.1 200 "),
        "{:?}",
        String::from_utf8_lossy(&received[..read])
    );
    while begun.elapsed() < STAY {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let _ = socket.read(&mut received).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn forged_tokens() {
    let workers = Workers::start().await;
    withstand(&workers, 8, 8_000, |_, port, turns| async move {
        let mut connection = Connection::open(port).await;
        while let Some(number) = turns.next() {
            // The longest token that is looked at, one that is not, and the shortest ones.
            let token = match number % 3 {
                0 => forged(number, 8_000),
                1 => forged(number, 30_000),
                _ => format!("{number:x}.A.A"),
            };
            let authorization = format!("Bearer {token}");
            let headers = [("authorization", authorization.as_str()), ("x-user-id", "u1")];
            assert_eq!(connection.get("/tokens", &headers).await.status, 200);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn large_uploads_whose_clients_leave() {
    const CLIENTS: u64 = 32;
    let workers = Workers::start().await;
    let list = |item: &str, count: usize| vec![item; count].join(",");
    // As many values as fit into a megabyte, which are too many, and as many as are taken.
    let refused = format!("{{\"name\":\"ann\",\"x\":[{}]}}", list("1", 480_000));
    let taken = format!("{{\"name\":\"ann\",\"x\":[{}]}}", list("123456789", 95_000));
    let bodies = Arc::new([refused, taken]);
    withstand(&workers, CLIENTS, 5 * CLIENTS, move |own, port, turns| {
        let bodies = Arc::clone(&bodies);
        async move {
            // One after the other, so that a stall is that of one upload.
            tokio::time::sleep(STAY * u32::try_from(own).unwrap() / u32::try_from(CLIENTS).unwrap()).await;
            while let Some(number) = turns.next() {
                let body = &bodies[usize::from(number % 2 == 1)];
                upload_and_leave(port, body.as_bytes()).await;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn comparisons_of_large_objects() {
    let workers = Workers::start().await;
    withstand(&workers, 1, 30, |_, port, turns| async move {
        let mut connection = Connection::open(port).await;
        while let Some(number) = turns.next() {
            let path = if number % 2 == 0 { "/compared/equal" } else { "/compared/disjoint" };
            let user = format!("user-{number}");
            assert_eq!(connection.get(path, &[("x-user-id", &user)]).await.status, 200);
            // Behind each response it is compared. A stall is that of one comparison.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    // They were compared, not skipped. On a slow machine some find all slots in use.
    let deadline = Instant::now() + Duration::from_secs(15);
    while workers.ingest.compared() < 10 {
        let (compared, size) = (workers.ingest.compared(), workers.ingest.skipped("size"));
        assert!(Instant::now() < deadline, "{compared} were compared, {size} too large");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn slow_readers_of_inspected_responses() {
    // Together they request more than an isolate may have.
    const CLIENTS: u64 = 48;
    let workers = Workers::start().await;
    let [bare, ours] = withstand(&workers, CLIENTS, 3 * CLIENTS, |_, port, turns| async move {
        while let Some(number) = turns.next() {
            let path = if number % 2 == 0 { "/inspected/large" } else { "/inspected/streamed" };
            read_slowly_and_leave(port, path, number).await;
        }
    })
    .await;
    // What the runtime holds for slow readers is in no heap.
    assert!(
        ours.peak_grown_kilobytes < bare.peak_grown_kilobytes + MAX_GROWN_KILOBYTES,
        "memory grew by up to {} KB, that of the bare Worker by up to {} KB",
        ours.peak_grown_kilobytes,
        bare.peak_grown_kilobytes
    );
    let outcomes = edge_health(workers.ours.port("edge")).await["outcomes"].clone();
    let uninspected = ["legacy", "new"].map(|arm| outcomes[arm]["uninspected"].as_u64().unwrap());
    assert!(uninspected.iter().sum::<u64>() > CLIENTS, "{outcomes:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn new_users_with_large_cookies() {
    let workers = Workers::start().await;
    let padding: Arc<str> = "x".repeat(8_000).into();
    withstand(&workers, 8, 20_000, move |_, port, turns| {
        let padding = Arc::clone(&padding);
        async move {
            let mut connection = Connection::open(port).await;
            while let Some(number) = turns.next() {
                let cookie = format!("padding={padding}; session=user-{number}");
                assert_eq!(connection.get("/users", &[("cookie", &cookie)]).await.status, 200);
            }
        }
    })
    .await;
}
