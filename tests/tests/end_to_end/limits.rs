//! Rate limits: admissions in all isolates together, the word to clients, and the time without a limiter.

mod failures;
mod keys;
mod quotas;
mod responses;

use cutover_tests::{
    http::{self, Answer},
    kv_server::KvServer,
    paths,
    proxied::single_route,
    raw_origin::{RawOrigin, ReceivedRequest},
    workerd::{Worker, Workerd},
};
use serde_json::Value;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::io::AsyncWriteExt;

/// Names of the isolates. The first one has the limiters.
const ISOLATES: [&str; 4] = ["edge0", "edge1", "edge2", "edge3"];

/// Time for which requests wait for the limiter in tests of admissions, in milliseconds. A busy machine is slower than
/// the platform.
const PATIENT: (&str, &str) = ("LIMITER_PATIENCE_MS", "30000");

/// Isolates with shared limiters in front of a backend.
struct Limited {
    workerd: Workerd,
    isolates: usize,
    arrived: Arc<AtomicUsize>,
    _kv: KvServer,
    _new: RawOrigin,
}

impl Limited {
    /// Starts isolates with these policies (as below `limits:`), all of which are on the only route.
    async fn start(policies: &str, isolates: usize, variables: &[(&str, &str)]) -> Self {
        Self::prepared(policies, "", isolates, variables, |worker| worker.limited_by(ISOLATES[0])).await
    }

    /// Starts an isolate with limiters that tests can make unkind.
    async fn unkind(policies: &str, variables: &[(&str, &str)]) -> Self {
        let script = paths::root().join("tests/vectors/limiters.js");
        let prepare =
            |worker: Worker<'static>| worker.behind("limiters.mjs", &script).limited_by(ISOLATES[0]);
        Self::prepared(policies, "", 1, variables, prepare).await
    }

    async fn prepared(
        policies: &str,
        headers: &'static str,
        isolates: usize,
        variables: &[(&str, &str)],
        prepare: impl Fn(Worker<'static>) -> Worker<'static>,
    ) -> Self {
        let arrived = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&arrived);
        let new = RawOrigin::start(move |mut received: ReceivedRequest| {
            counted.fetch_add(1, Ordering::SeqCst);
            async move {
                let head =
                    format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n{headers}\r\nok");
                let _ = received.socket.write_all(head.as_bytes()).await;
            }
        })
        .await;
        let names: Vec<&str> =
            policies.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim()).collect();
        let flag = "enabled: true, rollout_percentage: 100";
        let route = format!(", limit: [{}]", names.join(", "));
        let yaml = single_route(&new.url(), &new.url(), 30_000, flag, &route);
        let kv = KvServer::configured(&format!("{yaml}limits:\n{policies}\n")).await;
        let worker = |name: &'static str| {
            let worker = Worker::edge(name, kv.port()).with("DECISION_HEADERS", "arm,reason");
            prepare(variables.iter().fold(worker, |worker, (name, value)| worker.with(name, *value)))
        };
        let workers: Vec<Worker<'_>> = ISOLATES.into_iter().take(isolates).map(worker).collect();
        let workerd = Workerd::start(&workers);
        Self { workerd, isolates, arrived, _kv: kv, _new: new }
    }

    fn port(&self, isolate: usize) -> u16 {
        self.workerd.port(ISOLATES[isolate % self.isolates])
    }

    /// Sends a request of a user to an isolate.
    async fn get(&self, isolate: usize, user: &str) -> Answer {
        http::get(self.port(isolate), "/api", &[("x-user-id", user)]).await
    }

    /// Waits until every isolate has its snapshot, without a request that is limited.
    async fn ready(&self) {
        for isolate in 0..self.isolates {
            let health = http::edge_health(self.port(isolate)).await;
            assert_eq!(health["status"], "ok", "{health:#}");
        }
    }

    /// Returns the requests that reached the backend.
    fn arrived(&self) -> usize {
        self.arrived.load(Ordering::SeqCst)
    }

    /// Returns a count of the first policy, of all isolates together.
    async fn counted(&self, count: &str) -> u64 {
        let mut sum = 0;
        for isolate in 0..self.isolates {
            let health = http::edge_health(self.port(isolate)).await;
            sum += health["limits"][0][count].as_u64().unwrap_or_else(|| panic!("{health:#}"));
        }
        sum
    }

    /// Changes the behaviour of limiters, and returns the names of the objects that were asked before.
    async fn limiters(&self, mode: &str) -> Vec<String> {
        let names = http::get(self.port(0), &format!("/__limiters?mode={mode}"), &[]).await.json();
        let names = names.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
        names.collect()
    }
}

#[track_caller]
fn assert_limited(answer: &Answer, policy: &str) {
    let text = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, 429, "{text}");
    let header =
        |name: &str| answer.header(name).unwrap_or_else(|| panic!("no {name}: {:?}", answer.headers));
    assert_eq!(header("content-type"), "application/problem+json");
    assert_eq!(header("cache-control"), "no-store");
    assert_eq!(
        (header("x-cutover-reason").as_str(), header("x-cutover-arm").as_str()),
        ("LIMITED", "legacy")
    );
    assert!(header("retry-after").parse::<u64>().unwrap() >= 1);
    let body: Value = answer.json();
    assert_eq!(body["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
    assert_eq!(body["violated-policies"], serde_json::json!([policy]));
    assert_eq!(answer.header("set-cookie"), None);
}
