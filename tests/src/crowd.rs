//! Requests of many users to the edge, and the decision for each of them.

use crate::http::Connection;
use std::collections::BTreeMap;

/// The edge's decision for one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserDecision {
    /// `legacy` or `new`, as the edge reports it.
    pub arm: String,
    /// The reason of the decision.
    pub reason: String,
    /// The backend that responded, as it reports itself.
    pub backend: String,
}

const CONNECTIONS: usize = 16;

/// Requests a path as each of the given users.
pub async fn ask(port: u16, path: &str, users: &[String]) -> BTreeMap<String, UserDecision> {
    let tasks: Vec<_> = users
        .chunks(users.len().div_ceil(CONNECTIONS).max(1))
        .map(|users| {
            let (users, path) = (users.to_vec(), path.to_owned());
            tokio::spawn(async move {
                let mut connection = Connection::open(port).await;
                let mut seen = Vec::with_capacity(users.len());
                for user in users {
                    let response = connection.get(&path, &[("x-user-id", &user)]).await;
                    let header = |name: &str| response.header(name).unwrap_or_default();
                    assert_eq!(response.status, 200, "{:?}", String::from_utf8_lossy(&response.body));
                    let (arm, reason, backend) =
                        (header("x-cutover-arm"), header("x-cutover-reason"), header("x-backend"));
                    assert_eq!(arm, backend, "the edge reports another arm than the backend for {user}");
                    seen.push((user, UserDecision { arm, reason, backend }));
                }
                seen
            })
        })
        .collect();
    let mut all = BTreeMap::new();
    for task in tasks {
        all.extend(task.await.expect("the task of a connection succeeds"));
    }
    all
}

/// Returns the users that the new backend served.
pub fn on_new(seen: &BTreeMap<String, UserDecision>) -> Vec<&str> {
    seen.iter().filter(|(_, seen)| seen.arm == "new").map(|(user, _)| user.as_str()).collect()
}

/// Returns the given number of different users.
pub fn users(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}-{number}")).collect()
}
