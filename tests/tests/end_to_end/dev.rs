//! `cargo xtask dev`, as a person uses it: it serves, and Ctrl-C leaves nothing behind.

use cutover_tests::{client::Management, http, paths, process::Process};
use rustix::process::{Pid, Signal, kill_process, test_kill_process_group};
use serde_json::Value;
use std::{
    process::Command,
    time::{Duration, Instant},
};

fn port(url: &str) -> u16 {
    let authority = url.split("//").nth(1).unwrap().split('/').next().unwrap();
    authority.rsplit(':').next().unwrap().parse().unwrap()
}

mod alone {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn dev_serves_and_stops_without_a_trace() {
        for signal in [Signal::INT, Signal::TERM] {
            let log = tempfile::NamedTempFile::new().unwrap();
            let started = Instant::now();
            let mut dev =
                Process::start("dev", Command::new(paths::root().join("target/debug/dev")), log.path());
            let text = dev.wait_for("being ready", Duration::from_secs(180), |output| {
                output.contains("Ctrl-C stops").then(|| output.to_owned())
            });
            // What `cutover preflight` reads, and the way back to a healthy backend.
            for part in [
                "CUTOVER_EDGE_URL=",
                "CUTOVER_INGEST_URL=",
                "CUTOVER_EDGE_TOKEN=",
                "-d '{\"error_rate\": 0}'",
            ] {
                assert!(text.contains(part), "{part} is not printed:\n{text}");
            }
            let elapsed = started.elapsed();
            println!("dev served after {elapsed:?}");
            assert!(elapsed < Duration::from_secs(20), "the second start took {elapsed:?}");

            let file = paths::root().join("target/dev/endpoints.json");
            let endpoints: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
            let url = |name: &str| {
                endpoints[name].as_str().unwrap_or_else(|| panic!("no {name}: {endpoints:#}")).to_owned()
            };
            let answer =
                http::get(port(&url("edge")), "/api/v1/reviews/7", &[("x-user-id", "user-123")]).await;
            assert_eq!(answer.header("x-backend").as_deref(), Some("new"));
            assert_eq!(answer.header("x-cutover-reason").as_deref(), Some("WHITELISTED"));
            let management = Management::new(&url("management"), &url("token"));
            assert_eq!(
                management.get("/flags").await.expect(200).body["flags"].as_array().map(Vec::len),
                Some(3)
            );
            let authorization = format!("Bearer {}", url("edge_token"));
            let target = "/_cutover/decide?path=/api/v1/reviews/7&user=user-666";
            let decided = http::get(port(&url("edge")), target, &[("authorization", &authorization)]).await;
            assert_eq!(decided.json()["reason"], "BLACKLISTED");
            assert_eq!(http::get(port(&url("edge")), "/_cutover/decide?path=/x", &[]).await.status, 401);

            let group = Pid::from_raw(i32::try_from(dev.id()).unwrap()).unwrap();
            kill_process(group, signal).unwrap();
            let deadline = Instant::now() + Duration::from_secs(60);
            while dev.ended().is_none() {
                assert!(Instant::now() < deadline, "dev does not stop:\n{}", dev.output());
                std::thread::sleep(Duration::from_millis(50));
            }
            assert!(test_kill_process_group(group).is_err(), "a process of dev's own group is left");
            for name in ["edge", "management", "legacy", "new", "dynamodb", "kv"] {
                let port = port(&url(name));
                assert!(
                    std::net::TcpStream::connect(("127.0.0.1", port)).is_err(),
                    "{name} still listens on {port}"
                );
            }
            assert!(!file.exists(), "endpoints that nobody serves are left");
        }
    }
}
