//! The header `X-Test-Group` on every way to a backend, and back to the client. A client's own reaches nobody.

use super::{assigned, compiled};
use crate::forwarding::websocket_accept;
use cutover_core::{Bucket, Purpose};
use cutover_tests::{
    http,
    proxied::{SingleRouteWorker, single_route},
    raw_origin::{RawOrigin, ReceivedRequest},
};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
};

/// One experiment that owns the flag, and one that clients are told of. Users are known by a header only.
const EXPERIMENTS: &str = r#"
experiments:
  arms: { name: Arms, flag: everything, variants: { control: { name: REST, arm: legacy }, treatment: { name: GraphQL, arm: new } } }
  colours: { name: Colours, send_to_client: true, variants: { red: { name: Red, traffic_percentage: 100 }, blue: { name: Blue, traffic_percentage: 0 } } }
"#;

const IDENTITY: &str = ", identity: [\"header:x-user-id\"]";
const FLAG: &str = "enabled: true, rollout_percentage: 0";

/// A value that a client has made up.
const OWN: (&str, &str) = ("X-Test-Group", "arms=stolen");

/// A request as a backend got it.
#[derive(Debug, PartialEq, Eq)]
struct Arrived {
    backend: &'static str,
    groups: Vec<String>,
    body: String,
}

/// Both backends, and the requests that they get.
struct Backends {
    legacy: RawOrigin,
    new: RawOrigin,
    arrived: mpsc::UnboundedReceiver<Arrived>,
}

impl Backends {
    async fn start() -> Self {
        let (sender, arrived) = mpsc::unbounded_channel();
        Self { legacy: backend("legacy", sender.clone()).await, new: backend("new", sender).await, arrived }
    }

    /// Starts the Worker with the experiments in front of the backends.
    async fn configured(&self, route: &str, more: &str, variables: &[(&str, &str)]) -> SingleRouteWorker {
        SingleRouteWorker::configured(&self.yaml(route, more), variables).await
    }

    fn yaml(&self, route: &str, more: &str) -> String {
        single_route(&self.legacy.url(), &self.new.url(), 2_000, FLAG, &format!("{IDENTITY}{route}")) + more
    }

    async fn next(&mut self) -> Arrived {
        let next = tokio::time::timeout(Duration::from_secs(60), self.arrived.recv());
        next.await.expect("a request arrives").unwrap()
    }
}

async fn backend(name: &'static str, sender: mpsc::UnboundedSender<Arrived>) -> RawOrigin {
    RawOrigin::start(move |mut received: ReceivedRequest| {
        let sender = sender.clone();
        async move {
            let body = String::from_utf8(received.body().await).unwrap();
            let groups = received.header("x-test-group").into_iter();
            let groups = groups.map(|value| String::from_utf8(value).unwrap()).collect();
            let head = match received.header("sec-websocket-key").first() {
                Some(key) => format!(
                    "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                     sec-websocket-accept: {}\r\n\r\n",
                    websocket_accept(key)
                ),
                None => "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncache-control: public, max-age=60\r\n\
                         content-length: 2\r\nconnection: close\r\n\r\n{}"
                    .to_owned(),
            };
            let _ = received.socket.write_all(head.as_bytes()).await;
            let _ = sender.send(Arrived { backend: name, groups, body });
            // A WebSocket ends when its client leaves.
            let _ = received.socket.read(&mut [0; 64]).await;
        }
    })
    .await
}

/// Returns a user of each variant, with the arm that serves it, and the groups that its backend is told.
fn users() -> [(String, &'static str, Vec<String>); 2] {
    let user = |is_control: bool| {
        let mut users = (0..100).map(|user| format!("user-{user}"));
        let is_first = |user: &String| Bucket::of(Purpose::Variant, "arms", user).get() < 500_000;
        users.find(|user| is_first(user) == is_control).unwrap()
    };
    [(user(true), "legacy", "control"), (user(false), "new", "treatment")]
        .map(|(user, arm, variant)| (user, arm, vec![format!("arms={variant}, colours=red")]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_gets_the_variants_of_the_user_and_never_a_clients_own() {
    let mut backends = Backends::start().await;
    let edge = backends.configured("", EXPERIMENTS, &[]).await;
    for (user, arm, groups) in users() {
        let headers = [("x-user-id", user.as_str()), OWN, ("x-test-group", "colours=stolen")];
        for sent in [&headers[..1], &headers[..]] {
            http::send(edge.port(), "GET", "/x", sent, b"").await;
            let expected = Arrived { backend: arm, groups: groups.clone(), body: String::new() };
            assert_eq!(backends.next().await, expected);
            // The body passes through a pipe.
            for method in ["POST", "PUT"] {
                http::send(edge.port(), method, "/x", sent, b"a body").await;
                let expected = Arrived { body: "a body".to_owned(), ..arrived(arm, &groups) };
                assert_eq!(backends.next().await, expected, "{method}");
            }
        }
        let upgrade = format!(
            "GET /ws HTTP/1.1\r\nhost: h\r\nx-user-id: {user}\r\nx-test-group: arms=stolen\r\nconnection: Upgrade\r\n\
             upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        assert_eq!(http::exchange(edge.port(), upgrade.as_bytes()).await.status, 101);
        assert_eq!(backends.next().await, arrived(arm, &groups));
    }
    // Who is in no experiment passes on nothing: nor in a paused one, nor where there is none, nor without a route.
    let [_, (user, ..)] = users();
    let known = [("x-user-id", user.as_str()), OWN];
    http::send(edge.port(), "GET", "/x", &known[1..], b"").await;
    assert_eq!(backends.next().await, arrived("legacy", &[]));
    let paused = EXPERIMENTS.replace("name: Arms", "name: Arms, state: paused");
    let paused = paused.replace("name: Colours", "name: Colours, state: paused");
    for more in [paused.as_str(), ""] {
        let edge = backends.configured("", more, &[]).await;
        http::send(edge.port(), "GET", "/x", &known, b"").await;
        assert_eq!(backends.next().await, arrived("legacy", &[]), "{more}");
    }
    let nowhere = backends.yaml("", EXPERIMENTS).replace("/{*rest}", "/elsewhere");
    let legacy = backends.legacy.url();
    let edge = SingleRouteWorker::configured(&nowhere, &[("LEGACY_ORIGIN", legacy.as_str())]).await;
    http::send(edge.port(), "GET", "/x", &known, b"").await;
    assert_eq!(backends.next().await, arrived("legacy", &[]));
}

fn arrived(backend: &'static str, groups: &[String]) -> Arrived {
    Arrived { backend, groups: groups.to_vec(), body: String::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_variants_pass_an_adapter_and_go_to_both_backends_of_a_comparison() {
    let mut backends = Backends::start().await;
    let [_, (user, _, groups)] = users();
    let headers = [("x-user-id", user.as_str()), OWN];
    let adapter = "adapters: { a: { routes: [{ match: { method: GET, path: /x }, backend: { method: GET, path: /v2 } }] } }\n";
    let adapted = backends.configured(", adapt: [a]", &format!("{adapter}{EXPERIMENTS}"), &[]).await;
    http::send(adapted.port(), "GET", "/x", &headers, b"").await;
    assert_eq!(backends.next().await, arrived("new", &groups));
    let without = backends.configured(", adapt: [a]", adapter, &[]).await;
    http::send(without.port(), "GET", "/x", &headers, b"").await;
    assert_eq!(backends.next().await, arrived("legacy", &[]));

    let compare = ", compare: { sample: 100, noise: 0 }";
    let reporting = [("INGEST_URL", "http://127.0.0.1:9/")];
    let compared = backends.configured(compare, EXPERIMENTS, &reporting).await;
    http::send(compared.port(), "GET", "/x", &headers, b"").await;
    let mut both = [backends.next().await, backends.next().await];
    both.sort_by_key(|arrived| arrived.backend);
    assert_eq!(both, [arrived("legacy", &groups), arrived("new", &groups)]);
}

/// A request that legacy serves in the place of the new backend is one of the same user.
#[tokio::test(flavor = "multi_thread")]
async fn a_fallback_tells_legacy_the_variants_too() {
    let mut backends = Backends::start().await;
    let [_, (user, _, groups)] = users();
    let closed = format!("http://127.0.0.1:{}", cutover_tests::process::free_port());
    let yaml = backends.yaml("", EXPERIMENTS).replace(&backends.new.url(), &closed);
    let edge = SingleRouteWorker::configured(&yaml, &[("DECISION_HEADERS", "reason")]).await;
    for method in ["GET", "PUT"] {
        let body: &[u8] = if method == "PUT" { b"a body" } else { b"" };
        let headers = [("x-user-id", user.as_str()), OWN];
        let answer = http::send(edge.port(), method, "/x", &headers, body).await;
        assert_eq!(answer.header("x-cutover-reason").as_deref(), Some("FALLBACK"), "{method}");
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert_eq!(backends.next().await, Arrived { body, ..arrived("legacy", &groups) });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_told_the_variants_of_experiments_that_say_so() {
    let backends = Backends::start().await;
    for (more, told, cached) in [
        (EXPERIMENTS.to_owned(), vec!["colours=red"], "private, max-age=60"),
        (EXPERIMENTS.replace("send_to_client: true, ", ""), vec![], "public, max-age=60"),
        (String::new(), vec![], "public, max-age=60"),
    ] {
        let edge = backends.configured("", &more, &[]).await;
        for (user, ..) in users() {
            for method in ["GET", "POST"] {
                let body: &[u8] = if method == "POST" { b"a body" } else { b"" };
                let headers = [("x-user-id", user.as_str()), OWN];
                let answer = http::send(edge.port(), method, "/x", &headers, body).await;
                assert_eq!(answer.all("x-test-group"), told, "{more}");
                // The response is one user's, and no shared cache may give it to another.
                assert_eq!(answer.header("cache-control").as_deref(), Some(cached), "{more}");
            }
        }
    }
    // The test's own bucket of a variant is that of the rules.
    let rules = compiled(&backends.yaml("", EXPERIMENTS));
    for (user, _, groups) in users() {
        assert_eq!(groups, [assigned(&rules, &user).of_backend]);
    }
}
