//! `cargo xtask dev` with backends of the user's own, and its ports.

use axum::{Router, routing::get};
use cutover_tests::{
    command::cutover_at,
    dev::arguments::{Arguments, Backends, Ports},
    http, paths,
    process::{Process, free_row},
    server::Server,
};
use std::{
    net::TcpListener,
    process::{Command, Output},
    time::{Duration, Instant},
};

/// Starts a backend that this project knows nothing of. Both of its paths answer with its name.
async fn backend(name: &'static str) -> Server {
    let answer = move || async move { name };
    Server::start(Router::new().route("/api/greeting", get(answer)).route("/unmatched", get(answer))).await
}

fn dev(arguments: &[&str]) -> Command {
    let mut dev = Command::new(paths::root().join("target/debug/dev"));
    dev.args(arguments);
    dev
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_goes_through_the_local_edge_to_backends_of_ones_own() {
    let (legacy, new) = (backend("old").await, backend("new").await);
    let ports = Ports::from_base(free_row());
    let base = ports.edge.to_string();
    let log = tempfile::NamedTempFile::new().unwrap();
    let started = dev(&["--legacy", &legacy.url(), "--new", &new.url(), "--port", &base]);
    let mut dev = Process::start("dev", started, log.path());
    let text = dev.wait_for("being ready", Duration::from_secs(180), |output| {
        output.contains("Ctrl-C stops everything").then(|| output.to_owned())
    });
    for part in [
        "answered 404 after ",
        "nothing is at the path itself",
        "cutover rollout api_read 100",
        &format!("export CUTOVER_EDGE_URL=http://127.0.0.1:{base} "),
        &format!("{:<11} {}", "legacy", legacy.url()),
    ] {
        assert!(text.contains(part), "{part:?} is missing:\n{text}");
    }

    let greeting = async || {
        let response = http::get(ports.edge, "/api/greeting", &[("x-user-id", "ann")]).await;
        String::from_utf8(response.body).unwrap()
    };
    assert_eq!(greeting().await, "old");
    let management = format!("http://127.0.0.1:{}/lambda-url/management", ports.functions);
    let done = cutover_at(&management, &["rollout", "api_read", "100"]).await;
    assert_eq!(done.code, 0, "{}", done.err);
    let deadline = Instant::now() + Duration::from_secs(60);
    while greeting().await != "new" {
        assert!(Instant::now() < deadline, "the rollout does not reach the edge:\n{}", dev.output());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(http::get(ports.edge, "/unmatched", &[]).await.body, b"old", "no route matches it");
}

fn ended(arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = dev(arguments).output().unwrap();
    let text = [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (status.code(), text)
}

#[test]
fn what_cannot_be_started_is_told_before_anything_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cutover.yaml");
    std::fs::write(&file, "feature_flags: {}\n").unwrap();
    let base = free_row();
    let taken = TcpListener::bind(("127.0.0.1", base + 2)).unwrap();
    let (base, taken) = (base.to_string(), taken.local_addr().unwrap().port().to_string() + " is taken");
    let cases: [(&[&str], i32, &str); 6] = [
        (&["--tour", "--port", &base], 1, &taken),
        (&["--config", file.to_str().unwrap()], 1, "its first route names no two origins"),
        (&["--legacy", "nowhere", "--new", "http://127.0.0.1:9"], 1, "error: --legacy: "),
        (&["--legacy", "http://127.0.0.1:9"], 2, "own backends are --legacy with --new, or --config"),
        (&["--port", "65533"], 2, "65533 is no port from 1 to 65532"),
        (&["--tuor"], 2, "--tuor is no option of dev"),
    ];
    for (arguments, code, text) in cases {
        let (found, printed) = ended(arguments);
        assert_eq!(found, Some(code), "{arguments:?}:\n{printed}");
        assert!(printed.contains(text), "{arguments:?}:\n{printed}");
        assert!(!printed.contains("==> starting"), "{arguments:?}:\n{printed}");
    }
}

#[test]
fn arguments_choose_the_backends_and_the_ports() {
    let parsed = |words: &[&str]| Arguments::parse(words.iter().map(|word| (*word).to_owned()));
    assert_eq!(parsed(&[]), Ok(Arguments::default()));
    let own = parsed(&["--new", "n", "--legacy", "l", "--port", "9000"]).unwrap();
    let urls = Backends::Urls { legacy: "l".to_owned(), new: "n".to_owned(), path: None };
    assert_eq!((own.backends, own.port, own.is_tour), (urls, Some(9000), false));
    assert!(parsed(&["--tour", "--config", "f"]).unwrap_err().contains("breaks its backends on purpose"));

    let base = free_row();
    let with_port = Arguments { port: Some(base), ..Arguments::default() };
    assert_eq!(with_port.ports(), Ok(Ports::from_base(base)));
    let _taken = TcpListener::bind(("127.0.0.1", base + 3)).unwrap();
    assert!(with_port.ports().unwrap_err().contains(&format!("port {} is taken", base + 3)));
}
