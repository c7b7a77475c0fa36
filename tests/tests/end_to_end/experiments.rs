//! Experiments at the edge: the variants that backends and clients are told, and the flags that experiments decide.

mod assignment;
mod conversions;
mod forwarding;
mod owner;
mod reported;
mod users;

use axum::{Router, http::HeaderMap};
use cutover_core::{Facts, Revision, Ruleset, Timestamp, config::Config, decision::assignments::TestGroups};
use cutover_tests::{
    http::{Answer, Connection},
    server::Server,
    stack::{Options, Stack},
};
use std::collections::BTreeMap;

/// Connections over which users send their requests.
const CONNECTIONS: usize = 16;

/// Starts a backend that names itself in each response, with the values of `X-Test-Group` that it got.
async fn telling(name: &'static str) -> Server {
    let tell = move |headers: HeaderMap| async move {
        let told = headers.get_all("x-test-group").iter().map(|value| value.to_str().unwrap());
        [("x-backend", name.to_owned()), ("x-told", told.collect::<Vec<_>>().join(" | "))]
    };
    Server::start(Router::new().fallback(tell)).await
}

/// A stack whose configurations name two backends of [`telling`].
struct Told {
    stack: Stack,
    legacy: Server,
    new: Server,
}

impl Told {
    async fn start() -> Self {
        let worker_variables = BTreeMap::from([("SNAPSHOT_SOFT_TTL_MS", "100".to_owned())]);
        let stack = Stack::start(Options { worker_variables, ..Options::default() }).await;
        Self { stack, legacy: telling("legacy").await, new: telling("new").await }
    }

    /// Returns a configuration with the backends in the places of their names.
    fn configuration(&self, text: &str) -> String {
        text.replace("LEGACY_URL", &self.legacy.url()).replace("NEW_URL", &self.new.url())
    }

    /// Applies a configuration, and waits until the edge holds it. Returns its rules.
    async fn apply(&self, text: &str) -> Ruleset {
        self.put("/config", text).await
    }

    /// Applies a configuration that may move users back.
    async fn apply_and_move(&self, text: &str) -> Ruleset {
        self.put("/config?allow_moving_users=true", text).await
    }

    async fn put(&self, path: &str, text: &str) -> Ruleset {
        let text = self.configuration(text);
        let yaml = [("content-type", "application/yaml")];
        let applied = self.stack.management().send("PUT", path, &yaml, Some(&text)).await.expect(200);
        self.stack.edge_holds(applied.body["revision"].as_u64().unwrap()).await;
        compiled(&text)
    }

    /// Requests a path as each of the users, and returns the responses by user.
    async fn ask(&self, path: &str, users: &[String]) -> BTreeMap<String, Seen> {
        let port = self.stack.edge.port();
        let tasks: Vec<_> = users
            .chunks(users.len().div_ceil(CONNECTIONS).max(1))
            .map(|users| {
                let (users, path) = (users.to_vec(), path.to_owned());
                tokio::spawn(async move {
                    let mut connection = Connection::open(port).await;
                    let mut seen = Vec::with_capacity(users.len());
                    for user in users {
                        let answer = connection.get(&path, &[("x-user-id", &user)]).await;
                        seen.push((user, Seen::of(&answer)));
                    }
                    seen
                })
            })
            .collect();
        let mut all = BTreeMap::new();
        for task in tasks {
            all.extend(task.await.unwrap());
        }
        all
    }
}

/// A response, as far as experiments decide it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    backend: String,
    reason: String,
    /// Values of the header that the backend got.
    told: String,
    /// Value of the header that the client got; empty without one.
    to_client: String,
}

impl Seen {
    fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200);
        let header = |name: &str| answer.header(name).unwrap_or_default();
        assert_eq!(header("x-backend"), header("x-cutover-arm"));
        Self {
            backend: header("x-backend"),
            reason: header("x-cutover-reason"),
            told: header("x-told"),
            to_client: header("x-test-group"),
        }
    }
}

/// Returns the rules of a configuration.
fn compiled(text: &str) -> Ruleset {
    let config = Config::from_yaml(text).unwrap_or_else(|problems| panic!("{problems:?}"));
    Ruleset::compile(&config.snapshot(Revision(1), None)).unwrap()
}

/// Returns the variants that the core assigns a user, for a request without headers that a condition reads.
fn assigned(rules: &Ruleset, user: &str) -> TestGroups {
    let mut groups = TestGroups::default();
    let now = Timestamp::from_millis(0);
    rules.assignments(Some(user), &Facts::default(), now).for_each(|assignment| groups.add(&assignment));
    groups
}
